"""A history file played through the running system over HTTP, on the file's own clock.

Each event is asked for at its time, each outcome told when it becomes known and before any later event, and the
controller decides at the same moments a rehearsal would. The replay waits while a training is under way, so that the
data's clock never outruns it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.app.client import Connection
from modelwright.core.clock import iso
from modelwright.core.errors import DataError
from modelwright.ingest.convert import TIMESTAMP
from modelwright.ingest.files import Batch, checked_batches
from modelwright.lake.log import Log
from modelwright.spec.system import System


class History:
    """A file's events in time order and its outcomes in the order they became known; the first `start` are given."""

    def __init__(self, system: System, path: Path, share: float) -> None:
        assert system.contract.time is not None
        self._system = system
        batches: list[Batch] = list(checked_batches(path, system.contract, system.label))
        events = pa.concat_tables([batch.events for batch in batches]) if batches else None
        if events is None or not events.num_rows:
            raise DataError(f"{path} holds no events that fit {system.contract.name}")
        if all(batch.outcomes is None for batch in batches):
            raise DataError(f"{path} has no column {system.label.name!r}; a replay needs the outcomes")
        digests = np.array([digest for batch in batches for digest in batch.digests], dtype=object)
        order = np.argsort(events[system.contract.time].cast(pa.int64()).to_numpy(), kind="stable")
        self.events = events.take(pa.array(order))
        self.digests = digests[order]
        self.at_us = self.events[system.contract.time].cast(pa.int64()).to_numpy()
        outcomes = pa.concat_tables([batch.outcomes for batch in batches if batch.outcomes is not None])
        known = outcomes["_known_at"].cast(pa.int64()).to_numpy()
        order = np.argsort(known, kind="stable")
        self.outcomes = outcomes.take(pa.array(order))
        self.known_us = known[order]
        self.start = int(len(self.at_us) * share)
        if not 0 < self.start < len(self.at_us):
            raise DataError(f"{path}: {len(self.at_us)} events leave nothing to replay from {share:g} on")

    def __len__(self) -> int:
        return len(self.at_us)

    def give(self, log: Log) -> None:
        """Put the given part into the log as history."""
        begin_us = int(self.at_us[self.start])
        log.append_events(self.events.slice(0, self.start), self.digests[: self.start].tolist())
        given = pc.and_(
            pc.less_equal(self.outcomes["_known_at"].cast(pa.int64()), begin_us),
            pc.is_in(self.outcomes["_id"], value_set=self.events["_id"].slice(0, self.start).combine_chunks()),
        )
        log.append_outcomes(self.outcomes.filter(given))
        log.drain()

    def requests(self) -> Iterator[tuple[int, int, str, bytes]]:
        """(time, position, path, body) of every request that follows, in the order they are sent."""
        begin_us = int(self.at_us[self.start])
        outcome = int(np.searchsorted(self.known_us, begin_us, side="right"))
        told = self._outcome_bodies(outcome)
        asked = self._event_bodies()
        for position in range(self.start, len(self)):
            at_us = int(self.at_us[position])
            while outcome < len(self.known_us) and self.known_us[outcome] <= at_us:
                yield int(self.known_us[outcome]), position, "/outcomes", next(told)
                outcome += 1
            yield at_us, position, "/predict", next(asked)
        for body in told:
            yield int(self.known_us[outcome]), len(self), "/outcomes", body
            outcome += 1

    def _event_bodies(self) -> Iterator[bytes]:
        contract = self._system.contract
        names = list(contract.names)
        columns = [self.events[name].slice(self.start) for name in names]
        kinds = [contract.field(name).kind for name in names]
        if contract.id is None:
            names.append("id")
            columns.append(self.events["_id"].slice(self.start))
            kinds.append("str")
        lists = [_as_json(column, kind) for column, kind in zip(columns, kinds, strict=True)]
        encode = msgspec.json.Encoder().encode
        for row in zip(*lists, strict=True):
            yield encode(dict(zip(names, row, strict=True)))

    def _outcome_bodies(self, first: int) -> Iterator[bytes]:
        table = self.outcomes.slice(first)
        encode = msgspec.json.Encoder().encode
        values = table[self._system.label.name].to_pylist()
        known = table["_known_at"].cast(pa.int64()).to_pylist()
        for id, value, at_us in zip(table["_id"].to_pylist(), values, known, strict=True):
            yield encode({"id": id, "outcome": value, "at": iso(at_us)})


def _as_json(column: pa.ChunkedArray, kind: str) -> list[Any]:
    if kind == "time":
        return [None if at_us is None else iso(at_us) for at_us in column.cast(TIMESTAMP).cast(pa.int64()).to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def play(
    history: History,
    address: str,
    check_us: int,
    decide: Callable[[int, int], None],
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Send everything that follows; before the first request past a decision point, `decide(its time, position)`.

    Outcomes and events go over a connection each: what is known by the time of an event is sent just before it, so that
    serving works both off together. Returns the position reached, the number of events where it was played to the end.
    """
    told, asked = Connection(address), Connection(address)
    next_us = (int(history.at_us[history.start]) // check_us + 1) * check_us
    outcomes: list[bytes] = []

    def flush(event: bytes | None) -> None:
        if outcomes:
            told.send("/outcomes", outcomes[0] if len(outcomes) == 1 else b"[" + b",".join(outcomes) + b"]")
        if event is not None:
            asked.send("/predict", event)
        if outcomes:
            told.receive()
            outcomes.clear()
        if event is not None:
            asked.receive()

    try:
        for at_us, position, path, body in history.requests():
            # An event at the decision point comes after it; an outcome known then comes before.
            if at_us > next_us or (at_us == next_us and path == "/predict"):
                flush(None)
                decide(next_us, position)
                if stop():
                    return position
                next_us = max(next_us // check_us + 1, at_us // check_us + 1) * check_us
            if path == "/predict":
                flush(body)
            else:
                outcomes.append(body)
        flush(None)
        decide(next_us, len(history))
        return len(history)
    finally:
        told.close()
        asked.close()
