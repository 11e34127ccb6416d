"""One table of the log, read part by part: what a whole pass over a long log needs, in a memory that does not grow.

Tables and buffer are one here as in `lake/log.py`, and every part belongs to one snapshot. It never writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from modelwright.lake import buffer
from modelwright.lake.arrow import arrow_schema, in_order, seq_column
from modelwright.lake.rows import TableName

if TYPE_CHECKING:
    from modelwright.lake.log import Log

SPAN = 500_000
"""Sequence numbers of one part, and so the most rows of it."""


def batches(log: Log, name: TableName, after: int, upto: int | None) -> Iterator[pa.Table]:
    """Rows with `after < sequence number <= upto` in order, none of the tables empty; see `Log.batches`."""
    column = seq_column(name)
    # The snapshot comes first: rows that leave the buffer after it are in the version of the table pinned next.
    with log.store.read() as txn:
        pinned = log.tables.pin(name, arrow_schema(log.schema, name))
        in_table = pinned.upto if upto is None else min(pinned.upto, upto)
        while after < in_table:
            end = min(after + SPAN, in_table)
            part = pinned.read(column, after, end)
            if part.num_rows:
                yield in_order(part, column)
            after = end
        if upto is not None and after >= upto:
            return
        after = max(after, pinned.upto)
        pending, last = buffer.Pending(log.schema), after
        for entry in buffer.entries(log.store, txn, after):
            if upto is not None and entry.first > upto:
                break
            if entry.table == name:
                pending.add(entry, after)
            if entry.last - last >= SPAN:
                yield from _within(pending.table(name), column, upto)
                pending, last = buffer.Pending(log.schema), entry.last
        yield from _within(pending.table(name), column, upto)


def _within(rows: pa.Table, column: str, upto: int | None) -> Iterator[pa.Table]:
    """The rows up to a sequence number, where there are any."""
    if upto is not None:
        rows = rows.slice(0, int(np.searchsorted(rows.column(column).to_numpy(), upto, side="right")))
    if rows.num_rows:
        yield rows


def events_at(log: Log, seqs: np.ndarray) -> pa.Table:
    """The events of these sequence numbers; see `Log.events_at`."""
    found = [arrow_schema(log.schema, "events").empty_table()]
    if len(seqs):
        for part in batches(log, "events", int(seqs.min()) - 1, int(seqs.max())):
            wanted = np.isin(part.column("_seq").to_numpy(), seqs)
            found.append(part if wanted.all() else part.filter(pa.array(wanted)))
    return pa.concat_tables(found)
