"""What the log holds: its kinds of row, and the schema that types them.

Rows are small arrays of msgpack in the write-ahead buffer and columns of Arrow in the tables; `lake/arrow.py` turns one
into the other. Instants are integers, microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from modelwright.core.errors import ContractError, UsageError
from modelwright.spec.contract import INT64, Contract, FieldKind

if TYPE_CHECKING:
    import pyarrow as pa

TableName = str
"""`events`, `predictions`, `outcomes`, and `events.Login` for another event: its name is an identifier, without a dot."""
Value = bool | int | float | str
Instant = Annotated[int, msgspec.Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]
"""Microseconds since the epoch, within the years 1 to 9999."""

_STORED: dict[str, Any] = {
    "float": float,
    "int": Annotated[int, msgspec.Meta(ge=INT64[0], le=INT64[1])],
    "bool": bool,
    "str": str,
    "time": Instant,
}


class EventRow(msgspec.Struct, frozen=True, array_like=True, tag="e", gc=False):
    """An event: its values in the contract's order, times as microseconds, missing as None."""

    seq: int
    id: str
    at_us: Instant
    live: bool
    arrived_us: Instant
    values: list[Any]


class PredictionRow(msgspec.Struct, frozen=True, array_like=True, tag="p", gc=False):
    """What a release answered, or would have, for one event; `features` is a JSON object.

    `role` is champion for the answer that was sent, and challenger for what another release says beside it: who they were
    `release` tells, for in a canary a share of the answers is the challenger's, and the champion scores beside it.
    """

    seq: int
    event_seq: int
    id: str
    at_us: Instant
    made_us: Instant
    release: str
    role: Literal["champion", "challenger"]
    prediction: Value
    score: float | None
    probabilities: list[float] | None
    features: str


class OutcomeRow(msgspec.Struct, frozen=True, array_like=True, tag="o", gc=False):
    """What became of an event, known at an instant later than the event; the latest row of an event counts."""

    seq: int
    event_seq: int
    id: str
    value: Value
    known_us: Instant
    live: bool


class OtherRow(msgspec.Struct, frozen=True, array_like=True, tag="x", gc=False):
    """A row of another event than the system's, by its name: history for views, never predicted."""

    event: str
    seq: int
    id: str
    at_us: Instant
    live: bool
    arrived_us: Instant
    values: list[Any]


Row = EventRow | PredictionRow | OutcomeRow | OtherRow
pack = msgspec.msgpack.Encoder().encode
unpack_row: Callable[[Any], Row] = msgspec.msgpack.Decoder(Row).decode
unpack = msgspec.msgpack.Decoder().decode


class QuarantineRow(msgspec.Struct, frozen=True, array_like=True):
    """A row that could not enter the log: where it stood, which column is at fault and why, and the row as it came.

    `at_us` is filled with the time of the log's clock where it is None.
    """

    file: str
    row: int
    column: str
    reason: str
    raw: str
    at_us: Instant | None = None


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows of a bulk append. Row numbers count from 0 in the table that was given.

    `duplicates` are rows the log holds already; `conflicts` have a known id with another body; `unknown` are outcomes
    of no event in the log. Outcomes without a value are none of these and are left out.
    """

    added: int = 0
    duplicates: int = 0
    conflicts: int = 0
    unknown: int = 0
    conflict_rows: tuple[int, ...] = ()
    unknown_rows: tuple[int, ...] = ()


class LogSchema(msgspec.Struct, frozen=True):
    """Types of the log: the event's contract, the label's name and kind where the system has one, and the contracts of
    the other events that its views read."""

    contract: Contract
    label: str | None = None
    label_kind: FieldKind | None = None
    others: tuple[Contract, ...] = ()

    def contract_of(self, event: str | None) -> Contract:
        """The contract of another event by its name, or of the system's own for None. Raises `UsageError`."""
        if event is None:
            return self.contract
        for contract in self.others:
            if contract.name == event:
                return contract
        raise UsageError(
            f"{event} is no event of this log; it knows {', '.join(c.name for c in self.others) or 'none'}"
        )

    def tables(self) -> tuple[TableName, ...]:
        """The tables the log is drained into, the quarantine apart."""
        return ("events", "predictions", "outcomes", *(events_table(contract.name) for contract in self.others))

    def events(self, event: str | None = None) -> pa.Schema:
        """Arrow schema of the events: `_seq`, `_id`, `_live`, `_arrived_at`, then the contract's fields."""
        from modelwright.lake.arrow import arrow_schema

        return arrow_schema(self, events_table(event))

    def predictions(self) -> pa.Schema:
        """Arrow schema of the predictions; `prediction` has the label's type, or float64 where that is int64."""
        from modelwright.lake.arrow import arrow_schema

        return arrow_schema(self, "predictions")

    def outcomes(self) -> pa.Schema:
        """Arrow schema of the outcomes: `_seq`, `_event_seq`, `_id`, the label, `_known_at`, `_live`."""
        from modelwright.lake.arrow import arrow_schema

        return arrow_schema(self, "outcomes")


