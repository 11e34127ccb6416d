"""The model-runtime port: an artefact's bytes become something that predicts.

A runtime is stateless and safe to share between threads. It is given rows whose texts are within the vocabulary and
answers with probabilities per class, or with amounts. What it may not answer (NaN, another number of rows) is caught by
`checked`.
"""

from typing import Any, Protocol

import msgspec
import numpy as np

from modelwright.core.errors import MissingExtraError, ReleaseError
from modelwright.release.graph import GraphSession
from modelwright.release.inputs import InputColumn, Rows, as_taken, data_frame
from modelwright.release.manifest import Manifest
from modelwright.stats.predictions import Array, Predictions


class Runtime(Protocol):
    """One loaded model."""

    def run(self, rows: Rows) -> Array:
        """[n, classes] probabilities for classes, [n] values for amounts."""
        ...


class OnnxRuntime:
    """A whole pipeline as an ONNX graph: numbers as one matrix, texts by column name."""

    def __init__(self, data: bytes, columns: tuple[InputColumn, ...]) -> None:
        self._graph = GraphSession(data)
        self._texts = [column.name for column in columns if column.kind == "text"]

    def run(self, rows: Rows) -> Array:
        texts = {
            name: np.array(["" if text is None else text for text in column], dtype=object).reshape(-1, 1)
            for name, column in zip(self._texts, rows.texts, strict=True)
            if name in self._graph.inputs
        }
        return self._graph.run(rows.numbers, texts)


class NativeRuntime:
    """The fitted estimator itself, on a DataFrame: always exact, never the fastest."""

    def __init__(self, data: bytes, columns: tuple[InputColumn, ...], classes: tuple[bool | str, ...]) -> None:
        try:
            import cloudpickle
        except ImportError:
            raise MissingExtraError("cloudpickle", "train", "a release in its native form") from None
        self._estimator = cloudpickle.loads(data)
        self._columns = columns
        self._classes = classes

    def run(self, rows: Rows) -> Array:
        frame = data_frame(rows, self._columns)
        return estimator_output(self._estimator, frame, self._classes)


class ConstantRuntime:
    """The same answer always: the rates of the classes, or the median. A baseline."""

    def __init__(self, answer: list[float], *, amounts: bool) -> None:
        self._answer = np.array(answer[0] if amounts else answer, dtype=np.float64)

    def run(self, rows: Rows) -> Array:
        return np.asarray(np.repeat(self._answer[None], len(rows), axis=0))


class LastOutcomeRuntime:
    """As it was last time: the answer looked up by the last known outcome. A baseline, and often a hard one."""

    def __init__(
        self, table: dict[str, list[float]], otherwise: list[float], columns: tuple[InputColumn, ...], *, amounts: bool
    ) -> None:
        self._amounts = amounts
        self._table = {key: np.array(value) for key, value in table.items()}
        self._otherwise = np.array(otherwise[0] if self._amounts else otherwise)
        self._is_text = columns[0].kind == "text"

    def run(self, rows: Rows) -> Array:
        if self._amounts:
            last = rows.numbers[:, 0]
            return np.where(np.isnan(last), self._otherwise, last)
        if self._is_text:
            return np.array(
                [self._otherwise if key is None else self._table.get(key, self._otherwise) for key in rows.texts[0]]
            )
        said = np.tile(self._otherwise, (len(rows), 1))
        for key, rates in self._table.items():
            said[rows.numbers[:, 0] == (key == "True")] = rates
        return said


def estimator_output(estimator: Any, frame: Any, classes: tuple[bool | str, ...]) -> Array:
    """What an estimator says about a DataFrame: probabilities in the order of `classes`, or amounts.

    A classifier without `predict_proba` gives probability one to the class it predicts.
    """
    frame = as_taken(frame, estimator)
    if not classes:
        return np.asarray(estimator.predict(frame), dtype=np.float64)
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(frame), dtype=np.float64)
    said = np.asarray(estimator.predict(frame))
    return np.asarray(said.reshape(-1, 1) == np.array(classes, dtype=said.dtype).reshape(1, -1), dtype=np.float64)


def checked(output: Array, rows: int, classes: tuple[bool | str, ...], what: str) -> Predictions:
    """The output as `Predictions`; ReleaseError where its shape is wrong or a value is not a number."""
    shape = (rows, len(classes)) if classes else (rows,)
    if not classes and output.shape == (rows, 1):
        output = output[:, 0]
    if output.shape != shape:
        raise ReleaseError(f"{what} answers {rows} rows with an array of shape {output.shape}; {shape} was expected")
    low, high = output.min(initial=0), output.max(initial=0)  # NaN where there is one
    if not -np.inf < low <= high < np.inf:
        wrong = int((~np.isfinite(output.reshape(rows, -1))).any(axis=1).sum())
        raise ReleaseError(
            f"{what} predicts NaN or infinity for {wrong} of {rows} rows; handle missing values in the pipeline"
        )
    if classes and (low < -TOLERANCE or high > 1 + TOLERANCE):
        raise ReleaseError(
            f"{what} gives {output.min():.4g} to {output.max():.4g} as probabilities; 0 to 1 was expected"
        )
    return Predictions.of_classes(output, classes) if classes else Predictions(output)


TOLERANCE = 1e-6
"""How far a probability may be outside 0 to 1, by rounding."""


def open_runtime(manifest: Manifest, data: bytes, image: bytes | None = None) -> Runtime:
    """The runtime a manifest names, on the artefact's bytes; `image`: the kernels of a compiled one as machine code."""
    if manifest.runtime == "compiled":
        from modelwright.release.compiled.runtime import CompiledRuntime

        return CompiledRuntime(data, manifest.inputs, image)
    if manifest.runtime == "onnx":
        return OnnxRuntime(data, manifest.inputs)
    if manifest.runtime == "native":
        return NativeRuntime(data, manifest.inputs, manifest.classes)
    answers = msgspec.json.decode(data)
    if manifest.runtime == "constant":
        return ConstantRuntime(answers["otherwise"], amounts=not manifest.classes)
    return LastOutcomeRuntime(answers["table"], answers["otherwise"], manifest.inputs, amounts=not manifest.classes)
