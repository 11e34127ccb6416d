"""The quality of what arrives while a release answers: volume, freshness, overdue outcomes, ranges, clocks.

Held against how rows arrived in the history that the release was trained on (`stats.arrivals`) and what its columns held
(`stats.reference`), from the log's rows as they come. All watches share one rate of false alarms with the monitor of drift:
each has a share of it, and false alarms of several never come more often than those of all together. What changes is told
once, and again when it has ended. Of missing values, of values that are more often large or small, and of texts unheard of
`monitoring.drift` tells. Nothing is decided here, and nothing looked up.
"""

from collections.abc import Hashable, Iterable

import msgspec

from modelwright.core.clock import iso
from modelwright.monitoring.change import Change
from modelwright.monitoring.clocks import ClockWatch
from modelwright.monitoring.findings import likelier
from modelwright.monitoring.overdue import OverdueWatch
from modelwright.monitoring.ranges import RangeWatch
from modelwright.monitoring.requests import RequestWatch, in_order
from modelwright.monitoring.silence import SilenceWatch
from modelwright.monitoring.volume import VolumeWatch
from modelwright.release.folder import Release
from modelwright.stats.arrivals import Arrivals
from modelwright.stats.predictions import Array

DRIFT_SHARE, VOLUME_SHARE, SILENCE_SHARE, OVERDUE_SHARE, RANGE_SHARE, CLOCK_SHARE = 0.6, 0.1, 0.05, 0.1, 0.04, 0.02
"""Of all false alarms; the silence of events and that of outcomes have one share each. The rest is `monitoring.requests`'."""


class QualityMonitor:
    """Of one release. State: the watches, and what has changed so far, in order. `columns`: what its requests are asked with."""

    def __init__(self, usual: Arrivals, since_us: int, every_us: int, columns: RangeWatch | None = None) -> None:
        self._since_us = since_us
        self.changes: list[Change] = []
        self._volume = None if usual.volume is None else VolumeWatch(usual.volume, since_us, every_us, VOLUME_SHARE)
        self._events, self._outcomes = (
            None if silence is None else SilenceWatch(silence, of, since_us, every_us, SILENCE_SHARE)
            for silence, of in ((usual.events, "events"), (usual.outcomes, "outcomes"))
        )
        self._overdue = (
            None if usual.overdue is None else OverdueWatch(usual.overdue, since_us, every_us, OVERDUE_SHARE)
        )
        self._columns = columns
        self._clocks = ClockWatch(since_us, every_us, CLOCK_SHARE)

    def event(self, key: Hashable, at_us: int, delay_us: int | None = None) -> None:
        """An event came, so long after its own time, where it has an arrival apart from it; those from before the release went
        live are none of its own."""
        if at_us < self._since_us:
            return
        if self._volume is not None:
            self.changes.extend(self._volume.event(at_us))
        if self._events is not None:
            self.changes.extend(self._events.row(at_us))
        if self._overdue is not None:
            self._overdue.event(key, at_us)
        if delay_us is not None:
            self.changes.extend(self._clocks.event(delay_us, at_us))

    def asked(self, numbers: Array, begin_us: int, end_us: int) -> None:
        """The release was asked: `numbers` [n, numeric inputs] of consecutive requests between these times."""
        if self._columns is not None:
            self.changes.extend(self._columns.block(numbers, begin_us, end_us))

    def outcome(self, key: Hashable, known_us: int) -> None:
        """The outcome of an event became known."""
        if known_us < self._since_us:
            return
        if self._outcomes is not None:
            self.changes.extend(self._outcomes.row(known_us))
        if self._overdue is not None:
            self._overdue.outcome(key, known_us)

    def tick(self, now_us: int) -> None:
        """It is that late, and whatever came before has been told."""
        for watch in (self._volume, self._events, self._outcomes, self._overdue):
            if watch is not None:
                self.changes += watch.tick(now_us)


class QualityWatch:
    """The monitor of whichever release is followed. `every_us`: the time in which one false alarm may happen. `until_us`: where
    the clock is the data's, when the events end: that nothing comes later says nothing. `requests`: of the server that runs."""

    def __init__(self, every_us: int) -> None:
        self._every_us = every_us
        self.until_us: int | None = None
        self.requests = RequestWatch(every_us)
        self.release: str | None = None
        self.monitor: QualityMonitor | None = None

    def follow(self, release: Release, since_us: int) -> None:
        """Watch what has come since this release went live, against what it was trained on."""
        self.release = release.name
        columns = RangeWatch(release, since_us, self._every_us, RANGE_SHARE)
        self.monitor = QualityMonitor(release.references.arrivals, since_us, self._every_us, columns)

    def event(self, key: Hashable, at_us: int, delay_us: int | None = None) -> None:
        """An event came, so long after its own time; None where the clock is the data's."""
        if self.monitor is not None:
            self.monitor.event(key, at_us, delay_us)

    def asked(self, numbers: Array, begin_us: int, end_us: int) -> None:
        """The followed release was asked: `numbers` [n, numeric inputs] of consecutive requests between these times."""
        if self.monitor is not None:
            self.monitor.asked(numbers, begin_us, end_us)

    def outcome(self, key: Hashable, known_us: int) -> None:
        """The outcome of an event became known."""
        if self.monitor is not None and (self.until_us is None or known_us <= self.until_us):
            self.monitor.outcome(key, known_us)

    def changes(self, now_us: int) -> list[Change]:
        """What has changed for the followed release by that moment, in order of when it was noticed."""
        if self.monitor is None:
            return []
        self.monitor.tick(now_us if self.until_us is None else min(now_us, self.until_us))
        return in_order([*self.monitor.changes, *self.requests.changes])


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One time that something was off, as people read it: `ended` is None while it is, `sure` empty where a bound was passed."""

    what: str
    of: str
    name: str
    since: str
    noticed: str
    ended: str | None
    change: str
    sure: str
    size: float


def troubles_of(changes: Iterable[Change]) -> list[Trouble]:
    """Each time with its beginning and its end, those that have not ended first, then the newest."""
    found: dict[tuple[str, str, int], tuple[Change, str | None]] = {}
    for change in changes:
        key = (change.what, change.of, change.began_us)
        if change.state == "raised":
            found[key] = (change, None)
        elif key in found:
            found[key] = (found[key][0], iso(change.since_us))
    troubles = [
        Trouble(
            what=change.what, of=change.of, name=change.name, since=iso(change.since_us), noticed=iso(change.at_us), ended=ended,
            change=change.change, sure="" if change.log10 is None else likelier(change.log10), size=change.size,
        )
        for change, ended in found.values()
    ]  # fmt: skip
    newest = sorted(troubles, key=lambda one: one.noticed, reverse=True)
    return sorted(newest, key=lambda one: one.ended is not None)
