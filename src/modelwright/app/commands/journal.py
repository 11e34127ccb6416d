"""`modelwright journal`: what was decided and why, one row a decision."""

from modelwright.app.wiring import open_log, rehearsal_of, workspace_of
from modelwright.lake.journal import JournalRow
from modelwright.spec.system import System


def journal(system: System, *, rehearsal: bool = False) -> list[JournalRow]:
    """The rows in order, the chain verified. `rehearsal`: those of the last rehearsal instead of the running system."""
    log = open_log(system, rehearsal_of(system) if rehearsal else workspace_of(system), readonly=True)
    log.journal.verify()
    return list(log.journal.rows())
