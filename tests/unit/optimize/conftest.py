"""Rows of numbers with gaps and of texts, and models fitted on them."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest
from tests.kernels import same_bits

from modelwright.optimize.image import machine_image
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.inputs import InputColumn, Rows

ROWS = 600


@pytest.fixture
def numbers() -> tuple[Rows, tuple[InputColumn, ...]]:
    """Three columns: one smooth, one of few values, one mostly missing."""
    random = np.random.default_rng(5)
    block = np.column_stack([random.normal(size=ROWS), random.integers(-2, 3, ROWS), random.lognormal(size=ROWS)])
    block[random.random(block.shape) < (0.0, 0.1, 0.7)] = np.nan
    return Rows(block), tuple(InputColumn(name=name, kind="number") for name in ("a", "b", "c"))


@pytest.fixture
def mixed(numbers: tuple[Rows, tuple[InputColumn, ...]]) -> tuple[Rows, tuple[InputColumn, ...]]:
    """The same, with a text column between the numbers that is sometimes missing."""
    random = np.random.default_rng(6)
    texts = [str(text) if text else None for text in random.choice(["", "DE", "FR", "IT"], ROWS)]
    rows, (a, b, c) = numbers
    return Rows(rows.numbers, (texts,)), (a, InputColumn(name="t", kind="text", vocabulary=("DE", "FR", "IT")), b, c)


@pytest.fixture
def outcome() -> Callable[[Rows, str], Any]:
    """What there is to learn from the rows, of a kind of label."""

    def of(rows: Rows, kind: str) -> Any:
        random = np.random.default_rng(8)
        score = np.nan_to_num(rows.numbers).sum(axis=1) + random.normal(size=len(rows))
        if rows.texts:
            score += np.array([text == "FR" for text in rows.texts[0]]) * 2.0
        if kind == "bool":
            return score > 1
        return np.digitize(score, [0.0, 1.5]).astype(str) if kind == "str" else score

    return of


@pytest.fixture(autouse=True)
def image_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever program these tests run is run by numba's kernels and by the image's, which give the same bits."""
    begin, run = CompiledRuntime.__init__, CompiledRuntime.run
    others: WeakKeyDictionary[CompiledRuntime, CompiledRuntime] = WeakKeyDictionary()

    def begin_both(self: CompiledRuntime, data: bytes, columns: Any, image: bytes | None = None) -> None:
        begin(self, data, columns, image)
        other = object.__new__(CompiledRuntime)
        begin(other, data, columns, machine_image() if image is None else None)
        others[self] = other

    def run_both(self: CompiledRuntime, rows: Rows) -> Any:
        said = run(self, rows)
        if self in others:
            assert same_bits(said, run(others[self], rows))
        return said

    monkeypatch.setattr(CompiledRuntime, "__init__", begin_both)
    monkeypatch.setattr(CompiledRuntime, "run", run_both)
