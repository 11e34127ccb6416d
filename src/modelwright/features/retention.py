"""Which rows of a key the online host gives up, so that memory is bounded by the windows.

Rows that no request of now reads are dropped; where windows begin at whole steps, rows of past steps are given up for tiles.
Either way the states are first made independent of them. The last instant at which a request would read one of them is
noted: for a request from before it the key is loaded again. Nothing here is reached more than once in many rows.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelwright.core.durations import duration_us
from modelwright.features.held import NO_ARENA, NO_TILES, Held
from modelwright.features.kernel.operations import OPERATIONS
from modelwright.features.plan import Plan, Source, Step
from modelwright.features.rows import NEVER, Rows

SLACK_US: Final = duration_us("1h", "slack")
"""Rows are kept for this long beyond the longest window, for requests that come late."""


class Retention:
    """Drops and folds rows of one plan's keys. `kernel` holds those of single reads; `steps` and `parameters` are as it
    takes them; a key with `few` rows keeps them all."""

    def __init__(
        self,
        plan: Plan,
        kernel: Any,
        steps: NDArray[np.int64],
        parameters: NDArray[np.float64],
        nothing: Rows,
        few: int,
    ) -> None:
        self._kernel = kernel
        self._steps = steps
        self._parameters = parameters
        self._few = few
        self._windows = {
            source: {(step.over_us, step.step_us, step.most) for step in plan.steps if step.source == source}
            for source in plan.masks
        }
        windowed = [step for step in plan.steps if step.source == "event" and step.over_us]
        self._step_us = plan.step_us if windowed and all(map(_in_tiles, windowed)) else None
        self._longest_us = max((step.over_us for step in windowed), default=0)
        self._tile_bytes = kernel.tile_of(
            steps, parameters, nothing.times, nothing.values, nothing.masks, 0, 0, 0
        ).nbytes  # fmt: skip

    def bound(self, held: Held, now_us: int, worth: float) -> None:
        """Drop or fold the rows of a key that no request of now reads, where it is much of them; say when to look again.
        `worth`: how many bytes of tiles a byte of rows is worth."""
        at_us = now_us - SLACK_US
        for source in self._windows:
            rows = held.rows(source)
            if source == "event" and self._fold(held, at_us, worth):
                continue
            count = rows.droppable(self._unread(source, rows, at_us)) if rows.n > self._few else 0
            if count > self._few and 2 * count >= rows.n:
                wanted_until_us = self._wanted_until(source, rows, count)
                self.settle(held, source, count, False)
                rows.drop(count, wanted_until_us)
                if source == "event":
                    held.tiles = NO_TILES  # they are older still
        most = max(held.events.n, held.outcomes.n)
        held.drop_at = max(most + most // 4, 2 * self._few)

    def _unread(self, source: Source, rows: Rows, now_us: int) -> int:
        """How many rows from the front no request at or after an instant reads, but for aggregates over all history."""
        past = count = rows.count_before(now_us)
        for over, step, most in self._windows[source]:
            if over:
                edge = now_us - over
                left = rows.count_before(edge - edge % step if step else edge)
                count = min(count, max(left, past - most) if most and source == "event" else left)
        return count

    def _wanted_until(self, source: Source, rows: Rows, count: int) -> int:
        """The last instant at which a request would read one of the first rows. Of outcomes some may be corrected, so
        the newest `most` reach back to no certain row."""
        last = NEVER
        dropped = int(rows.times[count - 1])
        for over, step, most in self._windows[source]:
            until = (dropped // step + 1) * step - 1 + over if step else dropped + over
            if most and source == "event" and count + most <= rows.n:
                until = min(until, int(rows.times[count + most - 1]))
            last = max(last, until)
        return last

    def _fold(self, held: Held, now_us: int, worth: float) -> bool:
        """Give the rows of whole steps before an instant up for tiles; False, and nothing done, where they are no less."""
        if self._step_us is None:
            return False
        rows, step = held.events, self._step_us
        until = now_us - now_us % step
        count = rows.count_before(until)
        starts = rows.times[:count] - rows.times[:count] % step
        firsts = np.flatnonzero(np.diff(starts, prepend=starts[:1] - 1))
        row_bytes = 24 + 8 * len(rows.values) + len(rows.masks)
        if count <= self._few or 2 * count < rows.n or worth * count * row_bytes <= self._tile_bytes * len(firsts):
            return False
        made = [
            self._kernel.tile_of(
                self._steps, self._parameters, rows.times, rows.values, rows.masks, rows.base, rows.base + int(first),
                rows.base + int(last),
            )
            for first, last in itertools.pairwise([*firsts, count])
        ]  # fmt: skip
        if worth * count * row_bytes <= sum(arena.nbytes for arena in made):
            return False
        entries = [
            *_entries(held.tiles),
            *zip(starts[firsts].tolist(), (rows.base + firsts).tolist(), made, strict=True),
        ]
        edge = now_us - self._longest_us
        kept = [entry for entry in entries if entry[0] >= edge - edge % step]
        wanted_until_us = until - 1
        if len(kept) < len(entries):
            gone = entries[len(entries) - len(kept) - 1][0]
            wanted_until_us = max(wanted_until_us, gone + step - 1 + self._longest_us)
        self.settle(held, "event", count, True)
        rows.drop(count, wanted_until_us)
        held.tiles = _together(kept)
        return True

    def settle(self, held: Held, source: Source, count: int, in_tiles: bool) -> None:
        """Make the states independent of the first rows."""
        if held.arena is NO_ARENA:
            held.arena = self._kernel.begun(self._steps, self._parameters)
        if held.settled is NO_ARENA:
            held.settled = self._kernel.begun(self._steps, self._parameters)
        rows = held.rows(source)
        held.arena, held.settled = self._kernel.settle(
            self._steps, self._parameters, held.arena, held.settled, source == "outcome", rows.times, rows.values,
            rows.masks, rows.base, rows.base + count, in_tiles,
        )  # fmt: skip


def _in_tiles(step: Step) -> bool:
    """Whether a tile can stand for the rows of a windowed step; of a decayed mean it cannot."""
    return step.most == 0 and OPERATIONS[step.operation] != "ewm"


def _entries(tiles: NDArray[np.int64]) -> list[tuple[int, int, NDArray[np.int64]]]:
    """(first instant, number of the first row, arena) of each tile."""
    directory = tiles[1 : 1 + 3 * int(tiles[0])].reshape(-1, 3).tolist()
    bounds = itertools.pairwise([*(start for _, _, start in directory), len(tiles)])
    return [(at, row, tiles[start:end]) for (at, row, _), (start, end) in zip(directory, bounds, strict=True)]


def _together(entries: Sequence[tuple[int, int, NDArray[np.int64]]]) -> NDArray[np.int64]:
    """The tiles in one array, as the kernel takes them."""
    head = np.zeros(1 + 3 * len(entries), np.int64)
    head[0] = len(entries)
    place = len(head)
    for number, (at, row, arena) in enumerate(entries):
        head[1 + 3 * number : 4 + 3 * number] = at, row, place
        place += len(arena)
    return np.concatenate([head, *(arena for _, _, arena in entries)])
