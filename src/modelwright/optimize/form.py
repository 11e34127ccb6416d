"""The form a model is served in: the fastest one that is proven equal, else the estimator itself, and why.

Every form is tried on the same rows. Which is served rests on equality alone, in the order of `FORMS`, so that equal
material gives an equal release; how long each takes is measured beside it and stands outside the release's name.
"""

import re
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from modelwright.core.errors import TrainingError, first_line
from modelwright.optimize.equivalence import compare, with_missing_texts
from modelwright.optimize.lowering.builder import Unsupported
from modelwright.optimize.lowering.pipeline import lowered
from modelwright.optimize.onnx_form import NotConvertible, onnx_form
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.inputs import InputColumn, Rows, data_frame, in_vocabulary
from modelwright.release.manifest import Equivalence, FormFigures, RuntimeName
from modelwright.release.runtime import OnnxRuntime, Runtime, estimator_output
from modelwright.training.fit import pickled

COMPARED_ROWS = 2_000
"""Rows a compiled form is compared on: the held-back ones, filled up with the newest fitted ones."""

FORMS: Final[dict[str, RuntimeName]] = {"compiled": "compiled", "onnx float64": "onnx", "onnx float32": "onnx"}
"""The forms in the order they are preferred, and the runtime of each: compiled programs answer a single request in about
half the time ONNX Runtime takes, and give the bits of trees."""


ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
"""What differs from process to process in an error's words."""


class Latency(msgspec.Struct, frozen=True):
    """The median time of a call in microseconds, for one row and for 64."""

    row_us: float
    rows64_us: float


class Form(NamedTuple):
    """What is served: the runtime's name, the artefact's bytes, and how it compares.

    `tried`: the figures of every form; `latencies`: of those that run, the estimator included; `beside`: an equal form in
    an open format, for other tools.
    """

    runtime: RuntimeName
    data: bytes
    equivalence: Equivalence
    tried: tuple[FormFigures, ...] = ()
    latencies: dict[str, Latency] = {}
    beside: dict[str, bytes] = {}


def served_form(
    estimator: Any, columns: tuple[InputColumn, ...], classes: tuple[bool | str, ...], train: Rows, held_back: Rows
) -> Form:
    """Make every form, compare, choose."""
    rows = in_vocabulary(with_missing_texts(_compared_rows(train, held_back), columns), columns)
    try:
        said = estimator_output(estimator, data_frame(rows, columns), classes)
    except Exception as error:
        raise TrainingError(
            f"{type(estimator).__name__} failed to predict {len(rows)} rows: {first_line(error)}"
        ) from error
    latencies = {
        "native": _latency(lambda some: estimator_output(estimator, data_frame(some, columns), classes), rows, calls=3)
    }
    made: dict[str, bytes] = {}
    tried: list[FormFigures] = []
    for name in FORMS:
        if name == "onnx float32" and tried[-1].equivalence.accepted:
            continue  # where the graph is equal in float64, another one that is at best equal is made for nothing
        equivalence = Equivalence(rows=0, flips=0, largest=0.0, accepted=False)
        try:
            data, runtime = _made(name, estimator, columns, classifier=bool(classes))
            equivalence = compare(said, runtime.run(rows).reshape(said.shape), classifier=bool(classes))
            made[name] = data
            latencies[name] = _latency(runtime.run, rows)
        except (NotConvertible, Unsupported) as obstacle:
            equivalence = msgspec.structs.replace(equivalence, reason=str(obstacle))
        except Exception as error:  # a form that does not run is as good as none
            equivalence = msgspec.structs.replace(equivalence, reason=ADDRESS.sub("", first_line(error))[:200])
        tried.append(FormFigures(name=name, size=len(made.get(name, b"")), equivalence=equivalence))
    equal = [figures.name for figures in tried if figures.equivalence.accepted]
    if not equal:
        reasons = "; ".join(f"{figures.name}: {figures.equivalence.reason}" for figures in tried)
        nearest = max((figures.equivalence for figures in tried), key=lambda refused: refused.rows)
        refused = msgspec.structs.replace(nearest, reason=reasons)
        return Form("native", pickled(estimator), refused, tuple(tried), latencies)
    chosen = equal[0]
    beside = {"model.onnx": made["onnx float64"]} if chosen == "compiled" and "onnx float64" in equal else {}
    equivalence = next(figures.equivalence for figures in tried if figures.name == chosen)
    return Form(FORMS[chosen], made[chosen], equivalence, tuple(tried), latencies, beside)


def _made(name: str, estimator: Any, columns: tuple[InputColumn, ...], *, classifier: bool) -> tuple[bytes, Runtime]:
    if name == "compiled":
        data = lowered(estimator, columns).to_bytes()
        return data, CompiledRuntime(data, columns)
    precision: Any = name.removeprefix("onnx ")
    data = onnx_form(estimator, columns, precision, classifier=classifier)
    return data, OnnxRuntime(data, columns)


def _latency(run: Callable[[Rows], Any], rows: Rows, calls: int = 15) -> Latency:
    return Latency(*(_median_us(run, rows.take(slice(0, count)), calls) for count in (1, 64)))


def _median_us(run: Callable[[Rows], Any], rows: Rows, calls: int) -> float:
    run(rows)
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        run(rows)
        seconds.append(time.perf_counter() - began)
    return round(float(np.median(seconds)) * 1e6, 1)


def _compared_rows(train: Rows, held_back: Rows) -> Rows:
    newest = train.take(slice(max(0, len(train) - max(0, COMPARED_ROWS - len(held_back))), None))
    texts = tuple([*a, *b] for a, b in zip(held_back.texts, newest.texts, strict=True))
    return Rows(np.concatenate([held_back.numbers, newest.numbers]), texts)
