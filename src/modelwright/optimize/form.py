"""The form a model is served in: the fastest one that is proven equal, else the estimator itself, and why.

Every form is tried on the same rows. Which is served rests on equality, or on declared bounds, alone, in a stated order, so
that equal material gives an equal release; how long each takes is measured beside it and stands outside the release's name.
"""

import dataclasses
import re
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from modelwright.core.errors import TrainingError, first_line
from modelwright.optimize.equivalence import Bounds, compare, with_missing_texts
from modelwright.optimize.graph.model import model_graph, refuses_missing
from modelwright.optimize.graph.smaller import CALIBRATED_ROWS, SMALLER
from modelwright.optimize.image import machine_image
from modelwright.optimize.lowering.builder import Unsupported
from modelwright.optimize.lowering.pipeline import lowered, model_of, preparation
from modelwright.optimize.native import requirements
from modelwright.optimize.onnx_form import NotConvertible, Precision, onnx_form
from modelwright.release.compiled.program import Program
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.inputs import InputColumn, Rows, data_frame, in_vocabulary
from modelwright.release.manifest import Equivalence, FormFigures, RuntimeName
from modelwright.release.runtime import OnnxRuntime, Runtime, estimator_output
from modelwright.stats.predictions import Array
from modelwright.training.fit import pickled, told

COMPARED_ROWS = 2_000
"""Rows a compiled form is compared on: the held-back ones, filled up with the newest fitted ones."""

BEHIND: Final = "compiled + "
"""How forms are called whose preparation is compiled and whose model is an ONNX graph behind it."""

EQUAL: Final = ("compiled", "compiled + onnx float64", "onnx float64", "compiled + onnx float32", "onnx float32")
"""The forms in the order they are preferred where nothing may be traded. Compiled programs answer a single request in about
half the time ONNX Runtime takes, and give the bits of trees. The estimator comes last: it alone needs what training needs."""

TRADED: Final = (
    "compiled", "compiled + onnx int8", "compiled + onnx int8 static", "compiled + onnx pruned", "compiled + onnx float32",
    "compiled + onnx float64", "onnx float32", "onnx float64",
)  # fmt: skip
"""The order where bounds are declared: what is expected to be fastest first (benchmarks/forms)."""


ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")
"""What differs from process to process in an error's words."""


class Latency(msgspec.Struct, frozen=True):
    """The median time of a call in microseconds, for one row and for 64."""

    row_us: float
    rows64_us: float


