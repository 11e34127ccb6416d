"""What the drift monitor has found about the champion, as a person reads it: one entry a thing that has changed.

Made from alarms, of the live monitor or of the journal, for `status`, the console and the rehearsal report alike. Decides
nothing, and says nothing of columns that no alarm has named.
"""

from collections.abc import Iterable

import msgspec

from modelwright.core.clock import iso
from modelwright.monitoring.drift import DriftAlarm

ENDLESS = 9.0
"""From so large a power of 10 on, a greater one tells nobody more."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has changed for a release: `noticed` when, `since` when, `sure` how sure that is and `log10` the same as
    a power of 10, `size` its stability index, `change` it in its own terms. `importance` to the model, of all columns'
    together; None for relations of columns and for the score. `series`: the column it is, or is a feature of; else empty."""

    name: str
    release: str
    importance: float | None
    noticed: str
    since: str
    sure: str
    log10: float
    size: float
    change: str
    series: str = ""


def findings_of(alarms: Iterable[tuple[str, DriftAlarm]]) -> list[Finding]:
    """Of (release, alarm), those that matter most to the model first; among equals, in order of time."""
    found = [
        Finding(
            name=one.name, release=release, importance=one.importance, noticed=iso(alarm.at_us), since=one.since,
            sure=likelier(one.log10), log10=one.log10, size=one.size, change=one.change,
            series=one.series,
        )
        for release, alarm in alarms
        for one in alarm.drifted
    ]  # fmt: skip
    return sorted(found, key=lambda one: -(one.importance or 0.0))


def folded(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Those of one series and one release together, in the order of the first of each: lags and windows of a column that moves
    all move, and a person wants to read of it once."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for place, one in enumerate(findings):
        groups.setdefault((one.release, one.series or f"\0{place}"), []).append(one)
    return list(groups.values())


def likelier(log10: float) -> str:
    """How much likelier the rows are under a change than without one, in words. It is the evidence for this change over the
    moment it began at, both found in the rows; that false alarms are rare is held by the alarm, not by this figure.

    >>> likelier(0.4), likelier(2.31), likelier(6.6), likelier(31.0)
    ('under 10 times likelier', '200 times likelier', '4 million times likelier', 'over a billion times likelier')
    """
    if log10 < 1:
        return "under 10 times likelier"
    if log10 >= ENDLESS:
        return "over a billion times likelier"
    times = float(f"{10**log10:.0e}")
    return f"{times / 1e6:,.0f} million times likelier" if times >= 1e6 else f"{times:,.0f} times likelier"
