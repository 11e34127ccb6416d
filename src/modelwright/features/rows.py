"""One key's history in memory: growable columns sorted by (time, sequence), as the kernel reads them.

The online host keeps one `Rows` for the events and one for the outcomes of each key it has seen.
"""

import numpy as np
from numpy.typing import NDArray

ROOM = 16
_NOTHING = np.empty(0, np.int64)


def EVENT_ROW(columns: int) -> np.dtype:
    """The record of one event: instant in microseconds, sequence number, encoded values in the contract's order."""
    return np.dtype([("at", "<i8"), ("seq", "<i8"), ("values", "<f8", (columns,))])


def OUTCOME_ROW(columns: int) -> np.dtype:
    """The record of one outcome: when known, its sequence number, its event's, the event's values and the label last.

    `columns` counts the event's columns.
    """
    return np.dtype([("known", "<i8"), ("seq", "<i8"), ("event_seq", "<i8"), ("values", "<f8", (columns + 1,))])


class Rows:
    """Rows of one key: `times`, `seq`, `event`, a column a row of `values`, masks likewise.

    Of outcomes, `corrected` holds the indices that a later outcome of the same event replaces, `following` its index.

    Arrays have room beyond the `n` rows in use. A row is held once: one whose sequence number is there already is
    passed over. Not safe for several threads.
    """

    def __init__(self, columns: int, masks: int) -> None:
        self.n = 0
        self.times = np.empty(ROOM, np.int64)
        self.seq = np.empty(ROOM, np.int64)
        self.event = np.empty(ROOM, np.int64)
        self.values = np.empty((columns, ROOM), np.float64)
        self.masks = np.empty((masks, ROOM), np.uint8)
        self.following: NDArray[np.int64] = _NOTHING
        self.corrected: NDArray[np.int64] = _NOTHING
        self._highest_seq = np.iinfo(np.int64).min
        self._highest_event = np.iinfo(np.int64).min

    def fill(
        self, times: NDArray[np.int64], seq: NDArray[np.int64], event: NDArray[np.int64], values: NDArray[np.float64],
        masks: NDArray[np.uint8],
    ) -> None:  # fmt: skip
        """Take a whole history at once, in any order; `values` is (rows, columns), `masks` (masks, rows)."""
        order = np.lexsort((seq, times))
        self._reserve(len(order))
        self.n = len(order)
        self.times[: self.n] = times[order]
        self.seq[: self.n] = seq[order]
        self.event[: self.n] = event[order]
        self.values[:, : self.n] = values[order].T
        self.masks[:, : self.n] = masks[:, order]
        if self.n:
            self._highest_seq = int(seq.max())
            self._highest_event = int(event.max())
            self._link()

    def before(self, seq: int) -> "Rows":
        """The rows of lower sequence number: these, where there is no other, or a copy."""
        kept = self.seq[: self.n] < seq
        if kept.all():
            return self
        rows = Rows(len(self.values), len(self.masks))
        held = slice(self.n)
        rows.fill(
            self.times[held][kept], self.seq[held][kept], self.event[held][kept], self.values[:, held][:, kept].T,
            self.masks[:, held][:, kept],
        )  # fmt: skip
        return rows

    def append(
        self, time: int, seq: int, event: int | None, values: NDArray[np.float64], masks: NDArray[np.uint8]
    ) -> None:
        """Add one row, at its place; `event` is an outcome's event's sequence number."""
        if seq <= self._highest_seq and bool((self.seq[: self.n] == seq).any()):
            return
        place = self.n
        if place > 0 and (self.times[place - 1], self.seq[place - 1]) > (time, seq):
            # Late: found by halving, since it may be later than thousands.
            place = int(np.searchsorted(self.times[: self.n], time, side="right"))
            while place > 0 and self.times[place - 1] == time and self.seq[place - 1] > seq:
                place -= 1
        # Outcomes mostly come in the order of their events: only one of an earlier event can be a correction.
        may_correct = event is not None and event <= self._highest_event
        corrects = may_correct and bool((self.event[: self.n] == event).any())
        self._reserve(self.n + 1)
        if place < self.n:
            for array in (self.times, self.seq, self.event, self.values, self.masks):
                array[..., place + 1 : self.n + 1] = array[..., place : self.n].copy()
        self.times[place] = time
        self.seq[place] = seq
        self.event[place] = -1 if event is None else event
        self.values[:, place] = values
        self.masks[:, place] = masks
        self.n += 1
        self._highest_seq = max(self._highest_seq, seq)
        self._highest_event = max(self._highest_event, -1 if event is None else event)
        if corrects or len(self.following):
            self._link()

    def _reserve(self, rows: int) -> None:
        room = len(self.times)
        if rows <= room:
            return
        room = max(rows, 2 * room)
        for name in ("times", "seq", "event", "values", "masks"):
            old = getattr(self, name)
            new = np.empty((*old.shape[:-1], room), old.dtype)
            new[..., : self.n] = old[..., : self.n]
            setattr(self, name, new)

    def _link(self) -> None:
        """Find each outcome's successor; nothing to hold where no event has two outcomes."""
        if self.event[0] < 0:
            return
        event = self.event[: self.n]
        order = np.argsort(event, kind="stable")
        same = event[order[1:]] == event[order[:-1]]
        if same.any():
            self.following = np.full(self.n, self.n, np.int64)
            self.following[order[:-1][same]] = order[1:][same]
            self.corrected = np.flatnonzero(self.following < self.n)
