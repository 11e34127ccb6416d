"""The parity port: how the loop has served features compared with recomputed ones, wherever that happens.

A check is of all that was answered since the last one. `InRehearsal` is the embedded implementation; `app.trainer_process`
has the log recomputed beside serving.
"""

from typing import Protocol

from modelwright.monitoring.ledger import Ledger
from modelwright.monitoring.parity import ParityReport


class ParityCheck(Protocol):
    """Compares what was answered since its last report; raises `ModelwrightError` where it cannot."""

    def check(self) -> ParityReport: ...


class InRehearsal:
    """A rehearsal answers from the very features that the offline host computed, so all there is to do is count: its
    journal is then the replay's, which was served over HTTP and had its features computed again."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._checked = 0

    def check(self) -> ParityReport:
        before, self._checked = self._checked, self._ledger.predictions
        return ParityReport(checked=self._checked - before)
