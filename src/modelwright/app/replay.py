"""A history file played through the running system over HTTP, on the file's own clock.

Each event is asked for at its time, each outcome told when it becomes known and before any later event, as is each row
of the other events that have a declared source; and the controller decides at the same moments a rehearsal would.
Outcomes that are read from later events are not told: the system closes their windows at those moments. The replay
waits while a training is under way, so that the data's clock never outruns it.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.app.client import Connection
from modelwright.core.clock import iso
from modelwright.core.errors import DataError
from modelwright.features.ahead import outcomes_ahead
from modelwright.ingest.convert import TIMESTAMP
from modelwright.ingest.files import Batch, checked_batches
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.spec.contract import Contract
from modelwright.spec.system import System
from modelwright.stats.predictions import Array
from modelwright.training.examples import FIRST_SHARE, NEVER, beginning

AT_ONCE = 1_000
"""Outcomes, or rows of another event, that are sent in one request at most."""
ONE_READ = 16 << 10
"""Bytes of a body that serving is sure to have read by the time it has read the request sent after it."""


class OtherEvents:
    """The rows of another event in time order, each id once, as a log would hold them."""

    def __init__(self, contract: Contract, paths: Sequence[Path]) -> None:
        self.contract = contract
        batches = [batch for path in paths for batch in checked_batches(path, contract, None)]
        nothing = LogSchema(contract).events().empty_table().select([*contract.names, "_id"])
        rows = pa.concat_tables([batch.events for batch in batches] or [nothing])
        digests = np.array([digest for batch in batches for digest in batch.digests], dtype=object)
        first = np.unique(np.array(rows["_id"].to_pylist(), dtype=object), return_index=True)[1]
        at_us = rows[contract.time].cast(pa.int64()).to_numpy()[first]
        order = first[np.lexsort((first, at_us))]
        self.rows = rows.take(pa.array(order))
        self.digests = digests[order]
        self.at_us = self.rows[contract.time].cast(pa.int64()).to_numpy()

    def before(self, at_us: int) -> int:
        """How many rows are before an instant."""
        return int(np.searchsorted(self.at_us, at_us))

    def requests(self, first: int) -> Iterator[tuple[int, int, str, bytes]]:
        """(time, 0, path, body) of the rows from a place on; the 0 has them sent before what is asked at that instant."""
        path = f"/events/{quote(self.contract.name)}"
        for at_us, body in zip(self.at_us[first:].tolist(), bodies(self.contract, self.rows.slice(first)), strict=True):
            yield at_us, 0, path, body


class History:
    """A file's events in time order and its outcomes in the order they became known, and the rows of the other
    events whose sources the system declares; the first `start` events are given."""

    def __init__(self, system: System, path: Path, share: float | None) -> None:
        assert system.contract.time is not None
        self._system = system
        batches: list[Batch] = list(checked_batches(path, system.contract, system.label))
        events = pa.concat_tables([batch.events for batch in batches]) if batches else None
        if events is None or not events.num_rows:
            raise DataError(f"{path} holds no events that fit {system.contract.name}")
        if system.label.ahead is None and all(batch.outcomes is None for batch in batches):
            raise DataError(f"{path} has no column {system.label.name!r}; a replay needs the outcomes")
        digests = np.array([digest for batch in batches for digest in batch.digests], dtype=object)
        order = np.argsort(events[system.contract.time].cast(pa.int64()).to_numpy(), kind="stable")
        self.events = events.take(pa.array(order))
        self.digests = digests[order]
        self.at_us = self.events[system.contract.time].cast(pa.int64()).to_numpy()
        outcomes = (
            pa.concat_tables([batch.outcomes for batch in batches if batch.outcomes is not None])
            if system.label.ahead is None
            else outcomes_ahead(self.events, system.contract, system.label)
        )
        known = outcomes["_known_at"].cast(pa.int64()).to_numpy()
        order = np.argsort(known, kind="stable")
        self.outcomes = outcomes.take(pa.array(order))
        self.known_us = known[order]
        sources = system.history
        self.others = [
            OtherEvents(contract, sources[contract.name].paths(system.home) if contract.name in sources else [])
            for contract in system.others
        ]
        self.start = beginning(self.at_us, self._first_known_us(), system.validation_us, share)
        if not 0 < self.start < len(self.at_us):
            share = FIRST_SHARE if share is None else share
            raise DataError(f"{path}: {len(self.at_us)} events leave nothing to replay from {share:g} on")

    def __len__(self) -> int:
        return len(self.at_us)

    def _first_known_us(self) -> Array:
        """[n] when the first outcome of each event becomes known; NEVER where none does."""
        first = np.full(len(self.events), NEVER, dtype=np.int64)
        places = pc.index_in(self.outcomes["_id"], value_set=self.events["_id"].combine_chunks())
        known = self.known_us[::-1]
        places = np.asarray(places)[::-1]
        there = self.outcomes[self._system.label.name].is_valid().to_numpy()[::-1]
        first[places[there]] = known[there]
        return first

    def give(self, log: Log) -> None:
        """Put the given part into the log as history; outcomes that are read from later events follow from it."""
        begin_us = int(self.at_us[self.start])
        log.append_events(self.events.slice(0, self.start), self.digests[: self.start].tolist())
        if self._system.label.ahead is not None:
            log.drain()
            return
        given = pc.and_(
            pc.less_equal(self.outcomes["_known_at"].cast(pa.int64()), begin_us),
            pc.is_in(self.outcomes["_id"], value_set=self.events["_id"].slice(0, self.start).combine_chunks()),
        )
        log.append_outcomes(self.outcomes.filter(given))
        for other in self.others:
            before = other.before(begin_us)
            log.append_events(other.rows.slice(0, before), other.digests[:before].tolist(), other.contract.name)
        log.drain()

    def requests(self) -> Iterator[tuple[int, int, str, bytes]]:
        """(time, position, path, body) of every request that follows, in the order they are sent."""
        begin_us = int(self.at_us[self.start])
        position = self.start
        told = [self._outcomes(begin_us), *(other.requests(other.before(begin_us)) for other in self.others)]
        for at_us, is_event, path, body in heapq.merge(*told, self._asked(), key=lambda request: request[:2]):
            yield at_us, position, path, body
            position += is_event

    def _asked(self) -> Iterator[tuple[int, int, str, bytes]]:
        asked = bodies(self._system.contract, self.events.slice(self.start))
        for at_us, body in zip(self.at_us[self.start :].tolist(), asked, strict=True):
            yield at_us, 1, "/predict", body

    def _outcomes(self, begin_us: int) -> Iterator[tuple[int, int, str, bytes]]:
        first = int(np.searchsorted(self.known_us, begin_us, side="right"))
        told = self._outcome_bodies(first)
        for at_us, body in zip(self.known_us[first:].tolist(), told, strict=True):
            yield at_us, 0, "/outcomes", body

    def _outcome_bodies(self, first: int) -> Iterator[bytes]:
        table = self.outcomes.slice(first)
        encode = msgspec.json.Encoder().encode
        values = table[self._system.label.name].to_pylist()
        known = table["_known_at"].cast(pa.int64()).to_pylist()
        for id, value, at_us in zip(table["_id"].to_pylist(), values, known, strict=True):
            yield encode({"id": id, "outcome": value, "at": iso(at_us)})


def bodies(contract: Contract, events: pa.Table) -> Iterator[bytes]:
    """Events as the bodies of requests; those without an id of their own bring the file's."""
    names = list(contract.names)
    columns = [(events[name], contract.field(name).kind) for name in names]
    if contract.id is None:
        names.append("id")
        columns.append((events["_id"], "str"))
    lists = [_as_json(column, kind) for column, kind in columns]
    encode = msgspec.json.Encoder().encode
    for row in zip(*lists, strict=True):
        yield encode(dict(zip(names, row, strict=True)))


