"""The persisted dictionary: every text of a column has one number, the same in every process and for good.

The kernel and the history know strings by number. Numbers are assigned inside the write transaction that is open, so
that a number and the rows that use it become durable together. The texts of the event's own id are not numbered again:
their number is the event's sequence number, so that a log of new ids does not grow a dictionary of them. A column of
another event is named behind it, `Login.country`, and has a dictionary of its own.
"""

import struct
from collections.abc import Callable, Iterable

from modelwright.core.errors import UsageError, WorkspaceError
from modelwright.lake.rows import LogSchema
from modelwright.lake.store import Store, text_key

CACHED = 200_000
"""Texts kept in memory; beyond, the cache starts afresh."""

_OWN_HEAD = struct.Struct(">cH")
_OTHER_HEAD = struct.Struct(">cHH")
_NUMBER = struct.Struct(">q")
_TEXT_ROOM = 480


class Strings:
    """The dictionary of one log.

    `sequence_of` gives the sequence number of an event's id, and `id_at` the id of a sequence number; an event is None
    for the system's own, or another's name. State: the cache
    of committed entries, owned here; it may be used from several threads.
    """

    def __init__(
        self,
        store: Store,
        schema: LogSchema,
        sequence_of: Callable[[str, str | None], int | None],
        id_at: Callable[[int], str | None],
        *,
        readonly: bool,
    ) -> None:
        # What the keys of a column's numbers and of its texts begin with.
        self._heads: dict[str, tuple[bytes, bytes]] = {}
        self._ids: dict[str, str | None] = {}
        for place, field in enumerate(schema.contract.fields):
            if field.kind == "str":
                self._heads[field.name] = (_OWN_HEAD.pack(b"t", place), _OWN_HEAD.pack(b"i", place))
                if field.name == schema.contract.id:
                    self._ids[field.name] = None
        if schema.label and schema.label_kind == "str":
            self._heads[schema.label] = (_OWN_HEAD.pack(b"t", 0xFFFF), _OWN_HEAD.pack(b"i", 0xFFFF))
        for number, contract in enumerate(schema.others):
            for place, field in enumerate(contract.fields):
                if field.kind == "str":
                    name = f"{contract.name}.{field.name}"
                    heads = (_OTHER_HEAD.pack(b"T", number, place), _OTHER_HEAD.pack(b"I", number, place))
                    self._heads[name] = heads
                    if field.name == contract.id:
                        self._ids[name] = contract.name
        self._store = store
        self._sequence_of = sequence_of
        self._id_at = id_at
        self._readonly = readonly
        self._cache: dict[tuple[str, str], int] = {}

    def find(self, column: str, text: str) -> int | None:
        """The number of a text, or None where it has none; never assigns."""
        if column in self._ids:
            return self._sequence_of(text, self._ids[column])
        number = self._cache.get((column, text))
        if number is not None:
            return number
        transaction = self._store.current
        if transaction is not None:
            number = transaction.strings.get((column, text))
            return self._get(transaction.txn, column, text) if number is None else number
        with self._store.read() as txn:
            return self._get(txn, column, text)

    def id_of(self, column: str, text: str) -> int:
        """The number of a text; a new text gets the next number, inside this thread's write transaction if one is open.

        For the event's own id it is the event's sequence number, and -1 while the event is not in the log.
        """
        if column in self._ids:
            sequence = self._sequence_of(text, self._ids[column])
            return -1 if sequence is None else sequence
        number = self._cache.get((column, text))
        if number is None:
            number = self.find(column, text)
        return self._assign(column, text) if number is None else number

    def ids_of(self, column: str, texts: Iterable[str]) -> list[int]:
        """The numbers of several texts, assigned in order where they are new."""
        with self._store.joined():
            return [self.id_of(column, text) for text in texts]

    def text_of(self, column: str, id: int) -> str:
        """The text of a number; `UsageError` for a number that was never assigned."""
        if column in self._ids:
            own = self._id_at(id)
            if own is not None:
                return own
        else:
            transaction = self._store.current
            key = self._head(column)[1] + _NUMBER.pack(id)
            if transaction is not None:
                data = transaction.txn.get(key, db=self._store.db("strings"))
            else:
                with self._store.read() as txn:
                    data = txn.get(key, db=self._store.db("strings"))
                    data = None if data is None else bytes(data)
            if data is not None:
                return bytes(data).decode()
        raise UsageError(f"{column}: no text of the log has the number {id}")

    def remember(self, entries: dict[tuple[str, str], int]) -> None:
        """Entries of a transaction that has been committed."""
        if len(self._cache) + len(entries) > CACHED:
            self._cache = {}
        self._cache.update(entries)

    def _get(self, txn: object, column: str, text: str) -> int | None:
        key = self._head(column)[0] + text_key(text, _TEXT_ROOM)
        data = txn.get(key, db=self._store.db("strings"))  # type: ignore[attr-defined]  # lmdb has no types
        if data is None:
            return None
        number: int = _NUMBER.unpack(data)[0]
        self.remember({(column, text): number})
        return number

    def _assign(self, column: str, text: str) -> int:
        if self._readonly:
            raise WorkspaceError(
                f"{self._store.path}: {column}={text!r} has no number, and the log is open to read only"
            )
        strings = self._store.db("strings")
        own_transaction = self._store.current is None
        with self._store.joined() as transaction:
            number = self._get(transaction.txn, column, text)
            if number is not None:
                return number
            of_text, prefix = self._head(column)
            number = 0
            with transaction.txn.cursor(db=strings) as cursor:
                beyond = prefix + b"\xff" * 8
                if (cursor.prev() if cursor.set_range(beyond) else cursor.last()) and cursor.key().startswith(prefix):
                    number = _NUMBER.unpack(cursor.key()[len(prefix) :])[0] + 1
            transaction.txn.put(of_text + text_key(text, _TEXT_ROOM), _NUMBER.pack(number), db=strings)
            transaction.txn.put(prefix + _NUMBER.pack(number), text.encode(), db=strings)
            transaction.strings[column, text] = number
        if own_transaction:
            self.remember(transaction.strings)
        return number

    def _head(self, column: str) -> tuple[bytes, bytes]:
        try:
            return self._heads[column]
        except KeyError:
            raise UsageError(f"{column!r} is no column of strings of this log") from None
