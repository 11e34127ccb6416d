"""How rows of a stream usually arrive: so many a period, never so long apart, and with an outcome by such an age.

Made from a training's history and kept in its release, in a few kilobytes; `monitoring.quality` holds what comes later against
it. Counts of a period are compared with what is usual at that hour, of the day or of the week where history shows such a
rhythm, by the square root that makes the spread of counts alike (Anscombe, Biometrika 1948). Nothing is taken to be
Poisson: how far counts usually stray is read from history, and so is how alike the counts of neighbouring periods are.
"""

import math
from typing import Final

import msgspec
import numpy as np

from modelwright.core.durations import duration_us
from modelwright.stats.inflation import inflation, scores_of_number
from modelwright.stats.predictions import Array
from modelwright.stats.reference import ColumnReference, reference_of_numbers

DAY_US, WEEK_US = duration_us("1d"), duration_us("7d")
PERIODS_US: Final = tuple(duration_us(text) for text in ("5m", "15m", "1h", "6h", "1d", "7d"))
LEAST_ROWS = 10
"""On average in a period: fewer say nothing about their number."""
LEAST_PERIODS = 40
WINDOW_US = 8 * WEEK_US
"""The newest part of history that counts, longer where it holds too little."""
ROUNDS = 4
"""So many days, or weeks, must be seen for a rhythm of the day, or of the week."""
BETTER = 0.9
"""A rhythm is taken where it leaves less than this share of the spread."""
MOMENTS = 100
"""Different moments of arrival that say how long none may come."""
DUE_SHARE, DUE_LATER = 0.99, 1.5
"""An outcome is due at so many times the age by which this share of the outcomes was known."""
EARLIEST_DUE_US = duration_us("1h")
WATCHED = 4_096
"""Events that may wait for their outcome while their age is watched: of more, every so many-th is."""


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """`expected` [slots]: rows a period, by the period's place in the day or the week (one slot: no rhythm). `strays`: how far
    periods strayed from it, as `stray` measures it."""

    period_us: int
    expected: tuple[float, ...]
    strays: ColumnReference

    def expected_at(self, begin_us: int) -> float:
        """Rows that are usual in the period that begins then."""
        return self.expected[begin_us // self.period_us % len(self.expected)]


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """`longest_us`: the longest time without a row among `moments` of arrival over `span_us`."""

    longest_us: int
    moments: int
    span_us: int

    def bound_us(self, every_us: int, share: float) -> int:
        """How long a silence must be to come, while nothing changes, less often than `share` times in `every_us`.

        Beyond the longest of n gaps, gaps are taken to die out at least exponentially: one of k times its length has the chance
        n^-k. It is never less than twice the longest.
        """
        of_them = max(1.0, self.moments * every_us / self.span_us)
        return int(self.longest_us * max(2.0, math.log(of_them / share) / math.log(self.moments)))


class Overdue(msgspec.Struct, frozen=True, kw_only=True):
    """Of events of the age `due_us`, how many had an outcome (`known`) and how many had none. Of the events that come, every
    `every`-th is watched."""

    due_us: int
    known: int
    overdue: int
    inflation: float = 1.0
    every: int = 1


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """How events and outcomes arrive; what history was too short for is None."""

    volume: Volume | None = None
    events: Silence | None = None
    outcomes: Silence | None = None
    overdue: Overdue | None = None


UNKNOWN = Arrivals()


def arrivals_of(at_us: Array, first_known_us: Array, known_us: Array, now_us: int) -> Arrivals:
    """`at_us` [n]: the events' moments; `first_known_us` [n]: when each one's outcome was known, anything later than `now_us`
    where it was not; `known_us` [m]: when outcomes arrived. All in order of time, and as known at `now_us`."""
    events = np.asarray(at_us)[: int(np.searchsorted(at_us, now_us, side="left"))]
    outcomes = np.asarray(known_us)[: int(np.searchsorted(known_us, now_us, side="right"))]
    return Arrivals(
        volume=volume_of(events, now_us),
        events=silence_of(events),
        outcomes=silence_of(outcomes),
        overdue=overdue_of(events, np.asarray(first_known_us)[: len(events)], now_us),
    )


def stray(rows: Array | float, expected: Array | float) -> Array:
    """How far a count strays from what is expected, in units in which counts of any size stray alike.

    >>> float(stray(100.0, 100.0)), round(float(stray(120.0, 100.0)), 1)
    (0.0, 1.9)
    """
    return np.asarray(2 * (np.sqrt(np.asarray(rows) + 0.375) - np.sqrt(np.asarray(expected) + 0.375)))


def volume_of(at_us: Array, now_us: int) -> Volume | None:
    """By the shortest period that usually holds some rows; None where there are too few periods of that."""
    if not len(at_us):
        return None
    for period_us in PERIODS_US:
        end = now_us // period_us
        begin = max(-(-int(at_us[0]) // period_us), end - max(WINDOW_US // period_us, 10 * LEAST_PERIODS))
        if end - begin < LEAST_PERIODS:
            return None
        rows = np.bincount(_periods(at_us, period_us, begin, end), minlength=end - begin).astype(float)
        if rows.mean() >= LEAST_ROWS:
            return _with_rhythm(rows, begin, period_us)
    return None


def silence_of(moments_us: Array) -> Silence | None:
    """The longest time between rows; None where there are too few."""
    if not len(moments_us):
        return None
    different = np.flatnonzero(np.diff(moments_us, prepend=moments_us[0] - 1))  # they are in order of time
    recent = different[np.searchsorted(moments_us[different], moments_us[-1] - WINDOW_US) :]
    moments = moments_us[recent if len(recent) >= MOMENTS else different[-4 * MOMENTS :]]
    if len(moments) < MOMENTS:
        return None
    span = int(moments[-1] - moments[0])
    return Silence(longest_us=int(np.diff(moments).max()), moments=len(moments), span_us=span)


def overdue_of(at_us: Array, first_known_us: Array, now_us: int) -> Overdue | None:
    """The age by which outcomes are known, and of how many events they are; None where there are too few."""
    told = first_known_us <= now_us
    # Of the youngest only early outcomes can be known: the older half of the events says how late they may come.
    older = np.zeros(len(at_us), dtype=bool)
    older[: len(at_us) // 2] = True
    if (told & older).sum() < MOMENTS:
        return None
    usual = float(np.quantile((first_known_us - at_us)[told & older], DUE_SHARE, method="higher"))
    due_us = max(EARLIEST_DUE_US, int(DUE_LATER * usual))
    settled = int(np.searchsorted(at_us, now_us - due_us, side="left"))
    if settled < MOMENTS:
        return None
    late = (first_known_us[:settled] > at_us[:settled] + due_us).astype(np.intp)  # "never" has no age that fits 64 bits
    overdue = int(late.sum())
    waiting = len(at_us) * due_us / max(1, now_us - int(at_us[0]))
    return Overdue(
        due_us=due_us, known=settled - overdue, overdue=overdue, inflation=inflation(late, np.eye(2)),
        every=max(1, math.ceil(waiting / WATCHED)),
    )  # fmt: skip


def _with_rhythm(rows: Array, begin: int, period_us: int) -> Volume:
    """With the rhythm, if any, that leaves clearly the least spread. With one, each period is compared with the others of its
    slot only, else the reference would stray less than what comes later."""
    chosen: tuple[float, ...] = (_figures(rows.mean()),)
    strays = stray(rows, chosen[0])
    least = float(np.mean(strays**2))
    for round_us in (DAY_US, WEEK_US):
        slots = round_us // period_us
        if slots < 2 or slots * ROUNDS > len(rows):
            continue
        place = (begin + np.arange(len(rows))) % slots
        sums, seen = np.bincount(place, rows, slots), np.bincount(place, minlength=slots)
        found = stray(rows, (sums[place] - rows) / np.maximum(seen[place] - 1, 1))
        spread = float(np.mean(found**2))
        if spread < BETTER * least:
            chosen, strays, least = tuple(_figures(one) for one in sums / np.maximum(seen, 1)), found, spread
    reference = reference_of_numbers("volume", strays)
    alike = inflation(reference.codes(strays), scores_of_number(np.asarray(reference.counts)))
    strays_of = msgspec.structs.replace(reference, inflation=alike)
    return Volume(period_us=period_us, expected=chosen, strays=strays_of)


def _periods(at_us: Array, period_us: int, begin: int, end: int) -> Array:
    """[rows within] each row's period, counted from `begin`."""
    within = at_us[np.searchsorted(at_us, begin * period_us) : np.searchsorted(at_us, end * period_us)]
    return np.asarray(within // period_us - begin, dtype=np.intp)


def _figures(value: float) -> float:
    return float(f"{value:.6g}")
