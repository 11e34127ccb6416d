"""Each key's recent rows, ready for the kernel: the online state that a request reads.

For every tuple of key columns that a view asks for (`by`), the rows of a key lie in chunks that grow in the same
transaction as the log. All of it is a view of the log: `drop` deletes it and `require` builds it again, to the same
bytes. It never computes a feature.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from modelwright.core.errors import UsageError, WorkspaceError
from modelwright.lake import chunks
from modelwright.lake.rows import LogSchema, Value, pack, plain, unpack
from modelwright.lake.store import Store, Transaction
from modelwright.lake.strings import Strings

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.lake.log import Log

By = tuple[str, ...]
_REGISTER = b"history, live rows marked"
"""Its name tells the form of the rows: a history of an older form counts as none, and is built anew."""


class History:
    """The history of one log, by key.

    Numbers in `values` are float64 in the contract's order: booleans 0 and 1, texts their number in the dictionary,
    times microseconds, missing NaN; an outcome's row has the event's values and the label last. A key with a missing
    part has no history; the empty `by` has one key.
    """

    def __init__(self, store: Store, schema: LogSchema, strings: Strings, log: Log, *, readonly: bool) -> None:
        fields = schema.contract.fields
        self.event_row = np.dtype([("at", "<i8"), ("seq", "<i8"), ("live", "?"), ("values", "<f8", (len(fields),))])
        self.outcome_row = np.dtype(
            [("known", "<i8"), ("seq", "<i8"), ("event_seq", "<i8"), ("values", "<f8", (len(fields) + 1,))]
        )
        self._pack_event = struct.Struct(f"<qq?{len(fields)}d").pack
        self._pack_outcome = struct.Struct(f"<qqq{len(fields) + 1}d").pack
        self._row_bytes = {chunks.EVENTS: self.event_row.itemsize, chunks.OUTCOMES: self.outcome_row.itemsize}
        self._kinds = [field.kind for field in fields]
        self._texts = [(i, field.name) for i, field in enumerate(fields) if field.kind == "str"]
        self._schema = schema
        self._store = store
        self._strings = strings
        self._log = log
        self._readonly = readonly
        self._register: tuple[bytes, list[By], list[list[int]]] = (b"", [], [])

    def require(self, bys: Iterable[By]) -> None:
        """See that the histories by these key columns exist, and grow from now on; what is missing is built from the log.

        Raises `UsageError` for a column that is not the event's.
        """
        wanted = list(dict.fromkeys(tuple(by) for by in bys))
        for by in wanted:
            for column in by:
                if column not in self._schema.contract.names:
                    raise UsageError(f"history by {by}: {column!r} is no column of {self._schema.contract.name}")
        with self._store.read() as txn:
            held, _ = self._registered(txn)
        if all(by in held for by in wanted):
            return
        if self._readonly:
            raise WorkspaceError(
                f"{self._store.path}: history by {wanted} is not built, and the log is open to read only"
            )
        with self._store.alone() as transaction:
            self._require(transaction, wanted)

    def _require(self, transaction: Transaction, wanted: list[By]) -> None:
        held = list(self._registered(transaction.txn)[0])
        missing = [by for by in wanted if by not in held]
        if not held:
            transaction.txn.drop(self._store.db("history"), delete=False)
        self._build(transaction, {len(held) + i: by for i, by in enumerate(missing)})
        transaction.txn.put(_REGISTER, pack(held + missing), db=self._store.db("meta"))

    def load(self, by: By, key: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The key's events and outcomes, each in order of arrival, this thread's uncommitted rows included.

        Raises `WorkspaceError` where the history was not required, or is damaged.
        """
        transaction = self._store.current
        if transaction is not None:
            self.flush(transaction)
            return self._load(transaction.txn, by, key)
        with self._store.read() as txn:
            return self._load(txn, by, key)

    def drop(self) -> None:
        """Delete all of it; no history grows until `require`."""
        self._check_writable()
        with self._store.alone() as transaction:
            self._drop(transaction)

    def rebuild(self) -> None:
        """Delete all of it and build it again from the log, in one transaction: the remedy for damage."""
        self._check_writable()
        with self._store.alone() as transaction:
            held = list(self._registered(transaction.txn)[0])
            self._drop(transaction)
            self._require(transaction, held)

    def _drop(self, transaction: Transaction) -> None:
        transaction.txn.drop(self._store.db("history"), delete=False)
        transaction.txn.delete(_REGISTER, db=self._store.db("meta"))

    def _check_writable(self) -> None:
        if self._readonly:
            raise WorkspaceError(f"{self._store.path}: the log is open to read only; open it for writing")

    def verify(self) -> list[str]:
        """Check every chunk against its checksum; the damaged ones by name, none when all is well."""
        with self._store.read() as txn:
            bys, _ = self._registered(txn)
            found = []
            for series, number, key, chunk in chunks.damaged(txn, self._store.db("history"), self._row_bytes):
                kind = "events" if series == chunks.EVENTS else "outcomes"
                by = bys[number] if number < len(bys) else "(unknown)"
                found.append(f"{kind} by {by}, key {_key_text(key)}, chunk {chunk}")
        return found

    def add_event(
        self, transaction: Transaction, seq: int, at_us: int, values: Sequence[Any], *, live: bool = True
    ) -> None:
        """Note one event's row under every key it has; put by `flush`."""
        bys, places = self._registered(transaction.txn)
        if bys:
            row = self._pack_event(at_us, seq, live, *self._encoded(values, seq))
            self._note(transaction, chunks.EVENTS, places, values, row)

    def add_outcome(
        self, transaction: Transaction, seq: int, event_seq: int, known_us: int, value: Value, values: Sequence[Any]
    ) -> None:
        """Note one outcome's row, with its event's values, under every key the event has."""
        bys, places = self._registered(transaction.txn)
        if bys:
            label = self._label_number(value)
            row = self._pack_outcome(known_us, seq, event_seq, *self._encoded(values, event_seq), label)
            self._note(transaction, chunks.OUTCOMES, places, values, row)

    def add_events(self, transaction: Transaction, events: pa.Table) -> None:
        """Note many events; `events` has the log's columns, in order of sequence."""
        bys, _ = self._registered(transaction.txn)
        if bys and events.num_rows:
            from modelwright.lake.encode import matrix_of

            matrix = matrix_of(self._schema, self._strings, events)
            self._note_events(transaction, dict(enumerate(bys)), events, matrix)

    def add_outcomes(
        self, transaction: Transaction, outcomes: pa.Table, of_events: pa.Table, matrix: np.ndarray
    ) -> None:
        """Note many outcomes: their rows, the events they belong to, and the numbers of both (the label last)."""
        self._note_outcomes(
            transaction, dict(enumerate(self._registered(transaction.txn)[0])), outcomes, of_events, matrix
        )

    def grows(self, transaction: Transaction) -> bool:
        """Whether any history is kept at all."""
        return bool(self._registered(transaction.txn)[0])

    def flush(self, transaction: Transaction) -> None:
        """Put the rows that wait in the transaction: one put a chunk, however many rows it got."""
        if not transaction.chunks:
            return
        with transaction.txn.cursor(db=self._store.db("history")) as cursor:
            for start, rows in transaction.chunks.items():
                chunks.extend(cursor, start, b"".join(rows), self._row_bytes[start[:1]])
        transaction.chunks.clear()

    def _registered(self, txn: Any) -> tuple[list[By], list[list[int]]]:
        """The key columns whose history is kept, and their places in the contract. A view's number is its place here."""
        data = txn.get(_REGISTER, db=self._store.db("meta")) or b""
        known, bys, places = self._register
        if data != known:
            bys = [tuple(by) for by in unpack(data)] if data else []
            names = self._schema.contract.names
            places = [[names.index(column) for column in by] for by in bys]
            self._register = (bytes(data), bys, places)
        return bys, places

    def _encoded(self, values: Sequence[Any], event_seq: int) -> list[float]:
        numbers = list(values)
        for i, name in self._texts:
            if (text := numbers[i]) is not None:
                numbers[i] = event_seq if name == self._schema.contract.id else self._strings.id_of(name, text)
        # There are many NaN; the history holds one, so that a rebuild gives the same bytes.
        return [math.nan if number is None or is_nan(number) else number for number in numbers]

    def _label_number(self, value: Value) -> float:
        return float(self._strings.id_of(self._schema.label or "", value) if isinstance(value, str) else value)

    def _note(
        self, transaction: Transaction, series: bytes, places: list[list[int]], values: Sequence[Any], row: bytes
    ) -> None:
        for number, place in enumerate(places):
            key = key_bytes([values[i] for i in place])
            if key is not None:
                transaction.chunks.setdefault(chunks.prefix(series, number, key), []).append(row)

    def _load(self, txn: Any, by: By, key: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
        bys, places = self._registered(txn)
        if by not in bys:
            raise WorkspaceError(f"{self._store.path}: no history by {by} is kept; call history.require([{by}]) first")
        number = bys.index(by)
        name = key_bytes([self._like_stored(i, value) for i, value in zip(places[number], key, strict=True)])
        if name is None:
            return np.empty(0, self.event_row), np.empty(0, self.outcome_row)
        arrays = []
        for series, dtype in ((chunks.EVENTS, self.event_row), (chunks.OUTCOMES, self.outcome_row)):
            start = chunks.prefix(series, number, name)
            try:
                rows = chunks.read(txn, self._store.db("history"), start, dtype.itemsize)
            except chunks.DamagedChunkError as error:
                raise WorkspaceError(
                    f"{self._store.path}: the history by {by} of {key} is damaged ({error}); the log is not: call "
                    "history.rebuild()"
                ) from None
            arrays.append(np.frombuffer(bytearray(rows), dtype))
        return arrays[0], arrays[1]

    def _like_stored(self, place: int, value: Any) -> Any:
        value = plain(value)
        return float(value) if self._kinds[place] == "float" and value is not None else value

    def _build(self, transaction: Transaction, bys: dict[int, By]) -> None:
        """Build histories from the whole log: its tables and its buffer, which hold still while we hold the write lock."""
        from modelwright.lake.encode import matrix_of, numbers_of

        if not bys or not self._log.head():
            return
        events = self._log.events()
        matrix = matrix_of(self._schema, self._strings, events)
        self._note_events(transaction, bys, events, matrix)
        self.flush(transaction)
        if self._schema.label is None:
            return
        outcomes = self._log.outcomes()
        rows = np.searchsorted(events.column("_seq").to_numpy(), outcomes.column("_event_seq").to_numpy())
        labels = numbers_of(self._strings, self._schema.label, outcomes.column(self._schema.label))
        # The sequence column is always there: a table without columns would have no rows for the global history.
        of_events = events.select(["_seq", *{column for by in bys.values() for column in by}]).take(rows)
        self._note_outcomes(transaction, bys, outcomes, of_events, np.column_stack([matrix[rows], labels]))
        self.flush(transaction)

    def _note_events(self, transaction: Transaction, bys: dict[int, By], events: pa.Table, matrix: np.ndarray) -> None:
        time = self._schema.contract.time or "_arrived_at"
        rows = np.empty(events.num_rows, self.event_row)
        rows["at"] = events.column(time).cast("int64").to_numpy()
        rows["seq"] = events.column("_seq").to_numpy()
        rows["live"] = events.column("_live").to_numpy()
        rows["values"] = matrix
        self._note_many(transaction, chunks.EVENTS, bys, events, rows)

    def _note_outcomes(
        self, transaction: Transaction, bys: dict[int, By], outcomes: pa.Table, of_events: pa.Table, matrix: np.ndarray
    ) -> None:
        rows = np.empty(outcomes.num_rows, self.outcome_row)
        rows["known"] = outcomes.column("_known_at").cast("int64").to_numpy()
        rows["seq"] = outcomes.column("_seq").to_numpy()
        rows["event_seq"] = outcomes.column("_event_seq").to_numpy()
        rows["values"] = matrix
        self._note_many(transaction, chunks.OUTCOMES, bys, of_events, rows)

    def _note_many(
        self, transaction: Transaction, series: bytes, bys: dict[int, By], keyed: pa.Table, rows: np.ndarray
    ) -> None:
        from modelwright.lake.encode import rows_by_key

        for number, by in bys.items():
            for key, places in rows_by_key(keyed, by):
                start = chunks.prefix(series, number, key)
                transaction.chunks.setdefault(start, []).append(rows[places].tobytes())


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
