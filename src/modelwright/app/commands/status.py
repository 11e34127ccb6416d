"""`modelwright status`: what is live and how well, and what the log holds."""

from typing import Any

import msgspec

from modelwright.app.wiring import Trial, open_log, trial_of, workspace_of
from modelwright.core.clock import iso
from modelwright.core.errors import ReleaseError
from modelwright.lake.log import Log
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.parity import LastParity, last_parity
from modelwright.monitoring.tail import LogReader
from modelwright.release.folder import open_release, read_manifest
from modelwright.spec.system import System


class Status(msgspec.Struct, kw_only=True):
    """What `status --json` prints: counts are of what is in the log; `others` are the rows of other events."""

    system: str
    champion: dict[str, Any] | None
    challenger: dict[str, Any] | None
    events: int
    predictions: int
    outcomes: int
    others: int
    metric: str
    live: float | None
    drift: dict[str, Any] | None
    quarantined: int
    parity: LastParity | None
    journal_rows: int
    workspace: str


def status(system: System, of: Trial | None = None) -> Status:
    """Read the log and the journal; works beside a running system. `of` the last rehearsal or replay instead."""
    workspace = trial_of(system, of) if of else workspace_of(system)
    with open_log(system, workspace, readonly=True) as log:
        pointer = log.journal.pointer()
        counts = log.counts()
        decisions = list(log.journal.rows())
        live, drift = _health(system, workspace, log, pointer.champion)
        return Status(
            system=system.name,
            champion=_release(workspace, pointer.champion, pointer.since_us),
            challenger=_release(workspace, pointer.challenger, pointer.since_us),
            events=counts["events"],
            predictions=counts["predictions"],
            outcomes=counts["outcomes"],
            others=counts.get("others", 0),
            metric=system.metric.name,
            live=live,
            drift=drift,
            quarantined=log.quarantined().num_rows,
            parity=last_parity(decisions),
            journal_rows=len(decisions),
            workspace=str(workspace.root),
        )


def _health(
    system: System, workspace: Workspace, log: Log, champion: str | None
) -> tuple[float | None, dict[str, Any] | None]:
    """The champion's live metric and drift, from the log."""
    if champion is None:
        return None, None
    try:
        release = open_release(workspace.releases / champion)
    except ReleaseError:  # its libraries may be absent where somebody only looks
        return None, None
    reader = LogReader(log, system.metric.name, release.manifest.classes)
    reader.follow(release)
    reader.catch_up()
    value = reader.ledger.value()
    return (None if value != value else value), msgspec.to_builtins(reader.drift.report()) if reader.drift else None


def _release(workspace: Workspace, name: str | None, since_us: int) -> dict[str, Any] | None:
    if name is None:
        return None
    manifest = read_manifest(workspace.releases / name)
    return {
        "release": name,
        "since": iso(since_us),
        "runtime": manifest.runtime,
        "kind": manifest.kind,
        "validation": manifest.metrics.get(manifest.metric),
        "trained_until": iso(manifest.trained_until_us),
    }
