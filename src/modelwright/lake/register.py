"""Which histories a log keeps: of the system's own event or of another one, and by which of its columns.

Stored beside the rows, and read again in each transaction, since another process may have added one. A history's number is
its place here.
"""

from collections.abc import Mapping
from typing import Any

from modelwright.lake.layout import EventLayout
from modelwright.lake.rows import pack, unpack
from modelwright.lake.store import Store

By = tuple[str, ...]
Kept = tuple[str | None, By]
"""A history that is kept: of the system's own event (None) or of another one by its name, and its key columns."""
_REGISTER = b"history, live rows marked"
"""Its name tells the form of the rows: a history of an older form counts as none, and is built anew."""


class Register:
    """The histories of one log; `layouts` are its events."""

    def __init__(self, store: Store, layouts: Mapping[str | None, EventLayout]) -> None:
        self._store = store
        self._layouts = layouts
        self._known: tuple[bytes, list[Kept], dict[str | None, dict[int, list[int]]]] = (b"", [], {})

    def held(self, txn: Any) -> list[Kept]:
        """All of them, by their numbers."""
        return self._read(txn)[0]

    def places(self, txn: Any, event: str | None) -> dict[int, list[int]]:
        """Of an event's histories the places of their key columns in its contract, by their numbers."""
        return self._read(txn)[1].get(event, {})

    def bys(self, txn: Any, event: str | None) -> dict[int, By]:
        """Of an event's histories the key columns, by their numbers."""
        return {number: by for number, (of, by) in enumerate(self.held(txn)) if of == event}

    def put(self, txn: Any, held: list[Kept]) -> None:
        """Keep these from now on."""
        register = [by if event is None else (event, by) for event, by in held]
        txn.put(_REGISTER, pack(register), db=self._store.db("meta"))

    def delete(self, txn: Any) -> None:
        """Keep none."""
        txn.delete(_REGISTER, db=self._store.db("meta"))

    def _read(self, txn: Any) -> tuple[list[Kept], dict[str | None, dict[int, list[int]]]]:
        data = txn.get(_REGISTER, db=self._store.db("meta")) or b""
        known, held, places = self._known
        if data != known:
            held, places = [], {}
            for number, entry in enumerate(unpack(data) if data else []):
                event, by = entry if len(entry) == 2 and isinstance(entry[1], list) else (None, entry)
                names = self._layouts[event].contract.names
                held.append((event, tuple(by)))
                places.setdefault(event, {})[number] = [names.index(column) for column in by]
            self._known = (bytes(data), held, places)
        return held, places