class Form(NamedTuple):
    """What is served: the runtime's name, the artefact's bytes, how it compares, and what it needs with its version.

    `tried`: the figures of every form; `latencies`: of those that run; `beside`: an equal form in an open format, for other
    tools; `image`: the kernels that run a compiled one, as machine code.
    """

    runtime: RuntimeName
    data: bytes
    equivalence: Equivalence
    requires: dict[str, str] = {}
    tried: tuple[FormFigures, ...] = ()
    latencies: dict[str, Latency] = {}
    beside: dict[str, bytes] = {}
    image: bytes | None = None


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What forms are made of and compared with: the estimator, and what it says of the rows. `newest`: rows it was fitted
    on, for what needs examples."""

    estimator: Any
    columns: tuple[InputColumn, ...]
    classes: tuple[bool | str, ...]
    rows: Rows
    said: Array
    newest: Rows

    def form(self, name: str) -> tuple[bytes, Runtime]:
        """One form, made and loaded. Raises `Unsupported` or `NotConvertible` with the reason."""
        if name.startswith("onnx "):
            precision: Any = name.removeprefix("onnx ")
            data = onnx_form(self.estimator, self.columns, precision, classifier=bool(self.classes))
            return data, OnnxRuntime(data, self.columns)
        if name == "compiled":
            program = lowered(self.estimator, self.columns)
        else:
            graph = self._graph(name.removeprefix(f"{BEHIND}onnx "))
            program = dataclasses.replace(self._preparation, graph=np.frombuffer(graph, np.uint8))
        data = program.to_bytes()
        return data, CompiledRuntime(data, self.columns, machine_image())

    def _graph(self, kind: str) -> bytes:
        if kind in ("float64", "float32"):
            return self._graph_in(kind)  # type: ignore[arg-type]  # it is one of the two
        return SMALLER[kind](self._float32, self._prepared(self.newest))

    def _graph_in(self, precision: Precision) -> bytes:
        model = model_of(self.estimator)
        return model_graph(model, self._features, self.said, precision, classifier=bool(self.classes))

    @cached_property
    def _float32(self) -> bytes:
        return self._graph_in("float32")

    @cached_property
    def _features(self) -> Array:
        """The rows as the preparation gives them."""
        return self._prepared(self.rows)

    def _prepared(self, rows: Rows) -> Array:
        data = preparation(self.estimator, self.columns).to_bytes()
        return CompiledRuntime(data, self.columns, machine_image()).features(rows)

    @cached_property
    def _preparation(self) -> Program:
        model = model_of(self.estimator)
        complete = refuses_missing(model, self._features)
        return preparation(self.estimator, self.columns, complete=complete)


def served_form(
    estimator: Any, columns: tuple[InputColumn, ...], classes: tuple[bool | str, ...], train: Rows, held_back: Rows,
    bounds: Bounds | None = None,
) -> Form:  # fmt: skip
    """Make every form, compare, choose. With `bounds` a faster form that is not equal may be chosen."""
    rows = in_vocabulary(with_missing_texts(_compared_rows(train, held_back), columns), columns)
    try:
        said = estimator_output(estimator, data_frame(rows, columns), classes)
    except Exception as error:
        raise TrainingError(f"{type(estimator).__name__} failed to predict {len(rows)} rows: {told(error)}") from error
    newest = train.take(slice(max(0, len(train) - CALIBRATED_ROWS), None))
    fitted = Fitted(estimator, columns, classes, rows, said, newest)
    latencies = {
        "native": _latency(lambda some: estimator_output(estimator, data_frame(some, columns), classes), rows, calls=3)
    }
    made: dict[str, bytes] = {}
    tried: dict[str, FormFigures] = {}
    for name in EQUAL if bounds is None else TRADED:
        if _needless(name, tried):
            continue
        equivalence = Equivalence(rows=0, flips=0, largest=0.0, accepted=False)
        try:
            data, runtime = fitted.form(name)
            answers = runtime.run(rows).reshape(said.shape)
            equivalence = compare(said, answers, classifier=bool(classes))
            if bounds is not None:
                equivalence = bounds.judged(equivalence, said, answers)
            made[name] = data
            latencies[name] = _latency(runtime.run, rows)
        except (NotConvertible, Unsupported) as obstacle:
            equivalence = msgspec.structs.replace(equivalence, reason=str(obstacle))
        except Exception as error:  # a form that does not run is as good as none
            equivalence = msgspec.structs.replace(equivalence, reason=ADDRESS.sub("", first_line(error))[:200])
        tried[name] = FormFigures(name=name, size=len(made.get(name, b"")), equivalence=equivalence)
    return _chosen(fitted, tried, made, latencies)


def _needless(name: str, tried: dict[str, FormFigures]) -> bool:
    """Whether a form is not worth making: where the whole is compiled, a graph behind half of it; where a graph is equal in
    float64, one that is at best equal."""
    equal = {figures.name for figures in tried.values() if figures.equivalence.accepted}
    return (name.startswith(BEHIND) and "compiled" in equal) or (
        name.endswith("float32") and name.replace("float32", "float64") in equal
    )


def _chosen(
    fitted: Fitted, tried: dict[str, FormFigures], made: dict[str, bytes], latencies: dict[str, Latency]
) -> Form:
    served = next((figures for figures in tried.values() if figures.equivalence.accepted), None)
    requires = requirements(fitted.estimator)
    itself = Equivalence(rows=len(fitted.rows), flips=0, largest=0.0, accepted=True)
    data = pickled(fitted.estimator) if served is None else b""
    native = FormFigures(name="native", size=len(data), equivalence=itself, requires=tuple(requires))
    figures = (*tried.values(), native)
    if served is None:
        reasons = "; ".join(f"{figures.name}: {figures.equivalence.reason}" for figures in tried.values())
        nearest = max((figures.equivalence for figures in tried.values()), key=lambda refused: refused.rows)
        refused = msgspec.structs.replace(nearest, reason=reasons)
        return Form("native", data, refused, requires, figures, latencies)
    beside = {}
    if served.name.startswith("compiled") and "onnx float64" in tried:
        same = tried["onnx float64"].equivalence
        if same.accepted and not same.reason:
            beside = {"model.onnx": made["onnx float64"]}
    runtime: RuntimeName = "onnx" if served.name.startswith("onnx") else "compiled"
    image = machine_image() if runtime == "compiled" else None
    return Form(runtime, made[served.name], served.equivalence, {}, figures, latencies, beside, image)


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
