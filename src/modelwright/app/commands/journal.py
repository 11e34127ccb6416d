"""`modelwright journal`: what was decided and why, one row a decision."""

from modelwright.app.wiring import Trial, open_log, trial_of, workspace_of
from modelwright.lake.journal import JournalRow
from modelwright.spec.system import System


def journal(system: System, of: Trial | None = None) -> list[JournalRow]:
    """The rows in order, the chain verified; `of` the last rehearsal or replay instead of the running system."""
    with open_log(system, trial_of(system, of) if of else workspace_of(system), readonly=True) as log:
        log.journal.verify()
        return list(log.journal.rows())
