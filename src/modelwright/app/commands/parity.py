"""`modelwright parity`: what live predictions were served with, against what is recomputed from the log."""

import time
from collections.abc import Callable
from datetime import timedelta

import msgspec

from modelwright.app.wiring import Trial, open_log, trial_of, workspace_of
from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError, UsageError
from modelwright.lake.log import Log
from modelwright.monitoring.parity import ParityReport, check_parity, last_of
from modelwright.spec.system import System

Since = str | int | timedelta


class ParityResult(ParityReport, kw_only=True):
    """What `parity --json` prints."""

    system: str
    seconds: float
    workspace: str


def parity(
    system: System,
    of: Trial | None = None,
    since: Since | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ParityResult:
    """Compare the features of every live prediction with the offline host's; works beside a running system.

    `of` the last replay instead. `since` a duration ("7d": the last week up to the newest prediction) or a sequence
    number (the predictions after it). Raises `UsageError` where there is no prediction to compare.
    """
    began = time.perf_counter()
    workspace = trial_of(system, of) if of else workspace_of(system)
    with open_log(system, workspace, readonly=True) as log:
        report = check_parity(log, _after(log, since), progress=progress)
    if not report.checked + report.shadow + sum(report.not_comparable.values()):
        wanted = "" if since is None else f" since {since}"
        raise UsageError(
            f"{workspace.root}: the log holds no predictions{wanted} to compare; ask for some first "
            "(`modelwright run`, then POST /predict)"
        )
    return ParityResult(
        **msgspec.structs.asdict(report),
        system=system.name,
        seconds=round(time.perf_counter() - began, 2),
        workspace=str(workspace.root),
    )


def _after(log: Log, since: Since | None) -> int:
    """The sequence number after which predictions are wanted."""
    if since is None:
        return 0
    if isinstance(since, int) or (isinstance(since, str) and since.isascii() and since.isdigit()):
        return int(since)
    try:
        return last_of(log, duration_us(since, "since"))
    except DeclarationError as error:
        raise UsageError(f'{error}; or a sequence number of the log, such as "120000"') from None