def _as_json(column: pa.ChunkedArray, kind: str) -> list[Any]:
    if kind == "time":
        return [None if at_us is None else iso(at_us) for at_us in column.cast(TIMESTAMP).cast(pa.int64()).to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def play(
    history: History,
    connect: Callable[[], Connection],
    check_us: int,
    decide: Callable[[int, int], None],
    stop: Callable[[], bool] = lambda: False,
    close: Callable[[int], None] | None = None,
) -> int:
    """Send everything that follows; before the first request past a decision point, `decide(its time, position)`.

    Each path has a connection of its own: what is known by the time of an event is sent just before it, so that serving
    works all off together. With `close`, outcomes are not told: `close(time)` appends what is known by then. Returns the
    position reached, the number of events where it was played to the end.
    """
    asked = connect()
    connections: dict[str, Connection] = {}
    told: dict[str, list[bytes]] = {}
    next_us = (int(history.at_us[history.start]) // check_us + 1) * check_us
    known_us: int | None = None

    def flush(event: bytes | None) -> None:
        nonlocal known_us
        if close is not None and known_us is not None:
            close(known_us)
            known_us = None
        waiting = []
        for path, sent in told.items():
            body = sent[0] if len(sent) == 1 else b"[" + b",".join(sent) + b"]"
            new = path not in connections
            connection = connections[path] if path in connections else connect()
            connections[path] = connection
            connection.send(path, body)
            if new or len(body) > ONE_READ:  # it may take serving longer to have it than it takes the event
                connection.receive()
            else:
                waiting.append(connection)
        told.clear()
        if event is not None:
            asked.send("/predict", event)
            waiting.append(asked)
        for connection in waiting:
            connection.receive()

    try:
        for at_us, position, path, body in history.requests():
            # An event at the decision point comes after it; an outcome known then comes before. What other events bring
            # is no reason to decide, in a rehearsal neither.
            is_event = path == "/predict"
            if (is_event or path == "/outcomes") and (at_us > next_us or (at_us == next_us and is_event)):
                flush(None)
                decide(next_us, position)
                if stop():
                    return position
                next_us = max(next_us // check_us + 1, at_us // check_us + 1) * check_us
            if is_event:
                flush(body)
                continue
            if close is not None and path == "/outcomes":
                known_us = at_us
                continue
            told.setdefault(path, []).append(body)
            if len(told[path]) >= AT_ONCE:
                flush(None)
        flush(None)
        decide(next_us, len(history))
        return len(history)
    finally:
        for connection in (asked, *connections.values()):
            connection.close()
