"""How many rows the log holds, kept in the transaction that adds them, so that nobody has to count."""

import struct
from dataclasses import dataclass
from typing import Any

from modelwright.lake.rows import TableName
from modelwright.lake.store import Store

COUNTED = frozenset({"events", "predictions", "outcomes"})
"""Tables that have a counter of their own."""
_FORM = struct.Struct("<6q")
_KEY = b"counters"
_DRAINED = b"drained"
_NUMBER = struct.Struct("<q")


@dataclass(slots=True)
class Counters:
    """The last sequence number given, and the rows of each kind; `others` are those of all other events together.

    Mutable: a writer owns it for one transaction.
    """

    head: int = 0
    events: int = 0
    predictions: int = 0
    outcomes: int = 0
    quarantined: int = 0
    others: int = 0

    def take(self, table: TableName, rows: int = 1) -> int:
        """Count rows of a table in, and give the first of their sequence numbers."""
        first = self.head + 1
        self.head += rows
        name = table if table in COUNTED else "others"
        setattr(self, name, getattr(self, name) + rows)
        return first

    def save(self, store: Store, txn: Any) -> None:
        """Put them into the transaction."""
        data = _FORM.pack(self.head, self.events, self.predictions, self.outcomes, self.quarantined, self.others)
        txn.put(_KEY, data, db=store.db("meta"))


def counters(store: Store, txn: Any) -> Counters:
    """The counters as the transaction sees them."""
    data = txn.get(_KEY, db=store.db("meta"))
    # A log of before there were other events has no number of them.
    return Counters() if data is None else Counters(*_FORM.unpack(bytes(data).ljust(_FORM.size, b"\0")))


def drained(store: Store, txn: Any) -> int:
    """The sequence number up to which the tables hold the log for certain."""
    data = txn.get(_DRAINED, db=store.db("meta"))
    return 0 if data is None else int(_NUMBER.unpack(data)[0])


def save_drained(store: Store, txn: Any, upto: int) -> None:
    """Say that the tables hold the log up to there."""
    txn.put(_DRAINED, _NUMBER.pack(upto), db=store.db("meta"))
