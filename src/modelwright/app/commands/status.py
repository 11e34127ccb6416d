"""`modelwright status`: what is live and how well, what the log holds, and what happened since somebody last looked."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec

from modelwright.app.digest import Digest, digest, last_us, period_of
from modelwright.app.state import drift_state
from modelwright.app.wiring import Trial, open_log, trial_of, workspace_of
from modelwright.control.quality_alerts import turns_of
from modelwright.control.receiver import Receiver, receivers
from modelwright.core.clock import SystemClock, iso
from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError, ReleaseError, UsageError
from modelwright.lake.log import Log
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.answers import answers_of
from modelwright.monitoring.estimate import Estimate, ahead_of_outcomes
from modelwright.monitoring.ledger import Ledger
from modelwright.monitoring.parity import LastParity, last_parity
from modelwright.monitoring.quality import Trouble, troubles_of
from modelwright.monitoring.slices import Slices, latest_slices
from modelwright.monitoring.tail import LogReader
from modelwright.release.folder import open_release, read_manifest
from modelwright.spec.system import System


class Status(msgspec.Struct, kw_only=True):
    """What `status --json` prints: counts are of what is in the log; `others` are the rows of other events.

    `phase`: idle, shadow, canary where the challenger answers a `share` of the requests, or approval where it waits for a
    person; `paused` by one. `estimate`: the accuracy to expect of the champion's answers whose outcome is not due.
    `alerts`: how far each receiver was told. `slices`: the metric over the latest outcomes, with its interval, whole and by
    slice. `quality`: what is off in how data arrives. `digest`: the period that was asked for, in words.
    """

    system: str
    champion: dict[str, Any] | None
    challenger: dict[str, Any] | None
    phase: str
    share: float
    paused: bool
    events: int
    predictions: int
    outcomes: int
    others: int
    metric: str
    live: float | None
    slices: Slices | None
    estimate: Estimate | None
    drift: dict[str, Any] | None
    quality: list[Trouble]
    quarantined: int
    parity: LastParity | None
    alerts: list[Receiver]
    digest: Digest | None
    journal_rows: int
    workspace: str


def status(system: System, of: Trial | None = None, since: str | timedelta | None = None) -> Status:
    """Read the log and the journal; works beside a running system. `of` the last rehearsal or replay instead.

    `since` asks for a digest of that much time: up to now, or up to where the replay ended.
    """
    since_us = None if since is None else _asked(since)
    workspace = trial_of(system, of) if of else workspace_of(system)
    if since is not None and of == "rehearsal":
        raise UsageError(
            f"a rehearsal's answers are in its report, not in its log; see {workspace.reports / 'rehearsal.html'}"
        )
    with open_log(system, workspace, readonly=True) as log:
        pointer = log.journal.pointer()
        counts = log.counts()
        decisions = list(log.journal.rows())
        reader = _read(system, workspace, log, pointer.champion)
        until_us = SystemClock().now_us() if of is None else last_us(decisions, _ledger(system, reader))
        live, slices, estimate = _health(system, log, reader, pointer.champion, until_us)
        return Status(
            system=system.name,
            champion=_release(workspace, pointer.champion, pointer.since_us),
            challenger=_release(workspace, pointer.challenger, pointer.since_us),
            phase=pointer.phase,
            share=pointer.share,
            paused=pointer.paused,
            events=counts["events"],
            predictions=counts["predictions"],
            outcomes=counts["outcomes"],
            others=counts.get("others", 0),
            metric=system.metric.name,
            live=live,
            slices=slices,
            estimate=estimate,
            drift=None if reader is None else drift_state(reader.drift),
            quality=[one for one in troubles_of(turns_of(decisions)) if one.ended is None],
            quarantined=log.quarantined().num_rows,
            parity=last_parity(decisions),
            alerts=receivers(log.journal),
            digest=None if since_us is None else _digest(system, log, reader, since_us, until_us),
            journal_rows=len(decisions),
            workspace=str(workspace.root),
        )


def _asked(since: str | timedelta) -> int:
    try:
        return duration_us(since, "--since")
    except DeclarationError as error:
        raise UsageError(str(error)) from None


def _read(system: System, workspace: Workspace, log: Log, champion: str | None) -> LogReader | None:
    """The log, read; the champion's drift only where its libraries are at hand. None where nothing was ever live."""
    if champion is None:
        return None
    reader = LogReader(
        log, system.metric.name, read_manifest(workspace.releases / champion).classes, monitor=system.monitor
    )
    with suppress(ReleaseError):  # its libraries may be absent where somebody only looks
        reader.drift.follow(open_release(workspace.releases / champion))
    reader.catch_up()
    return reader


def _health(
    system: System, log: Log, reader: LogReader | None, champion: str | None, now_us: int
) -> tuple[float | None, Slices | None, Estimate | None]:
    """The live metric, whole and by slice, and the accuracy to expect where no outcome has come yet."""
    if reader is None or champion is None:
        return None, None, None
    value = reader.ledger.value()
    return (
        None if value != value else value,
        latest_slices(log, reader.ledger, system.monitor) if len(reader.ledger.account) else None,
        ahead_of_outcomes(reader.ledger, champion, now_us - system.label.delay_us),
    )


def _ledger(system: System, reader: LogReader | None) -> Ledger:
    return Ledger(system.metric.name, ()) if reader is None else reader.ledger


def _digest(system: System, log: Log, reader: LogReader | None, length_us: int, until_us: int) -> Digest:
    rows = list(log.journal.rows())
    ledger = _ledger(system, reader)
    period = period_of(
        system, log.journal.pointer(), rows, ledger, answers_of(ledger), until_us - length_us, until_us,
        receivers(log.journal),
    )  # fmt: skip
    return digest(period)


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
