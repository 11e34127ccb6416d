"""The log: every event, prediction and outcome, in one order, safe from the moment it is acknowledged.

Everything else of a system is a view of it. New rows are in LMDB, older ones in Delta tables, and this file reads the
two as one: it takes a snapshot of LMDB first and the tables' newest version after it, and leaves out buffered rows that
a table holds already. It never trains, predicts or decides.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

import msgspec

from modelwright.core.clock import Clock
from modelwright.core.errors import UsageError, WorkspaceError
from modelwright.lake import buffer
from modelwright.lake.agreement import agreed
from modelwright.lake.counters import counters, drained
from modelwright.lake.history import History
from modelwright.lake.identity import Identity, id_key, identity_of, sequence_of
from modelwright.lake.journal import Journal
from modelwright.lake.rows import (
    Appended,
    EventCheck,
    EventRow,
    LabelCheck,
    LogSchema,
    OtherRow,
    PredictionRow,
    QuarantineRow,
    Row,
    TableName,
    events_table,
    pack,
)
from modelwright.lake.store import MAP_BYTES, Store, open_store, seq_key
from modelwright.lake.strings import Strings
from modelwright.lake.tables import Tables
from modelwright.lake.workspace import Workspace
from modelwright.lake.writer import Writer

if TYPE_CHECKING:
    import pyarrow as pa


class Log:
    """One system's log; made by `Log.open`, shared by the threads of a process, closed by `close`.

    `strings` is its dictionary, `journal` its decisions, `history` its rows by key.
    """

    def __init__(self, workspace: Workspace, schema: LogSchema, clock: Clock, store: Store, *, readonly: bool) -> None:
        self.workspace = workspace
        self.schema = schema
        self.clock = clock
        self.store = store
        self.readonly = readonly
        self.tables = Tables(workspace.tables, store)
        self.checks = {None: EventCheck(schema.contract)} | {c.name: EventCheck(c) for c in schema.others}
        self.label_check = LabelCheck(schema)
        self.writers = threading.local()
        self.strings = Strings(store, schema, self._sequence_of, self._id_at, readonly=readonly)
        self.journal = Journal(store, readonly=readonly)
        self.history = History(store, schema, self.strings, self, readonly=readonly)

    @classmethod
    def open(
        cls,
        workspace: Workspace,
        schema: LogSchema,
        clock: Clock,
        *,
        readonly: bool = False,
        map_bytes: int = MAP_BYTES,
    ) -> Log:
        """Open the workspace's log, or begin one. `map_bytes` is the room of the buffer, ids and histories.

        Other events that the log holds rows of stay in its schema, declared or not. Raises `WorkspaceError` where the
        log is of another declaration (naming the field that changed), cannot be read, or does not exist and is opened
        to read only.
        """
        if readonly and not (workspace.log / "data.mdb").exists():
            raise WorkspaceError(f"{workspace.root}: there is no log yet; ingest some events or start a run first")
        store = open_store(workspace.log, map_bytes)
        try:
            return cls(workspace, agreed(workspace, store, schema, readonly=readonly), clock, store, readonly=readonly)
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Let go of the environment; the last user of it in this process closes it."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self) -> Writer:
        """One write transaction, as a context manager: all processes' writers take turns, the commit is durable at
        exit, an exception aborts everything. Raises `WorkspaceError` where the log is open to read only."""
        self._check_writable()
        return Writer(self)

    def head(self) -> int:
        """The last sequence number committed, 0 for an empty log."""
        with self.store.read() as txn:
            return counters(self.store, txn).head

    def counts(self) -> dict[str, int]:
        """How many events, predictions and outcomes the log holds; `others`, where it knows any, are the rows of all
        other events."""
        with self.store.read() as txn:
            held = counters(self.store, txn)
        counts = {"events": held.events, "predictions": held.predictions, "outcomes": held.outcomes}
        return counts | ({"others": held.others} if self.schema.others else {})

    def buffered(self) -> int:
        """How many rows wait to be drained."""
        with self.store.read() as txn:
            return counters(self.store, txn).head - drained(self.store, txn)

    def tail(self, after: int, limit: int = 10_000) -> list[Row]:
        """Rows with `seq > after` in order, at most `limit`, wherever they lie; empty when there are none."""
        if limit < 1:
            raise UsageError(f"tail(limit={limit}): ask for at least one row")
        with self.store.read() as txn:
            return self.rows_between(txn, after, counters(self.store, txn).head, limit)

    def rows_between(self, txn: Any, after: int, upto: int, limit: int | None = None) -> list[Row]:
        """Rows with `after < seq <= upto` as a transaction sees them, at most `limit`: first those in the tables, then
        those in the buffer."""
        rows: list[Row] = []
        in_tables = min(drained(self.store, txn), upto)
        while after < in_tables and (limit is None or len(rows) < limit):
            # A sequence number is given once, so a span of so many numbers holds no more rows than wanted.
            end = in_tables if limit is None else min(in_tables, after + limit - len(rows))
            rows += self._rows_in_tables(after, end)
            after = end
        if after < upto and (limit is None or len(rows) < limit):
            for entry in buffer.entries(self.store, txn, after):
                if entry.first > upto:
                    break
                end = upto if limit is None else min(upto, max(after, entry.first - 1) + limit - len(rows))
                rows += entry.rows(self.schema, after, end)
                if limit is not None and len(rows) >= limit:
                    break
        return rows

    def _rows_in_tables(self, after: int, upto: int) -> list[Row]:
        from modelwright.lake.arrow import arrow_schema, rows_of, seq_column

        rows: list[Row] = []
        for name in self.schema.tables():
            part = self.tables.pin(name, arrow_schema(self.schema, name)).read(seq_column(name), after, upto)
            rows += rows_of(self.schema, name, part)
        rows.sort(key=lambda row: row.seq)
        return rows

    def events(self, event: str | None = None) -> pa.Table:
        """All events in order of sequence, or all rows of another event; columns as in `LogSchema.events`."""
        return self._between(events_table(event))

    def predictions(self, after: int = 0, upto: int | None = None) -> pa.Table:
        """Predictions with `after < seq <= upto`, by default all, in order of sequence; columns as in
        `LogSchema.predictions`."""
        return self._between("predictions", after, upto)

    def outcomes(self) -> pa.Table:
        """All outcomes in order of sequence, corrections included; columns as in `LogSchema.outcomes`."""
        return self._between("outcomes")

    def identity(self, id: str) -> Identity | None:
        """All that is stored under an event's id; None for a new one."""
        with self.store.read() as txn:
            data = txn.get(id_key(id), db=self.store.db("ids"))
            return None if data is None else identity_of(data)

    def answered(self, event_seq: int) -> PredictionRow | None:
        """What was answered for an event: the champion's prediction, wherever it lies; None where there is none."""
        from modelwright.lake.arrow import arrow_schema, rows_of

        with self.store.read() as txn:
            upto = drained(self.store, txn)
            for entry in buffer.entries(self.store, txn, max(event_seq, upto)):
                if entry.table == "predictions":
                    for row in entry.rows(self.schema, upto, entry.last):
                        if isinstance(row, PredictionRow) and (row.event_seq, row.role) == (event_seq, "champion"):
                            return row
        pinned = self.tables.pin("predictions", arrow_schema(self.schema, "predictions"))
        rows: list[Any] = rows_of(self.schema, "predictions", pinned.read("event_seq", event_seq - 1, event_seq))
        return next((row for row in rows if row.role == "champion"), None)

    def _between(self, name: TableName, after: int = 0, upto: int | None = None) -> pa.Table:
        """Rows with `after < seq <= upto`; with `upto` of a kind that is buffered one row an entry."""
        import pyarrow as pa

        from modelwright.lake.arrow import arrow_schema, in_order, seq_column

        # The snapshot comes first: rows that leave the buffer after it are in the version of the table pinned next.
        with self.store.read() as txn:
            pinned = self.tables.pin(name, arrow_schema(self.schema, name))
            pending = buffer.Pending(self.schema)
            beyond = max(pinned.upto, after)
            for entry in buffer.entries(self.store, txn, beyond):
                if upto is not None and entry.first > upto:
                    break
                if entry.table == name:
                    pending.add(entry, beyond)
        column = seq_column(name)
        whole = after == 0 and upto is None
        old = pinned.read() if whole else pinned.read(column, after, pinned.upto if upto is None else upto)
        return pa.concat_tables([in_order(old, column), pending.table(name)])

    def batches(self, name: TableName, after: int = 0, upto: int | None = None) -> Iterator[pa.Table]:
        """The same rows as tables one after the other, each of at most so many rows as a bounded memory holds: those
        with `after < sequence number <= upto`. A reader that stops early closes it."""
        from modelwright.lake.batches import batches

        return batches(self, name, after, upto)

    def events_at(self, seqs: Any) -> pa.Table:
        """The events of these sequence numbers (an array of int64), each once and in order."""
        from modelwright.lake.batches import events_at

        return events_at(self, seqs)

    def drain(self, *, at_least: int = 1) -> int:
        """Move buffered rows into the tables when there are `at_least` so many; gives how many were moved.

        One process drains at a time; where another does, this moves nothing. Repeat it after any crash.
        """
        self._check_writable()
        if self.store.current is None and self._nothing_to_drain(
            at_least
        ):  # asked often: no table library is loaded for it
            return 0
        from modelwright.lake.drain import drain

        return drain(self, at_least)

    def _nothing_to_drain(self, at_least: int) -> bool:
        with self.store.read() as txn:
            upto = drained(self.store, txn)
            few = counters(self.store, txn).head - upto < at_least
            left_over = next(buffer.entries(self.store, txn, 0), None)
            quarantined = txn.stat(self.store.db("quarantine"))["entries"]
        return few and not quarantined and (left_over is None or left_over.first > upto)

    def maintain(self) -> None:
        """Compact the tables' small files, write checkpoints, delete what has been unreferenced for a week. Does
        nothing while a drain runs."""
        from modelwright.lake.drain import ROLE

        self._check_writable()
        with self.workspace.attempt(ROLE) as held:
            if held:
                for name in (*self.schema.tables(), "quarantine"):
                    self.tables.maintain(name)

    def append_events(self, table: pa.Table, digests: list[bytes], event: str | None = None) -> Appended:
        """Append events of history files, of another event where it is named: `_id` and the contract's columns, and a
        digest of each row's body.

        An id that is known with the same digest is a duplicate and left out, with another one a conflict and left
        out; the first of a table wins. `_live` and `_arrived_at` may be given. Up to 50,000 rows are one transaction.

        Raises `DataError` naming a column that is absent, of another type or lacks an id or a time.
        """
        from modelwright.lake.bulk import append_events

        self._check_writable()
        return append_events(self, table, digests, event)

    def append_outcomes(self, table: pa.Table) -> Appended:
        """Append outcomes: `_id`, a column named as the label, `_known_at`. In the table's order, a later value for an
        event corrects the one before; equal repeats are duplicates; rows without a value are left out.

        Raises `DataError` naming a column that is absent, of another type or lacks an id or a time.
        """
        from modelwright.lake.bulk import append_outcomes

        self._check_writable()
        return append_outcomes(self, table)

    def quarantine(self, rows: list[QuarantineRow]) -> None:
        """Keep rows that could not enter the log, durably, with their reasons; one that is held already is kept once."""
        self._check_writable()
        with self.store.alone() as transaction:
            held = counters(self.store, transaction.txn)
            for row in rows:
                key = sha256(pack(msgspec.structs.replace(row, at_us=None))).digest()
                if not transaction.txn.put(key, b"", db=self.store.db("refused"), overwrite=False):
                    continue
                if row.at_us is None:
                    row = msgspec.structs.replace(row, at_us=self.clock.now_us())
                held.quarantined += 1
                transaction.txn.put(seq_key(held.quarantined), pack(row), db=self.store.db("quarantine"))
            held.save(self.store, transaction.txn)

    def quarantined(self) -> pa.Table:
        """All quarantined rows in order: file, row, column, reason, raw, at."""
        import pyarrow as pa

        from modelwright.lake.arrow import QUARANTINE, quarantine_table
        from modelwright.lake.drain import quarantined

        with self.store.read() as txn:
            pinned = self.tables.pin("quarantine", QUARANTINE)
            rows = [row for _, row in quarantined(self, txn, pinned.upto)]
        return pa.concat_tables([pinned.read(), quarantine_table(rows)])

    def _sequence_of(self, id: str, event: str | None) -> int | None:
        writer: Writer | None = getattr(self.writers, "writer", None)
        if writer is not None:
            found = writer.identity(id, event)
            return None if found is None else found.seq
        with self.store.read() as txn:
            data = txn.get(id_key(id, event), db=self.store.db("ids"))
            return None if data is None else sequence_of(data)

    def _id_at(self, seq: int) -> str | None:
        writer: Writer | None = getattr(self.writers, "writer", None)
        if writer is not None and seq > writer.head:
            return writer.id_at(seq)
        rows = self.tail(seq - 1, 1)
        return rows[0].id if rows and rows[0].seq == seq and isinstance(rows[0], EventRow | OtherRow) else None

    def _check_writable(self) -> None:
        if self.readonly:
            raise WorkspaceError(f"{self.workspace.root}: the log is open to read only; open it for writing")
