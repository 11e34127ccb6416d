"""Clocks: events that come before their own time, and a change of how long after it they typically come.

Of live events only, which have an arrival of their own; where the clock is the data's there is none, and nothing to judge.
That an event comes before its own time needs no history: some may, within what clocks differ. How long after it events come no
training has seen, so the first live events of a release and of a day at least are what is usual, in steps of about four times:
less is no matter. Under this watch's part of the one rate of false alarms. Nothing is decided here.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from modelwright.core.durations import about, duration_us
from modelwright.monitoring.change import Change
from modelwright.monitoring.episodes import Episodes
from modelwright.monitoring.shares import ShareWatch
from modelwright.stats.bets import bets_on_number
from modelwright.stats.inflation import inflation, scores_of_number
from modelwright.stats.predictions import Array

AHEAD_US = duration_us("1s")
"""Clocks in step differ by less."""
BOUND = 0.05
"""Of the events, up to so many may come before their own time."""
EDGES_US = tuple(
    map(duration_us, ("1s", "5s", "20s", "90s", "5m", "20m", "90m", "6h", "1d", "4d", "15d", "60d", "240d"))
)
BLOCK, BLOCK_US = 200, duration_us("1h")
"""Events that are counted together, fewer where the next is later than that."""
FIRST = 1_000
"""Events, and `FIRST_US` at least, that say what is usual."""
FIRST_US = duration_us("1d")


class ClockWatch:
    """Of one release. State: of every `every`-th event how long after its own time it came, until a block is full; what is usual,
    once that is known; and what is off."""

    def __init__(self, since_us: int, every_us: int, share: float) -> None:
        self._every_us = every_us
        self._share = share / 2
        self._ahead = ShareWatch("clock", "events", BOUND, every_us, share / 2, self._words, since_us=since_us)
        self._lead_us = 0
        self._events = 0
        self._every = 1
        self._open: list[int] = []
        self._begin_us = self._first_us = 0
        self._upto_us = since_us
        self._first: list[Array] = []
        self._usual: Episodes | None = None
        self._was = (0, 0)

    def event(self, delay_us: int, arrived_us: int) -> Iterable[Change]:
        """An event came so long after its own time; less than 0 where it came before."""
        self._events += 1
        if self._events % self._every:
            return ()
        if not self._open:
            self._begin_us = arrived_us
        self._open.append(delay_us)
        full = len(self._open) >= BLOCK or arrived_us - self._begin_us >= BLOCK_US
        return list(self._close(arrived_us)) if full else ()

    def _close(self, end_us: int) -> Iterator[Change]:
        delays, self._open = np.array(self._open), []
        ahead = delays < -AHEAD_US
        if ahead.any():
            self._lead_us = int(-np.median(delays[ahead]))
        yield from self._ahead.add(len(delays), int(ahead.sum()), end_us, self._begin_us)
        delays = delays[~ahead]  # of the others their clocks tell
        if self._usual is None:
            self._begin(delays, end_us)
        else:
            yield from self._held(self._usual, delays, end_us)
        self._upto_us = end_us

    def _words(self, size: float, rows: int) -> str:
        by = f", half of them by {_text(self._lead_us)} or more" if size else ""
        return f"{size:.1%} of {rows:,} come before their own time{by}; up to {BOUND:.0%} is taken as usual"

    def _begin(self, delays: Array, end_us: int) -> None:
        """What comes first is what is usual; of more than four times as many as are needed every second one is kept."""
        if not self._first:
            self._first_us = self._begin_us
        self._first.append(delays)
        rows = sum(map(len, self._first))
        if rows < FIRST:
            return
        if end_us - self._first_us < FIRST_US:
            if rows >= 4 * FIRST:
                self._first = [np.concatenate(self._first)[::2]]
                self._every *= 2
            return
        usual, self._first = np.concatenate(self._first), []
        codes = _codes(usual)
        counts = np.bincount(codes, minlength=len(EDGES_US) + 2)
        alike = inflation(codes, scores_of_number(counts))
        self._usual = Episodes(counts.tolist(), bets_on_number(counts), alike, self._share)
        self._was = _within(usual)

    def _held(self, usual: Episodes, delays: Array, end_us: int) -> Iterator[Change]:
        before = usual.since_us
        counts = np.bincount(_codes(delays), minlength=len(EDGES_US) + 2)
        lasted_us = max(1_000, end_us - self._upto_us)
        turn = usual.add(counts, lasted_us / self._every_us, self._begin_us)
        if turn is None:
            return
        half, most = _within(delays)
        was_half, was_most = self._was
        yield Change(
            what="delay", of="events", state=turn, at_us=end_us, since_us=usual.since_us,
            began_us=usual.since_us if turn == "raised" else before, log10=round(usual.log10, 2),
            size=float(f"{most / was_most:.4g}"),
            change=f"half come within {_text(half)} of their own time, nine in ten within {_text(most)}; "
            f"at first {_text(was_half)} and {_text(was_most)}",
        )  # fmt: skip


def _codes(delays: Array) -> Array:
    """[n] the step of each."""
    return np.asarray(np.searchsorted(EDGES_US, delays, side="right"))


def _within(delays: Array) -> tuple[int, int]:
    """The median and the ninth tenth, microseconds, each as much as clocks may differ by at least."""
    half, most = np.quantile(delays, (0.5, 0.9)).tolist() if len(delays) else (0, 0)
    return max(AHEAD_US, int(half)), max(AHEAD_US, int(most))


def _text(delay_us: int) -> str:
    """
    >>> _text(1_000_000), _text(240_000_000)
    ('1s', '240s')
    """
    return about(delay_us) if delay_us >= 10 * AHEAD_US else f"{delay_us / AHEAD_US:.2g}s"
