"""What the Open Inference Protocol asks of a model, of no transport: names, inputs and outputs, tensors in, columns out.

The model is the system; its version is the release that is live. The event's columns are its inputs, one tensor each.
`inference_protocol` says it over REST, `grpc.inference_service` over gRPC; both get the same rows and the same errors.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from modelwright.core.errors import UnavailableError
from modelwright.serving.dialect import decoded
from modelwright.serving.events import Event
from modelwright.serving.messages import Answer, class_text
from modelwright.serving.plane import Plane
from modelwright.serving.problems import HttpError, nearest
from modelwright.serving.rows import RowReader
from modelwright.serving.tensors import DATATYPE, Tensor, column
from modelwright.spec.contract import Field

_PREDICTED = {"bool": "BOOL", "str": "BYTES", "int": "FP64", "float": "FP64"}
"""The datatype of a prediction, by the label's kind: an amount is a number with a fraction, though it counts."""


class Output(NamedTuple):
    """An output: its datatype, how many values a row (0: one, and the shape says no second axis), and its parameters."""

    datatype: str
    width: int = 0
    parameters: dict[str, Any] | None = None

    @property
    def shape(self) -> list[int]:
        """As metadata have it, -1 for the rows."""
        return [-1, self.width] if self.width else [-1]


class Column(NamedTuple):
    """An output of an answer: all its values, row by row."""

    name: str
    output: Output
    values: list[Any]

    def shape(self) -> list[int]:
        """With the number of rows in it."""
        width = self.output.width
        return [len(self.values) // width, width] if width else [len(self.values)]


class Inference:
    """One model, named `name`. `fields` are its inputs by name, `inputs` the datatypes that metadata name for them."""

    def __init__(self, plane: Plane, name: str) -> None:
        self._plane = plane
        self.name = name
        self._rows = RowReader(plane)
        self.fields = {field.name: field for field in plane.contract.fields}
        if self._rows.id is not None and self._rows.id not in self.fields:
            self.fields[self._rows.id] = Field(name=self._rows.id, kind="str", column=self._rows.id)
        self.inputs = {field.name: DATATYPE[field.kind] for field in self.fields.values()}

    @property
    def version(self) -> str | None:
        """The release that is live."""
        return self._plane.champion.name if self._plane.champion is not None else None

    def check(self, name: str, version: str | None) -> None:
        """HttpError 404 where a model, or a version where one is asked for, is not here."""
        if name != self.name:
            raise HttpError(404, f"no model {name!r} here; the one that is here is {self.name!r}")
        live = self.version
        if version is not None and version != live:
            raise HttpError(404, f"version {version!r} of {self.name} is not live; {live or 'none'} is")

    def index(self, *, ready: bool) -> list[dict[str, str]]:
        """The models that are here; only those that can answer where `ready`."""
        version = self.version
        if version is not None:
            return [{"name": self.name, "version": version, "state": "READY", "reason": ""}]
        none = {"name": self.name, "version": "", "state": "UNAVAILABLE", "reason": "no release is live yet"}
        return [] if ready else [none]

    def outputs(self, others: Sequence[str] = ()) -> dict[str, Output]:
        """What is answered: the classes' probabilities where there are classes, in the order their parameter says, behind
        them those of `others`."""
        kind = self._plane.label.kind
        outputs = {"prediction": Output(_PREDICTED[kind])}
        if kind == "bool":
            outputs["score"] = Output("FP64")
        classes = (*self._classes(), *others)
        if classes:
            named = msgspec.json.encode(classes).decode()
            outputs["probabilities"] = Output("FP64", len(classes), {"classes": named})
        return {**outputs, "id": Output("BYTES"), "release": Output("BYTES")}

    def check_ready(self) -> None:
        """UnavailableError while no release is live."""
        if self._plane.champion is None:
            raise UnavailableError("no release is live yet; events are accepted at POST /events")

    @staticmethod
    def check_wanted(wanted: Iterable[str], outputs: dict[str, Output]) -> None:
        """HttpError 400 for an output that there is not."""
        for name in wanted:
            if name not in outputs:
                raise HttpError(400, f"no output {name!r}; there are {', '.join(outputs)}")

    def events(self, tensors: Iterable[tuple[Tensor, memoryview | None]], parameters: dict[str, Any]) -> list[Event]:
        """The rows of a request's tensors, each with its binary data where it has some, as events."""
        columns: dict[str, list[Any]] = {}
        for tensor, raw in tensors:
            field = self.fields.get(tensor.name)
            if field is None:
                raise HttpError(400, f"no input {tensor.name!r}; {nearest(tensor.name, self.fields)}")
            if tensor.name in columns:
                raise HttpError(400, f"{tensor.name}: twice among the inputs")
            columns[tensor.name] = column(tensor, field, raw)
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise HttpError(400, f"the inputs have different numbers of rows: {lengths}")
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return self._rows.events(self._named(parameters, rows))

    def _named(self, parameters: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows with the id that the parameters give to a single one."""
        if "id" not in parameters:
            return rows
        id, column = parameters["id"], self._rows.id
        if column is None or column in (rows[0] if rows else {}) or len(rows) != 1:
            raise HttpError(400, "parameters.id names the event of one row; send several rows' ids as an input")
        return [{**rows[0], column: id}]

    def columns(self, said: list[msgspec.Raw], wanted: Sequence[str]) -> tuple[str, list[Column]]:
        """The release that answered (the live one where several did, and the output `release` says which), and the outputs
        that are wanted, all where none are named."""
        answers = [decoded(answer) for answer in said]
        # A repeat is answered with what another release may have said.
        live = self._classes()
        others = sorted({name for answer in answers for name in answer.probabilities or ()} - set(live))
        outputs = self.outputs(others)
        self.check_wanted(wanted, outputs)
        classes = (*live, *others)
        columns = [Column(name, outputs[name], _values(name, answers, classes)) for name in wanted or outputs]
        releases = {answer.release for answer in answers}
        return (releases.pop() if len(releases) == 1 else self.version or ""), columns

    def _classes(self) -> tuple[str, ...]:
        champion = self._plane.champion
        return () if champion is None else tuple(class_text(value) for value in champion.release.manifest.classes)


def _values(name: str, answers: list[Answer], classes: tuple[str, ...]) -> list[Any]:
    """An output's values, row by row; None for one that an answer has not got."""
    if name == "probabilities":
        return [(answer.probabilities or {}).get(label, 0.0) for answer in answers for label in classes]
    return [getattr(answer, name) for answer in answers]
