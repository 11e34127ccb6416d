"""States over long windows that move on, jump and go back, against plain Python and numpy over each window alone."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from modelwright.features.kernel.dispatch import apply, made
from modelwright.features.kernel.operations import OPERATIONS

N = 6_000


def rows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values that drift, so that what a window holds changes, with repeats, gaps and a condition."""
    random = np.random.default_rng(seed)
    values = (random.normal(size=N) * 300 + np.sin(np.arange(N) / 700) * 2_000).round(seed % 2)
    values[random.random(N) < 0.1] = math.nan
    return values + 0.0, (random.random(N) < 0.9).astype(np.uint8)


def windows(seed: int) -> list[tuple[int, int]]:
    """Mostly a little further on; at times back, far away, empty or everything."""
    random = np.random.default_rng(seed + 100)
    lo, hi = 0, 0
    found = [(0, 0), (0, N), (0, 1)]
    for _ in range(400):
        lo = min(max(lo + int(random.integers(-3, 30)), 0), N)
        hi = min(max(hi + int(random.integers(-5, 40)), lo), N)
        if random.random() < 0.02:
            lo, hi = sorted(random.integers(0, N + 1, 2).tolist())
        found.append((lo, hi))
    return found


def most_frequent(values: list[float]) -> float:
    count = Counter(values)
    return max(reversed(values), key=count.__getitem__) if values else math.nan


ORACLES: dict[tuple[str, float], Callable[[list[float]], float]] = {
    ("quantile", 0.0): lambda values: min(values, default=math.nan),
    ("quantile", 0.5): lambda values: float(np.quantile(values, 0.5)) if values else math.nan,
    ("quantile", 0.93): lambda values: float(np.quantile(values, 0.93)) if values else math.nan,
    ("count_distinct", 0.0): lambda values: float(len(set(values))),
    ("distinct_ratio", 0.0): lambda values: len(set(values)) / len(values) if values else math.nan,
    ("top_k", 0.0): most_frequent,
    ("min", 0.0): lambda values: min(values, default=math.nan),
    ("max", 0.0): lambda values: max(values, default=math.nan),
    ("sum", 0.0): math.fsum,
    ("first", 0.0): lambda values: values[0] if values else math.nan,
    ("lag", 4.0): lambda values: values[-4] if len(values) >= 4 else math.nan,
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("kind", "parameter"), list(ORACLES))
def test_a_state_follows_its_window(kind: str, parameter: float, seed: int) -> None:
    values, mask = rows(seed)
    op = OPERATIONS.index(kind)
    state: Any = made(op, parameter)
    times, at, out = np.arange(N), np.zeros(1, np.int64), np.empty(1)
    base = 0
    for lo, hi in windows(seed):
        window = np.array([lo]), np.array([hi])
        state = apply(op, state, times, values, mask, base, *window, at, parameter, out)
        inside = [value for value, kept in zip(values[lo:hi].tolist(), mask[lo:hi], strict=True) if kept]
        expected = ORACLES[kind, parameter]([value for value in inside if not math.isnan(value)])
        assert repr(float(out[0])) == repr(float(expected)), (lo, hi)


def test_rows_dropped_before_the_window_are_not_read() -> None:
    values, mask = rows(0)
    for kind, parameter in ORACLES:
        op = OPERATIONS.index(kind)
        answers = []
        for base in (0, 900):
            state: Any = made(op, parameter)
            out = np.empty(3)
            lo, hi = np.array([1_000, 1_010, 1_500]), np.array([1_200, 1_900, 2_500])
            held = slice(base, None)
            apply(
                op,
                state,
                np.arange(N)[held],
                values[held],
                mask[held],
                base,
                lo,
                hi,
                np.zeros(3, np.int64),
                parameter,
                out,
            )
            answers.append(repr(out.tolist()))
        assert answers[0] == answers[1], kind
