"""One key's history in memory: growable columns sorted by (time, sequence), as the kernel reads them.

The online host keeps one `Rows` for the events and one for the outcomes of each key it has seen.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOM = 16
NEVER = -(2**63)
NONE = 2**62
_NOTHING = np.empty(0, np.int64)


def EVENT_ROW(columns: int) -> np.dtype:
    """The record of one event: instant in microseconds, sequence number, whether it is live, encoded values in the
    contract's order."""
    return np.dtype([("at", "<i8"), ("seq", "<i8"), ("live", "?"), ("values", "<f8", (columns,))])


def OUTCOME_ROW(columns: int) -> np.dtype:
    """The record of one outcome: when known, its sequence number, its event's, the event's values and the label last.

    `columns` counts the event's columns.
    """
    return np.dtype([("known", "<i8"), ("seq", "<i8"), ("event_seq", "<i8"), ("values", "<f8", (columns + 1,))])


class Rows:
    """Rows of one key: `times`, `seq`, `event`, a column a row of `values`, masks likewise.

    Rows are numbered from `base`, the number of rows dropped from the front; `dropped_us` is the latest of their times,
    `wanted_until_us` the last instant at which a request would read one of them.
    Of outcomes, `corrected` holds the indices that a later outcome of the same event replaces, `following` its index or
    `NONE`, and
    `latest_correction` is the last such; `masks` are 0 for what is replaced, and `raw_masks` are as appended.

    Arrays have room beyond the `n` rows in use. A row is held once: one whose sequence number is there already is
    passed over. Not safe for several threads.
    """

    def __init__(self, columns: int, masks: int) -> None:
        self.n = 0
        self.base = 0
        self.dropped_us = NEVER
        self.wanted_until_us = NEVER
        self.times = np.empty(ROOM, np.int64)
        self.seq = np.empty(ROOM, np.int64)
        self.event = np.empty(ROOM, np.int64)
        self.values = np.empty((columns, ROOM), np.float64)
        self.masks = np.empty((masks, ROOM), np.uint8)
        self.raw_masks = self.masks
        self.following: NDArray[np.int64] = _NOTHING
        self.corrected: NDArray[np.int64] = _NOTHING
        self.latest_correction = -1
        self.highest_seq = NEVER
        self.highest_event = NEVER

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
            self.highest_seq = int(seq.max())
            self.highest_event = int(event.max())
            self._link()

    def before(self, seq: int) -> "Rows":
        """The rows of lower sequence number: these, where there is no other, or a copy."""
        if self.highest_seq < seq:
            return self
        kept = self.seq[: self.n] < seq
        rows = Rows(len(self.values), len(self.masks))
        held = slice(self.n)
        rows.fill(
            self.times[held][kept], self.seq[held][kept], self.event[held][kept], self.values[:, held][:, kept].T,
            self.raw_masks[:, held][:, kept],
        )  # fmt: skip
        return rows

    def append(
        self, time: int, seq: int, event: int | None, values: NDArray[np.float64], masks: NDArray[np.uint8]
    ) -> int:
        """Add one row, at its place; `event` is an outcome's event's sequence number. Returns its number, or -1 where
        it is held already.
        """
        if seq <= self.highest_seq and bool((self.seq[: self.n] == seq).any()):
            return -1
        place = self.n
        if place > 0 and (self.times[place - 1], self.seq[place - 1]) > (time, seq):
            # Late: found by halving, since it may be later than thousands.
            place = int(np.searchsorted(self.times[: self.n], time, side="right"))
            while place > 0 and self.times[place - 1] == time and self.seq[place - 1] > seq:
                place -= 1
        corrects = event is not None and self.has_outcome_of(event)
        self._reserve(self.n + 1)
        arrays: list[NDArray[Any]] = [self.times, self.seq, self.event, self.values, self.masks]
        if self.raw_masks is not self.masks:
            arrays.append(self.raw_masks)
        if place < self.n:
            for array in arrays:
                array[..., place + 1 : self.n + 1] = array[..., place : self.n].copy()
        self.times[place] = time
        self.seq[place] = seq
        self.event[place] = -1 if event is None else event
        self.values[:, place] = values
        self.masks[:, place] = masks
        self.raw_masks[:, place] = masks
        self.n += 1
        self.highest_seq = max(self.highest_seq, seq)
        self.highest_event = max(self.highest_event, -1 if event is None else event)
        if len(self.following):
            self._keep_links(place)
        if corrects:
            self._link()
        return self.base + place

    def extend(
        self, times: NDArray[np.int64], seq: NDArray[np.int64], values: NDArray[np.float64], masks: NDArray[np.uint8]
    ) -> bool:
        """Add events at the end at once, shaped as `fill` takes them; False, and nothing done, where one of them is not
        after all before it.
        """
        if len(seq) == 0:
            return True
        in_order = bool((np.diff(times) >= 0).all() and (np.diff(seq) > 0).all())
        if not in_order or seq[0] <= self.highest_seq or (self.n and times[0] < self.times[self.n - 1]):
            return False
        end = self.n + len(seq)
        self._reserve(end)
        self.times[self.n : end] = times
        self.seq[self.n : end] = seq
        self.event[self.n : end] = -1
        self.values[:, self.n : end] = values.T
        self.masks[:, self.n : end] = masks
        self.n = end
        self.highest_seq = int(seq[-1])
        self.highest_event = max(self.highest_event, -1)
        return True

    def has_outcome_of(self, event: int) -> bool:
        """Whether an outcome of the event is held. Outcomes mostly come in the order of their events: only one of an
        earlier event is looked for.
        """
        return event <= self.highest_event and bool((self.event[: self.n] == event).any())

    def count_before(self, instant: int) -> int:
        """How many rows are older than an instant."""
        return int(np.searchsorted(self.times[: self.n], instant))

    def droppable(self, count: int) -> int:
        """How many of the first rows are not to be corrected by one that stays."""
        while True:
            early = self.corrected[self.corrected < count]
            pending = early[self.following[early] >= count]
            if not len(pending):
                return count
            count = int(pending[0])

    def drop(self, count: int, wanted_until_us: int) -> None:
        """Give the first rows up, one at least."""
        self.wanted_until_us = max(self.wanted_until_us, wanted_until_us)
        self.dropped_us = max(self.dropped_us, int(self.times[count - 1]))
        own_raw = self.raw_masks is not self.masks
        left = self.n - count
        for name in ("times", "seq", "event", "values", "masks", *(["raw_masks"] if own_raw else [])):
            held = getattr(self, name)
            kept = np.empty((*held.shape[:-1], max(ROOM, left + left // 2)), held.dtype)
            kept[..., :left] = held[..., count : self.n]
            setattr(self, name, kept)
        if not own_raw:
            self.raw_masks = self.masks
        self.n = left
        self.base += count
        if len(self.following):
            following = self.following[count : count + left]
            self.following = np.where(following < NONE, following - count, NONE)
            self.corrected = np.flatnonzero(self.following < NONE)
            self.latest_correction -= count

    def _reserve(self, rows: int) -> None:
        room = len(self.times)
        if rows <= room:
            return
        own_raw = self.raw_masks is not self.masks
        room = max(rows, 2 * room)
        for name in ("times", "seq", "event", "values", "masks", *(["raw_masks"] if own_raw else [])):
            old = getattr(self, name)
            new = np.empty((*old.shape[:-1], room), old.dtype)
            new[..., : self.n] = old[..., : self.n]
            setattr(self, name, new)
        if not own_raw:
            self.raw_masks = self.masks

    def _keep_links(self, place: int) -> None:
        """Tell the links of a row that was put in at a place."""
        if self.n > len(self.following):
            longer = np.full(len(self.event), NONE, np.int64)
            longer[: self.n - 1] = self.following[: self.n - 1]
            self.following = longer
        if place == self.n - 1:
            self.following[place] = NONE
            return
        following = self.following[: self.n - 1]
        moved = np.where((following >= place) & (following < NONE), following + 1, following)
        self.following[: self.n] = np.insert(moved, place, NONE)
        self.corrected = np.flatnonzero(self.following[: self.n] < NONE)
        self.latest_correction += self.latest_correction >= place

    def _link(self) -> None:
        """Find each outcome's successor; nothing to hold where no event has two outcomes."""
        if self.event[0] < 0:
            return
        event = self.event[: self.n]
        order = np.argsort(event, kind="stable")
        same = event[order[1:]] == event[order[:-1]]
        if same.any():
            self.following = np.full(len(self.event), NONE, np.int64)
            self.following[order[:-1][same]] = order[1:][same]
            self.corrected = np.flatnonzero(self.following < NONE)
            self.latest_correction = int(self.following[self.corrected].max())
            if self.raw_masks is self.masks:
                self.raw_masks = self.masks.copy()
            self.masks[:, self.corrected] = 0
