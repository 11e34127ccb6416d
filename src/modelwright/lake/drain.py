"""Moves rows from the buffer to the tables, in large batches, so that a crash at any step loses and doubles nothing.

The order is what makes it safe. First each table gets its rows in a commit that carries the sequence number; then the
mark of what is drained moves; then the buffer's entries go. After a crash before the mark, the next drain finds the
table's number and leaves out what it holds; after a crash behind it, the entries left over are deleted. Readers take
the tables' numbers into account in the same way, so they see every row once at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.lake import buffer
from modelwright.lake.arrow import QUARANTINE, arrow_schema, quarantine_table
from modelwright.lake.counters import counters, drained, save_drained
from modelwright.lake.rows import QuarantineRow
from modelwright.lake.store import key_seq, seq_key

if TYPE_CHECKING:
    from modelwright.lake.log import Log

ROLE = "drain"
BATCH_ROWS = 200_000
"""Rows moved in one round: what a drain holds in memory."""

DELETED_AT_ONCE = 2_000
"""Entries deleted in one transaction: writers wait no longer than it takes."""

unpack_quarantined = msgspec.msgpack.Decoder(QuarantineRow).decode


def drain(log: Log, at_least: int) -> int:
    """Move what is buffered, if it is `at_least` that many rows; see `Log.drain`."""
    moved = 0
    with log.workspace.attempt(ROLE) as held:
        if not held:
            return 0
        clear(log)
        with log.store.read() as txn:
            waiting = counters(log.store, txn).head - drained(log.store, txn)
        if waiting >= at_least:
            # What is written meanwhile waits for the next drain: else writers would keep this one at small commits.
            while moved < waiting and (rows := _round(log)):
                moved += rows
        _drain_quarantine(log)
    return moved


def _round(log: Log) -> int:
    """Move one batch; the number of rows moved, 0 when the buffer is empty."""
    with log.store.read() as txn:
        before = upto = drained(log.store, txn)
        pins = {name: log.tables.pin(name, arrow_schema(log.schema, name)) for name in log.schema.tables()}
        pending = buffer.Pending(log.schema)
        for entry in buffer.entries(log.store, txn, before):
            pending.add(entry, pins[entry.table].upto)
            upto = entry.last
            if upto - before >= BATCH_ROWS:
                break
    if upto == before:
        return 0
    for name in pins:
        rows = pending.table(name)
        if rows.num_rows:
            log.tables.append(name, rows, upto)
    mark(log, upto)
    clear(log)
    return upto - before


def mark(log: Log, upto: int) -> None:
    """Say that the tables hold the log up to there."""
    with log.store.alone() as transaction:
        save_drained(log.store, transaction.txn, upto)


def clear(log: Log) -> None:
    """Delete the buffer's entries that the tables hold."""
    with log.store.read() as txn:
        upto = drained(log.store, txn)
    while buffer.delete_upto(log.store, upto, DELETED_AT_ONCE):
        pass


def quarantined(log: Log, txn: Any, after: int) -> list[tuple[int, QuarantineRow]]:
    """Quarantined rows that are still buffered, with their own numbers, beyond a number."""
    with txn.cursor(db=log.store.db("quarantine")) as cursor:
        if not cursor.set_range(seq_key(after + 1)):
            return []
        return [(key_seq(key), unpack_quarantined(data)) for key, data in cursor]


def _drain_quarantine(log: Log) -> None:
    upto = log.tables.pin("quarantine", QUARANTINE).upto
    with log.store.read() as txn:
        rows = quarantined(log, txn, 0)
    fresh = [row for number, row in rows if number > upto]
    if fresh:
        log.tables.append("quarantine", quarantine_table(fresh), rows[-1][0])
    if rows:
        with log.store.alone() as transaction:
            for number, _ in rows:
                transaction.txn.delete(seq_key(number), db=log.store.db("quarantine"))
