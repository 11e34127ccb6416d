"""Each key's recent rows, ready for the kernel: the online state that a request reads.

For every tuple of key columns that a view asks for (`by`), the rows of a key lie in chunks that grow in the same
transaction as the log. All of it is a view of the log: `drop` deletes it and `require` builds it again, to the same
bytes; a damaged chunk is noticed by its checksum when it is read, and built again there and then. It never computes a
feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from modelwright.core.errors import UsageError, WorkspaceError
from modelwright.lake import chunks
from modelwright.lake.layout import EventLayout, OutcomeLayout
from modelwright.lake.register import By, Kept, Register
from modelwright.lake.rows import LogSchema, Value, events_table, pack, plain, unpack
from modelwright.lake.store import Store, Transaction
from modelwright.lake.strings import Strings

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.lake.log import Log

Pending = dict[bytes, list[bytes]]
"""Rows not yet put, by the prefix of their chunks' keys."""
TOLD = 20
"""Damaged chunks that the journal names; it counts them all."""


class OfEvent:
    """The history of another event alone, for a host that reads nothing else of the log."""

    def __init__(self, history: History, event: str) -> None:
        self._history = history
        self._event = event

    def load(self, by: By, key: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The key's rows, and no outcomes."""
        return self._history.load(by, key, self._event)


class History:
    """The history of one log, by key: of the system's own event, and of each other event apart.

    Numbers in `values` are float64 in the contract's order: booleans 0 and 1, texts their number in the dictionary,
    times microseconds, missing NaN; an outcome's row has the event's values and the label last. A key with a missing
    part has no history; the empty `by` has one key.
    """

    def __init__(self, store: Store, schema: LogSchema, strings: Strings, log: Log, *, readonly: bool) -> None:
        self._layouts = {None: EventLayout(schema.contract, None)} | {
            c.name: EventLayout(c, c.name) for c in schema.others
        }
        self._outcomes = OutcomeLayout(schema.contract)
        self._register = Register(store, self._layouts)
        self.event_row = self._layouts[None].row
        self._schema = schema
        self._store = store
        self._strings = strings
        self._log = log
        self._readonly = readonly

    def require(self, bys: Iterable[By], event: str | None = None) -> None:
        """See that the histories by these key columns exist, of another event where it is named, and grow from now on;
        what is missing is built from the log.

        Raises `UsageError` for a column that is not the event's.
        """
        contract = self._schema.contract_of(event)
        wanted: list[Kept] = [(event, by) for by in dict.fromkeys(tuple(by) for by in bys)]
        for _, by in wanted:
            for column in by:
                if column not in contract.names:
                    raise UsageError(f"history by {by}: {column!r} is no column of {contract.name}")
        with self._store.read() as txn:
            held = self._register.held(txn)
        if all(kept in held for kept in wanted):
            return
        if self._readonly:
            raise WorkspaceError(
                f"{self._store.path}: history by {[by for _, by in wanted]} is not built, and the log is open to read only"
            )
        with self._store.alone() as transaction:
            self._require(transaction, wanted)

    def _require(self, transaction: Transaction, wanted: list[Kept]) -> None:
        held = list(self._register.held(transaction.txn))
        missing = [kept for kept in wanted if kept not in held]
        if not held:
            transaction.txn.drop(self._store.db("history"), delete=False)
        self._register.put(transaction.txn, held + missing)
        for event in dict.fromkeys(event for event, _ in missing):
            bys = {len(held) + i: by for i, (of, by) in enumerate(missing) if of == event}
            for part in self._built(bys, self._layouts[event]):
                self._put(transaction.txn, part)

    def of(self, event: str) -> OfEvent:
        """The history of another event, to load from."""
        return OfEvent(self, event)

    def load(self, by: By, key: tuple[Any, ...], event: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The key's events and outcomes, each in order of arrival, this thread's uncommitted rows included; of another
        event its rows alone.

        Damage is repaired first. Raises `WorkspaceError` where the history was not required, and for damage where the
        log is open to read only.
        """
        try:
            return self._load(by, key, event)
        except chunks.DamagedChunkError as error:
            if self._readonly:
                raise WorkspaceError(
                    f"{self._store.path}: the history by {by} of {key} is damaged ({error}), and the log is open to read "
                    "only; the log itself is whole: serving repairs its history when it reads it"
                ) from None
        self.repair()
        return self._load(by, key, event)

    def drop(self) -> None:
        """Delete all of it; no history grows until `require`."""
        self._check_writable()
        with self._store.alone() as transaction:
            self._drop(transaction)

    def rebuild(self) -> None:
        """Delete all of it and build it again from the log, in one transaction."""
        self._check_writable()
        with self._store.alone() as transaction:
            held = list(self._register.held(transaction.txn))
            self._drop(transaction)
            self._require(transaction, held)

    def _drop(self, transaction: Transaction) -> None:
        transaction.txn.drop(self._store.db("history"), delete=False)
        self._register.delete(transaction.txn)

    def _check_writable(self) -> None:
        if self._readonly:
            raise WorkspaceError(f"{self._store.path}: the log is open to read only; open it for writing")

    def verify(self) -> list[str]:
        """Check every chunk against its checksum; the damaged ones by name, none when all is well."""
        with self._store.read() as txn:
            return [name for _, name in self._damaged(txn)]

    def repair(self) -> list[str]:
        """Build every key that has a damaged chunk again from the log; the chunks by name, none when all was well.

        It happens in this thread's write transaction, if one is open, and is told by an `error` row of the journal.
        Whatever stands in the way (`WorkspaceError`), what is stored stays as it was.
        """
        self._check_writable()
        with self._store.joined() as transaction:
            damaged = self._damaged(transaction.txn)
            if not damaged:
                return []
            starts = {start for start, _ in damaged}
            sound: Pending = {}
            for event, layout in self._layouts.items():
                for part in self._built(self._register.bys(transaction.txn, event), layout, only=starts):
                    for start, rows in part.items():
                        sound.setdefault(start, []).extend(rows)
            with transaction.txn.cursor(db=self._store.db("history")) as cursor:
                for start in starts:
                    chunks.delete(cursor, start)
            self._put(transaction.txn, sound)
            names = [name for _, name in damaged]
            self._log.journal.append(
                "error",
                self._log.clock.now_us(),
                summary=f"{len(names)} damaged chunks of the online history were built again from the log; see to the disk",
                evidence={"chunks": len(names), "damaged": names[:TOLD]},
            )
        return names

    def _damaged(self, txn: Any) -> list[tuple[bytes, str]]:
        """Every damaged chunk: the prefix of its key, and its name."""
        held = self._register.held(txn)
        found = []
        for start, chunk in chunks.damaged(txn, self._store.db("history"), partial(self._row_bytes, held)):
            series, number, key = chunks.parts(start)
            event, by = held[number] if number < len(held) else (None, "(unknown)")
            kind = "outcomes" if series == chunks.OUTCOMES else event or "events"
            found.append((start, f"{kind} by {by}, key {_key_text(key)}, chunk {chunk}"))
        return found

    def add_event(
        self, transaction: Transaction, seq: int, at_us: int, values: Sequence[Any], event: str | None = None,
        *, live: bool = True,
    ) -> None:  # fmt: skip
        """Note one event's row under every key it has; put by `flush`."""
        places = self._register.places(transaction.txn, event)
        if places:
            layout = self._layouts[event]
            row = layout.pack(at_us, seq, live, *layout.encoded(self._strings, values, seq))
            self._note(transaction, chunks.EVENTS, places, values, row)

    def add_outcome(
        self, transaction: Transaction, seq: int, event_seq: int, known_us: int, value: Value, values: Sequence[Any]
    ) -> None:
        """Note one outcome's row, with its event's values, under every key the event has."""
        places = self._register.places(transaction.txn, None)
        if places:
            label = self._label_number(value)
            encoded = self._layouts[None].encoded(self._strings, values, event_seq)
            row = self._outcomes.pack(known_us, seq, event_seq, *encoded, label)
            self._note(transaction, chunks.OUTCOMES, places, values, row)

    def add_events(self, transaction: Transaction, events: pa.Table, event: str | None = None) -> None:
        """Note many events; `events` has the log's columns, in order of sequence."""
        bys = self._register.bys(transaction.txn, event)
        if bys and events.num_rows:
            from modelwright.lake.encode import matrix_of

            layout = self._layouts[event]
            matrix = matrix_of(layout.contract, self._strings, events, layout.scope)
            self._note_many(transaction.chunks, chunks.EVENTS, bys, events, layout.rows(events, matrix))

    def add_outcomes(
        self, transaction: Transaction, outcomes: pa.Table, of_events: pa.Table, matrix: np.ndarray
    ) -> None:
        """Note many outcomes: their rows, the events they belong to, and the numbers of both (the label last)."""
        bys = self._register.bys(transaction.txn, None)
        self._note_many(transaction.chunks, chunks.OUTCOMES, bys, of_events, self._outcomes.rows(outcomes, matrix))

    def grows(self, transaction: Transaction) -> bool:
        """Whether any history of outcomes is kept at all."""
        return bool(self._register.places(transaction.txn, None))

    def flush(self, transaction: Transaction) -> None:
        """Put the rows that wait in the transaction: one put a chunk, however many rows it got."""
        if transaction.chunks:
            self._put(transaction.txn, transaction.chunks)
            transaction.chunks.clear()

    def _put(self, txn: Any, pending: Pending) -> None:
        held = self._register.held(txn)
        with txn.cursor(db=self._store.db("history")) as cursor:
            for start, rows in pending.items():
                chunks.extend(cursor, start, b"".join(rows), self._row_bytes(held, start))

    def _row_bytes(self, held: list[Kept], start: bytes) -> int:
        """The size of a row in the chunks whose keys begin so."""
        series, number, _ = chunks.parts(start)
        if series == chunks.OUTCOMES:
            return self._outcomes.row.itemsize
        return self._layouts[held[number][0] if number < len(held) else None].row.itemsize

    def _label_number(self, value: Value) -> float:
        return float(self._strings.id_of(self._schema.label or "", value) if isinstance(value, str) else value)

    def _note(
        self, transaction: Transaction, series: bytes, places: dict[int, list[int]], values: Sequence[Any], row: bytes
    ) -> None:
        for number, place in places.items():
            key = key_bytes([values[i] for i in place])
            if key is not None:
                transaction.chunks.setdefault(chunks.prefix(series, number, key), []).append(row)

    def _load(self, by: By, key: tuple[Any, ...], event: str | None) -> tuple[np.ndarray, np.ndarray]:
        transaction = self._store.current
        if transaction is not None:
            return self._read(transaction.txn, transaction.chunks, by, key, event)
        with self._store.read() as txn:
            return self._read(txn, {}, by, key, event)

    def _read(
        self, txn: Any, pending: Pending, by: By, key: tuple[Any, ...], event: str | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What is stored of a key and what waits to be; `DamagedChunkError`."""
        held = self._register.held(txn)
        if (event, by) not in held:
            raise WorkspaceError(f"{self._store.path}: no history by {by} is kept; call history.require([{by}]) first")
        number, layout = held.index((event, by)), self._layouts[event]
        named = zip(self._register.places(txn, event)[number], key, strict=True)
        name = key_bytes([_like_stored(layout.kinds[place], value) for place, value in named])
        if name is None:
            return np.empty(0, layout.row), np.empty(0, self._outcomes.row)
        arrays = []
        with txn.cursor(db=self._store.db("history")) as cursor:
            for series, dtype in ((chunks.EVENTS, layout.row), (chunks.OUTCOMES, self._outcomes.row)):
                start = chunks.prefix(series, number, name)
                rows = chunks.read(cursor, start, dtype.itemsize)
                for waiting in pending.get(start, ()):
                    rows += waiting
                arrays.append(np.frombuffer(rows, dtype))
        return arrays[0], arrays[1]

    def _built(self, bys: dict[int, By], layout: EventLayout, only: set[bytes] | None = None) -> Iterator[Pending]:
        """Histories of one event from the whole log, part by part in its order; `only` of these prefixes. The log holds
        still while we hold the write lock."""
        if not bys or not self._log.head():
            return
        from modelwright.lake.encode import matrix_of, numbers_of

        for events in self._log.batches(events_table(layout.event)):
            part: Pending = {}
            matrix = matrix_of(layout.contract, self._strings, events, layout.scope)
            self._note_many(part, chunks.EVENTS, bys, events, layout.rows(events, matrix), only)
            yield part
        if self._schema.label is None or layout.event is not None:
            return
        for outcomes in self._log.batches("outcomes"):
            event_seqs = outcomes.column("_event_seq").to_numpy()
            events = self._log.events_at(event_seqs)
            matrix = matrix_of(layout.contract, self._strings, events, layout.scope)
            labels = numbers_of(self._strings, self._schema.label, outcomes.column(self._schema.label))
            rows = np.searchsorted(events.column("_seq").to_numpy(), event_seqs)
            part = {}
            told = self._outcomes.rows(outcomes, np.column_stack([matrix[rows], labels]))
            self._note_many(part, chunks.OUTCOMES, bys, events.take(rows), told, only)
            yield part

    def _note_many(
        self,
        pending: Pending,
        series: bytes,
        bys: dict[int, By],
        keyed: pa.Table,
        rows: np.ndarray,
        only: set[bytes] | None = None,
    ) -> None:
        from modelwright.lake.encode import rows_by_key

        for number, by in bys.items():
            for key, places in rows_by_key(keyed, by):
                start = chunks.prefix(series, number, key)
                if only is None or start in only:
                    pending.setdefault(start, []).append(rows[places].tobytes())


def _like_stored(kind: str, value: Any) -> Any:
    value = plain(value)
    return float(value) if kind == "float" and value is not None else value


def key_bytes(values: Sequence[Any]) -> bytes | None:
    """The name of a key: its values as msgpack; None where one is missing. Minus zero is zero."""
    for value in values:
        if value is None or is_nan(value):
            return None
    return pack([value + 0.0 if isinstance(value, float) else value for value in values])


def is_nan(value: Any) -> bool:
    """Whether a value is the float that stands for missing."""
    return isinstance(value, float) and value != value  # faster than math.isnan, and any type will do


def _key_text(key: bytes) -> str:
    try:
        return repr(tuple(unpack(key)))
    except (msgspec.DecodeError, TypeError):  # what stands there may be a hash, or damaged itself
        return key.hex()
