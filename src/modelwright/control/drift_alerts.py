"""Alarms of drift on their way into the journal: each once, also over a restart.

The monitor is built again from the log when the system starts, and raises the same alarms again; which of them the
journal already holds, the journal says. It decides nothing: what an alarm leads to is a trigger's business.
"""

from datetime import datetime
from typing import Any

import msgspec

from modelwright.core.clock import to_us
from modelwright.lake.journal import Journal, JournalRow
from modelwright.monitoring.drift import DriftAlarm, DriftWatch


class DriftAlerts:
    """Of the champion. State: the alarms of each release that are in the journal, and `change_us`, the newest of the changes
    that alarms have told of, by their own estimates (0: none)."""

    def __init__(self, watch: DriftWatch | None, journal: Journal) -> None:
        self._watch = watch
        self._written: dict[str, list[tuple[int, DriftAlarm]]] = {}
        self.change_us = 0
        for row in journal.rows():
            if row.kind == "alert" and "drifted" in row.evidence:
                self.written(row)

    def fresh(self, champion: str) -> list[DriftAlarm]:
        """What the journal does not hold yet."""
        if self._watch is None or self._watch.release is None or self._watch.release.name != champion:
            return []
        known = self._written.get(champion)
        return [alarm for alarm in self._watch.alarms() if known is None or alarm.at_us > known[-1][1].at_us]

    def written(self, row: JournalRow) -> None:
        """An alarm is in the journal."""
        assert row.release is not None
        at_us = to_us(datetime.fromisoformat(row.at))
        alarm = msgspec.convert(row.evidence, DriftAlarm)
        self._written.setdefault(row.release, []).append((at_us, alarm))
        began = [to_us(datetime.fromisoformat(one.since)) for one in alarm.drifted]
        self.change_us = max([self.change_us, *began])

    def since(self, champion: str | None, at_us: int) -> DriftAlarm | None:
        """Of the alarms about the champion that were written after a moment, that of the largest change; of equals the newest."""
        found = [alarm for written_us, alarm in self._written.get(champion or "", ()) if written_us > at_us]
        return max(reversed(found), key=lambda alarm: alarm.size, default=None)


def evidence_of(alarm: DriftAlarm) -> dict[str, Any]:
    """What the journal keeps of an alarm: all of it."""
    kept: dict[str, Any] = msgspec.to_builtins(alarm)
    return kept
