"""How the rows of a history stand in its chunks: as numbers of fixed width, which the kernel reads as they are."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.lake.strings import Strings
from modelwright.spec.contract import Contract

if TYPE_CHECKING:
    import pyarrow as pa

NAN = math.nan


class EventLayout:
    """The rows of one event; `event` is another one's name, None for the system's own."""

    def __init__(self, contract: Contract, event: str | None) -> None:
        self.contract = contract
        self.event = event
        self.scope = "" if event is None else f"{event}."
        self.row = np.dtype([("at", "<i8"), ("seq", "<i8"), ("live", "?"), ("values", "<f8", (len(contract.fields),))])
        self.pack = struct.Struct(f"<qq?{len(contract.fields)}d").pack
        self.kinds = [field.kind for field in contract.fields]
        self._own_id = (
            contract.names.index(contract.id) if contract.id and contract.field(contract.id).kind == "str" else None
        )
        self._texts = [
            (i, self.scope + field.name)
            for i, field in enumerate(contract.fields)
            if field.kind == "str" and i != self._own_id
        ]

    def encoded(self, strings: Strings, values: Sequence[Any], seq: int) -> list[float]:
        """One event's values as numbers; `seq` stands for its own id."""
        numbers = list(values)
        if self._own_id is not None:
            numbers[self._own_id] = seq
        for i, name in self._texts:
            if (text := numbers[i]) is not None:
                numbers[i] = strings.id_of(name, text)
        # There are many NaN; the history holds one, so that a rebuild gives the same bytes.
        return [NAN if number is None or number != number else number for number in numbers]

    def rows(self, events: pa.Table, matrix: np.ndarray) -> np.ndarray:
        """Many events; `matrix` holds their values as numbers."""
        rows = np.empty(events.num_rows, self.row)
        rows["at"] = events.column(self.contract.time or "_arrived_at").cast("int64").to_numpy()
        rows["seq"] = events.column("_seq").to_numpy()
        rows["live"] = events.column("_live").to_numpy()
        rows["values"] = matrix
        return rows


class OutcomeLayout:
    """The rows of outcomes: their events' values, and the label last."""

    def __init__(self, contract: Contract) -> None:
        width = len(contract.fields) + 1
        self.row = np.dtype([("known", "<i8"), ("seq", "<i8"), ("event_seq", "<i8"), ("values", "<f8", (width,))])
        self.pack = struct.Struct(f"<qqq{width}d").pack

    def rows(self, outcomes: pa.Table, matrix: np.ndarray) -> np.ndarray:
        """Many outcomes; `matrix` holds their values as numbers."""
        rows = np.empty(outcomes.num_rows, self.row)
        rows["known"] = outcomes.column("_known_at").cast("int64").to_numpy()
        rows["seq"] = outcomes.column("_seq").to_numpy()
        rows["event_seq"] = outcomes.column("_event_seq").to_numpy()
        rows["values"] = matrix
        return rows
