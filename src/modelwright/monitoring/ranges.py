"""Range: numbers of the event that are outside all that the reference ever saw, also where only some rows have them.

The share of such values is held against the largest that a reference of its size can have missed (`stats.outside`), under this
watch's part of the one rate of false alarms, shared out by what hangs on a column as drift's is. Features are left to drift:
they are out of range where their column is. Nothing is decided here.
"""

from collections.abc import Iterator

import numpy as np

from modelwright.monitoring.change import Change
from modelwright.monitoring.shares import ShareWatch
from modelwright.release.folder import Release
from modelwright.stats.outside import largest_share_outside
from modelwright.stats.predictions import Array
from modelwright.stats.reference import ColumnReference

MISLED = 0.01
"""The share of references that have missed more than is allowed for, of all columns together."""
LARGEST = 0.1
"""A reference that may have missed more than this says nothing about a range."""
TIMES = (10.0, 3.0)
"""Bets: the share outside is so many times what the reference may have missed."""


class RangeWatch:
    """Of one release's requests. State: each column's watch, how many rows it was told of, its latest value outside.

    A block in which a column has nothing outside is told with the next that has: the capital put in meanwhile is then put in
    as if at the beginning of the quiet rows, so that it is never more.
    """

    def __init__(self, release: Release, since_us: int, every_us: int, share: float) -> None:
        watched = list(_watched(release))
        importance = sum(reference.importance for _, reference, _ in watched)
        self._places = np.array([place for place, *_ in watched], dtype=np.intp)
        self._low = np.array([reference.low for _, reference, _ in watched], dtype=np.float64)
        self._high = np.array([reference.high for _, reference, _ in watched], dtype=np.float64)
        self._raised: set[int] = set()
        self._told = [0] * len(watched)
        self._rows = 0
        self._example = [0.0] * len(watched)
        self._watches = [
            self._watch(column, reference, bound, since_us, every_us, share * reference.importance / importance)
            for column, (_, reference, bound) in enumerate(watched)
        ]

    def block(self, numbers: Array, begin_us: int, end_us: int) -> Iterator[Change]:
        """Consecutive requests: `numbers` [n, numeric inputs], and when the first and the last of them came."""
        if not self._watches:
            return
        values = numbers[:, self._places]
        outside = (values < self._low) | (values > self._high)
        before, self._rows = self._rows, self._rows + len(values)
        if not self._raised and not outside.any():
            return
        for column in sorted(self._raised.union(np.flatnonzero(outside.any(axis=0)).tolist())):
            watch, faults = self._watches[column], values[outside[:, column], column]
            if before > self._told[column]:
                yield from watch.add(before - self._told[column], 0, begin_us)
            if len(faults):
                self._example[column] = float(faults[-1])
            self._told[column] = self._rows
            yield from watch.add(len(values), len(faults), end_us, begin_us)
            (self._raised.add if watch.raised else self._raised.discard)(column)

    def _watch(
        self, column: int, reference: ColumnReference, bound: float, since_us: int, every_us: int, share: float
    ) -> ShareWatch:
        def words(size: float, rows: int) -> str:
            example = f" (such as {self._example[column]:.6g})" if size else ""
            known = f"{reference.low:.6g} to {reference.high:.6g}, all that training saw"
            return f"{round(size * rows):,} of the last {rows:,} values{example} are outside {known}"

        return ShareWatch(
            "range", reference.name, bound, every_us, share, words,
            times=TIMES, inflation=max(1.0, reference.inflation), since_us=since_us,
        )  # fmt: skip


def _watched(release: Release) -> Iterator[tuple[int, ColumnReference, float]]:
    """Columns of the event that the model reads: the place among its numbers, the reference, what that may have missed."""
    pairs = zip(release.manifest.inputs, release.references.columns, strict=True)
    numbers = [(column.name, reference) for column, reference in pairs if column.kind == "number"]
    for place, (name, reference) in enumerate(numbers):
        if name in release.contract.names and reference.low is not None and reference.importance > 0:
            rows = sum(reference.counts[:-1]) / max(1.0, reference.inflation)
            bound = largest_share_outside(rows, MISLED / len(numbers))
            if bound <= LARGEST:
                yield place, reference, bound