def events_table(event: str | None) -> TableName:
    """The table of another event's rows, or of the system's own event for None."""
    return "events" if event is None else f"events.{event}"


def event_of_table(name: TableName) -> str | None:
    """The other event whose rows a table of events holds; None for the system's own."""
    return name.partition(".")[2] or None


class EventCheck:
    """Checks that an event's values can be drained into its table, so that no row is ever stuck in the buffer."""

    def __init__(self, contract: Contract) -> None:
        self._names = contract.names
        # A struct, since msgspec keeps what it works out about one; of `tuple[...]` it works it out at every call.
        members = [(f"value_{place}", _STORED[field.kind] | None) for place, field in enumerate(contract.fields)]
        self._event: Any = msgspec.defstruct("Values", members, array_like=True, gc=False)
        self.time_place = None if contract.time is None else self._names.index(contract.time)

    def values(self, values: Any, at_us: int) -> tuple[Any, ...]:
        """The values as stored, in the contract's order; ContractError naming the field that does not fit, or where the
        event's own time is not `at_us`."""
        try:
            checked = msgspec.structs.astuple(msgspec.convert(values, self._event))
        except msgspec.ValidationError as error:
            text = str(error)
            place = text.rpartition("$[")[2].partition("]")[0]
            field = self._names[int(place)] if place.isdigit() else ""
            raise ContractError(
                f"{field or 'event'}: the log cannot hold it: {text}; give the contract's type, and times as whole "
                "microseconds",
                field,
            ) from None
        if self.time_place is not None and checked[self.time_place] != at_us:
            time = self._names[self.time_place]
            raise ContractError(
                f"{time}: the event's time is {checked[self.time_place]} and it was given as {at_us} microseconds; give "
                "one time",
                time,
            )
        return checked


class LabelCheck:
    """The same for outcomes and predictions."""

    def __init__(self, schema: LogSchema) -> None:
        self._label = schema.label
        self._outcome: Any = _STORED[schema.label_kind] if schema.label_kind else None
        self._prediction: Any = float if schema.label_kind == "int" else self._outcome

    def value(self, value: Any, what: str = "outcome") -> Value:
        """An outcome or a prediction as stored; ContractError where it is not of the label's kind."""
        if self._outcome is None:
            raise ContractError(f"{what} {value!r}: this log has no label; declare one in the system")
        try:
            checked: Value = msgspec.convert(value, self._prediction if what == "prediction" else self._outcome)
        except msgspec.ValidationError as error:
            raise ContractError(
                f"{self._label}: the {what} {value!r} is not of the label's kind: {error}", self._label or ""
            ) from None
        return checked


def plain(value: Any) -> Any:
    """A value as the log stores it: aware or naive times become microseconds, all else stays."""
    from modelwright.core.clock import to_us

    return to_us(value) if isinstance(value, datetime) else value
