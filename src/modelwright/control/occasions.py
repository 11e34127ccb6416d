"""When a candidate is to be trained: the declared triggers, the pace they keep, and the pause after a training that failed.

The controller asks at a decision point and trains. What was tried is in the journal, and read from it again after a restart.
"""

from bisect import insort
from datetime import datetime
from typing import Final

from modelwright.control.challenge import Write
from modelwright.core.clock import to_us
from modelwright.core.durations import duration_us
from modelwright.lake.journal import JournalRow
from modelwright.spec.system import System
from modelwright.spec.trigger import LoopView

RETRY_US: Final = duration_us("1h")
LONGEST_RETRY_US: Final = duration_us("7d")
"""After a failed training nothing is trained for so long, doubled with each that fails after it, up to the longest."""


class Occasions:
    """The triggers of one system. State: when candidates were trained, how many trainings failed in a row since, and which
    triggers are known to be held back by their pace."""

    def __init__(self, system: System, write: Write) -> None:
        self.trained_us = 0
        self._system = system
        self._write = write
        self._tried_us: list[int] = []
        self._failures = 0
        self._held: set[str] = set()

    def restore(self, row: JournalRow) -> bool:
        """Take in a row of the journal, in its order; whether it tells of a training that was not known."""
        fresh = False
        if row.kind == "trained" or (row.kind == "error" and row.evidence.get("number")):  # an attempt counts too
            at_us = to_us_text(row.at)
            fresh = at_us not in self._tried_us
            if fresh:
                self.tried(at_us, failed=row.kind == "error")
        if row.kind == "trigger":
            self._held.discard(row.evidence["trigger"])
        if row.kind == "alert" and "held" in row.evidence:
            self._held.add(row.evidence["held"])
        return fresh

    def tried(self, now_us: int, *, failed: bool) -> None:
        """A candidate was trained, or its training failed."""
        insort(self._tried_us, now_us)  # that of one beside the loop may be heard of later
        self._failures = self._failures + 1 if failed else 0
        if not failed:
            self.trained_us = max(self.trained_us, now_us)

    def look(self, view: LoopView) -> tuple[list[JournalRow], bool]:
        """Whether a training is due, and what the journal is told: the reason, or what is held back by its pace."""
        told: list[JournalRow] = []
        if self._failures and view.now_us < self._tried_us[-1] + self._pause_us():
            return told, False
        for trigger in self._system.retrain:
            reason, name = trigger.due(view), type(trigger).__name__
            if reason is None:
                continue
            held = trigger.pace.holds(view.now_us, self._tried_us)
            if held is None:
                self._held.discard(name)
                told.append(self._write("trigger", None, f"retrain: {reason}", {"trigger": name}))
                return told, True
            if name not in self._held:
                self._held.add(name)
                told.append(self._write("alert", None, f"no retraining yet: {reason}, but {held}", {"held": name}))
        return told, False

    def _pause_us(self) -> int:
        """How long nothing is trained after the failures so far."""
        return int(min(RETRY_US * 2.0 ** (self._failures - 1), LONGEST_RETRY_US))


def to_us_text(text: str) -> int:
    """Microseconds of a journal row's time."""
    return to_us(datetime.fromisoformat(text))
