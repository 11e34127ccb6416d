"""The write-ahead buffer: rows that are safe in LMDB and not yet in the tables.

An entry lies under its first sequence number and is one row (msgpack) or a batch of rows of one kind (Arrow IPC behind
a short head). This file encodes, scans and deletes entries inside a transaction it is given; `lake/log.py` joins what
it finds with the tables.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwright.lake.rows import LogSchema, OtherRow, Row, TableName, event_of_table, events_table, unpack_row
from modelwright.lake.store import Store, key_seq, seq_key

if TYPE_CHECKING:
    import pyarrow as pa

_LETTER: dict[TableName, int] = {"events": ord("e"), "predictions": ord("p"), "outcomes": ord("o")}
_TABLE: dict[int, TableName] = {letter: name for name, letter in _LETTER.items()}
_OTHER = ord("x")
_BATCH = ord("A")
_BATCH_HEAD = struct.Struct(">BBq")
_NAME_BYTES = struct.Struct(">H")
"""What a batch of another event goes on with: the length of the event's name, and the name."""
_ROW_LETTER = 2
"""Where the tag's letter stands in a packed row: array head, string head, letter."""


class Entry(NamedTuple):
    """One entry of the buffer: its first and last sequence number, its table and its packed bytes."""

    first: int
    last: int
    table: TableName
    batch: bool
    data: Any

    def row(self) -> Row:
        """The row of an entry that is no batch."""
        return unpack_row(self.data)

    def rows(self, schema: LogSchema, after: int, upto: int) -> list[Row]:
        """The entry's rows with `after < seq <= upto`."""
        if not self.batch:
            return [unpack_row(self.data)] if after < self.first <= upto else []
        from modelwright.lake.arrow import rows_of

        skipped = max(0, after + 1 - self.first)
        table = self.arrow().slice(skipped, max(0, min(upto, self.last) - self.first + 1 - skipped))
        return rows_of(schema, self.table, table)

    def arrow(self) -> pa.Table:
        """The table of an entry that is a batch; its sequence numbers run from `first` to `last` without a gap."""
        from modelwright.lake.arrow import from_ipc

        start = _BATCH_HEAD.size
        if self.data[1] == _OTHER:
            start += _NAME_BYTES.size + _NAME_BYTES.unpack_from(self.data, start)[0]
        return from_ipc(bytes(self.data[start:]))


def batch(name: TableName, last: int, ipc: bytes) -> bytes:
    """The bytes of a batch entry."""
    event = event_of_table(name)
    if event is None:
        return _BATCH_HEAD.pack(_BATCH, _LETTER[name], last) + ipc
    text = event.encode()
    return _BATCH_HEAD.pack(_BATCH, _OTHER, last) + _NAME_BYTES.pack(len(text)) + text + ipc


def entries(store: Store, txn: Any, after: int) -> Iterator[Entry]:
    """Entries that hold a row with `seq > after`, in order. Their data is valid while the transaction is."""
    cursor = txn.cursor(db=store.db("buffer"))
    wanted = seq_key(after + 1)
    found = cursor.set_range(wanted)
    if not (found and bytes(cursor.key()) == wanted):
        # A batch that begins earlier may reach beyond `after`.
        if (cursor.prev() if found else cursor.last()) and (entry := _entry(cursor)).last > after:
            yield entry
        if not cursor.set_range(wanted):
            return
    while True:
        yield _entry(cursor)
        if not cursor.next():
            return


def _entry(cursor: Any) -> Entry:
    first, data = key_seq(cursor.key()), cursor.value()
    if data[0] == _BATCH:
        _, letter, last = _BATCH_HEAD.unpack_from(data)
        if letter == _OTHER:
            start = _BATCH_HEAD.size + _NAME_BYTES.size
            name = bytes(data[start : start + _NAME_BYTES.unpack_from(data, _BATCH_HEAD.size)[0]]).decode()
            return Entry(first, last, events_table(name), True, data)
        return Entry(first, last, _TABLE[letter], True, data)
    if data[_ROW_LETTER] == _OTHER:
        row = unpack_row(data)
        assert isinstance(row, OtherRow)
        return Entry(first, first, events_table(row.event), False, data)
    return Entry(first, first, _TABLE[data[_ROW_LETTER]], False, data)


class Pending:
    """Buffered rows of some tables on their way to Arrow: batches as they are, single rows gathered between them."""

    def __init__(self, schema: LogSchema) -> None:
        self._schema = schema
        self._parts: dict[TableName, list[Any]] = {}
        self._rows: dict[TableName, list[Row]] = {}

    def add(self, entry: Entry, after: int) -> None:
        """Take the entry's rows with `seq > after`."""
        if not entry.batch:
            if entry.first > after:
                self._rows.setdefault(entry.table, []).append(entry.row())
            return
        self._gather(entry.table)
        skipped = max(0, after + 1 - entry.first)
        self._parts.setdefault(entry.table, []).append(entry.arrow().slice(skipped))

    def _gather(self, name: TableName) -> None:
        from modelwright.lake.arrow import table_of

        if rows := self._rows.pop(name, None):
            self._parts.setdefault(name, []).append(table_of(self._schema, name, rows))

    def table(self, name: TableName) -> pa.Table:
        """All rows taken of one table, in order."""
        import pyarrow as pa

        from modelwright.lake.arrow import arrow_schema

        self._gather(name)
        return pa.concat_tables([arrow_schema(self._schema, name).empty_table(), *self._parts.get(name, [])])


def delete_upto(store: Store, upto: int, limit: int) -> bool:
    """Delete up to `limit` entries with `seq <= upto` in a transaction of its own; True when more are left."""
    with store.alone() as transaction, transaction.txn.cursor(db=store.db("buffer")) as cursor:
        if not cursor.first():
            return False
        for _ in range(limit):
            if key_seq(cursor.key()) > upto:
                return False
            # Deleting moves the cursor to the next entry; its key is empty past the last.
            cursor.delete()
            if not cursor.key():
                return False
        return True
