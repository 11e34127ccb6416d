"""One write to the log: any number of rows that become durable together, or not at all.

Serving opens one `Writer` for all requests in flight; ingest and the batch predictor open one a batch. Rows wait in
memory and are put when the block ends, so an error inside it leaves the log as it was. It never touches a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import lmdb
import msgspec

from modelwright.core.errors import ConflictError, ContractError, UnknownEventError
from modelwright.lake.counters import counters
from modelwright.lake.identity import Identity, Known, id_key, identity_of
from modelwright.lake.rows import (
    EventRow,
    OtherRow,
    OutcomeRow,
    PredictionRow,
    Row,
    Value,
    events_table,
    pack,
    unpack_row,
)
from modelwright.lake.store import Transaction, seq_key

if TYPE_CHECKING:
    from modelwright.lake.log import Log


class Writer:
    """Writes rows in one LMDB transaction; made by `Log.write`, used as a context manager by the thread that made it.

    On entry it waits for the writers of other threads and processes; on exit it commits with one fsync. Sequence
    numbers given inside the block hold only if the block ends without an exception.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._store = log.store
        self._rows: list[tuple[bytes, bytes]] = []
        # Nobody else writes in between: what was looked up once in this block is known, or new, until its end.
        self._seen: dict[tuple[str | None, str], Identity | None] = {}
        self._changed: dict[tuple[str | None, str], Identity] = {}
        self._latest: dict[bytes, bytes] = {}

    def __enter__(self) -> Self:
        self._transaction: Transaction = self._store.begin()
        self._txn: Any = self._transaction.txn
        self._counters = counters(self._store, self._txn)
        self._head_before = self._counters.head
        self._log.writers.writer = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.writers.writer = None
        commit = kind is None
        try:
            if commit:
                with self._store.translated():
                    self._put()
        except BaseException:
            commit = False
            raise
        finally:
            self._txn = None
            self._store.end(self._transaction, commit=commit)
        if isinstance(error, lmdb.Error):
            raise self._store.explained(error) from error
        if commit and self._transaction.strings:
            self._log.strings.remember(self._transaction.strings)

    def _put(self) -> None:
        txn, db = self._txn, self._store.db
        for key, data in self._rows:
            txn.put(key, data, db=db("buffer"), append=True)
        for (event, id), identity in self._changed.items():
            txn.put(id_key(id, event), identity.stored(), db=db("ids"))
        for key, data in self._latest.items():
            txn.put(key, data, db=db("latest"))
        self._log.history.flush(self._transaction)
        if self._counters.head > self._head_before:
            self._counters.save(self._store, txn)

    @property
    def head(self) -> int:
        """The last sequence number before this block, 0 for an empty log."""
        return self._head_before

    @property
    def first(self) -> int | None:
        """The first sequence number written, None while there is none."""
        return self._head_before + 1 if self._counters.head > self._head_before else None

    @property
    def last(self) -> int | None:
        """The last sequence number written, None while there is none."""
        return self._counters.head if self._counters.head > self._head_before else None

    def known(self, id: str, event: str | None = None) -> Known | None:
        """What the log holds under the id, another event's where it is named, rows of this block included; None for a
        new one."""
        found = self.identity(id, event)
        return None if found is None else Known(found.seq, found.digest, found.answer)

    def event(
        self,
        id: str,
        at_us: int,
        values: Sequence[Any],
        *,
        digest: bytes,
        live: bool = True,
        answer: bytes | None = None,
    ) -> int:
        """Write an event and give its sequence number.

        `values` are in the contract's order, times as microseconds, missing as None. `digest` tells an equal body from
        another one under the same id. Without a time field the event's time is its arrival.

        Raises `ContractError` for a value that is not of its field's kind, `ConflictError` for an id that is known:
        ask `known` first.
        """
        checked = self._log.checks[None].values(values, at_us)
        seq, arrived_us = self._number(None, id, at_us)
        self._add(EventRow(seq, id, at_us, live, arrived_us, list(checked)))
        self._counters.take("events")
        self._keep(None, id, Identity(seq, at_us, digest, answer, pack(checked), live))
        self._log.history.add_event(self._transaction, seq, at_us, checked, live=live)
        return seq

    def other(self, event: str, id: str, at_us: int, values: Sequence[Any], *, digest: bytes, live: bool = True) -> int:
        """Write a row of another event, by its name, and give its sequence number; as `event`, but that it never has an
        answer or an outcome, so its values are not kept by its id."""
        checked = self._log.checks[event].values(values, at_us)
        seq, arrived_us = self._number(event, id, at_us)
        self._add(OtherRow(event, seq, id, at_us, live, arrived_us, list(checked)))
        self._counters.take(events_table(event))
        self._keep(event, id, Identity(seq, at_us, digest, None, b"", live))
        self._log.history.add_event(self._transaction, seq, at_us, checked, event, live=live)
        return seq

    def _number(self, event: str | None, id: str, at_us: int) -> tuple[int, int]:
        """The next sequence number for a new id, and when it arrived. Raises `ConflictError` for an id that is known."""
        if self.identity(id, event) is not None:
            raise ConflictError(f"id {id!r} is in the log already; an event is written once")
        timeless = self._log.checks[event].time_place is None
        return self._counters.head + 1, at_us if timeless else self._log.clock.now_us()

    def answer(self, id: str, body: bytes) -> None:
        """Store the answer that is sent for the event, so that a repeat gets the same."""
        found = self._event(id)
        found.answer = body
        self._keep(None, id, found)

    def prediction(
        self,
        event_seq: int,
        id: str,
        at_us: int,
        made_us: int,
        release: str,
        role: Literal["champion", "challenger"],
        prediction: Value,
        score: float | None = None,
        probabilities: list[float] | None = None,
        features: str = "{}",
    ) -> int:
        """Write what a release predicted for an event and give the row's sequence number.

        What is predicted of a whole number is an amount, so a float. Raises `ContractError` for a prediction that is
        not of the label's kind.
        """
        checked = self._log.label_check.value(prediction, "prediction")
        seq = self._counters.head + 1
        self._add(
            PredictionRow(seq, event_seq, id, at_us, made_us, release, role, checked, score, probabilities, features)
        )
        self._counters.take("predictions")
        return seq

    def outcome(self, id: str, value: Value, known_us: int, live: bool = True) -> OutcomeRow | None:
        """Write what became of an event; None where the log says the same already.

        Another value than before is a correction: a new row, and the latest counts. An outcome is known at least a
        microsecond after its event. Raises `UnknownEventError`, and `ContractError` for a value of another kind.
        """
        event = self._event(id)
        checked = self._log.label_check.value(value)
        key, packed = id_key(id), pack(checked)
        if self.latest(key) == packed:
            return None
        row = OutcomeRow(self._counters.head + 1, event.seq, id, checked, max(known_us, event.at_us + 1), live)
        self._add(row)
        self._counters.take("outcomes")
        self._latest[key] = packed
        self._log.history.add_outcome(self._transaction, row.seq, event.seq, row.known_us, checked, event.values())
        return row

    def event_values(self, id: str) -> tuple[int, int, list[Any]]:
        """An event's sequence number, time in microseconds and values. Raises `UnknownEventError`."""
        event = self._event(id)
        return event.seq, event.at_us, event.values()

    def rows_since(self, after: int) -> list[Row]:
        """The rows that others wrote after a sequence number, in order; the caller's own of this block are not among
        them."""
        if after >= self._head_before:
            return []
        return self._log.rows_between(self._txn, after, self._head_before)

    def identity(self, id: str, event: str | None = None) -> Identity | None:
        """All that is stored under an id, rows of this block included."""
        name = (event, id)
        if name not in self._seen:
            data = self._txn.get(id_key(id, event), db=self._store.db("ids"))
            self._seen[name] = None if data is None else identity_of(data)
        return self._seen[name]

    def _keep(self, event: str | None, id: str, identity: Identity) -> None:
        """Put it when the block ends."""
        self._seen[event, id] = self._changed[event, id] = identity

    def id_at(self, seq: int) -> str | None:
        """The id of an event written in this block, by its sequence number; None for any other row."""
        place = seq - self._head_before - 1
        row = unpack_row(self._rows[place][1]) if 0 <= place < len(self._rows) else None
        return row.id if isinstance(row, EventRow | OtherRow) else None

    def latest(self, key: bytes) -> bytes | None:
        """The packed value of the latest outcome of an event."""
        found = self._latest.get(key)
        return self._txn.get(key, db=self._store.db("latest")) if found is None else found

    def _event(self, id: str) -> Identity:
        found = self.identity(id)
        if found is None:
            raise UnknownEventError(f"id {id!r} is no event of the log; send the event before its outcome")
        return found

    def _add(self, row: Row) -> None:
        """Pack a row, and make sure that it can be read back: one that cannot would block all that come after it."""
        data = pack(row)
        try:
            unpack_row(data)
        except msgspec.ValidationError as error:
            raise ContractError(f"{type(row).__name__} {row.id!r}: the log cannot hold it: {error}") from None
        self._rows.append((seq_key(row.seq), data))
