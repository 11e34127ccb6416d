"""`modelwright ingest`: files into the log, bad rows into quarantine with the reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from modelwright.app.wiring import open_log, workspace_of
from modelwright.control.ahead import derive
from modelwright.core.errors import DataError, UsageError
from modelwright.ingest.files import Progress, Summary, ingest_files
from modelwright.lake.log import Log
from modelwright.spec.system import System

Paths = Mapping[str | None, Sequence[Path]]
"""Files by the event they are of: None for the system's own, else another one's name."""


def ingest(
    system: System, paths: Sequence[Path] = (), progress: Progress | None = None, event: str | None = None
) -> Summary:
    """Bring `paths` into the system's log, or all that the system declares sources of. What is there already counts once.

    `event` names the event they are of, where it is another than the system's own. Raises `DataError` where every row of a
    file went to quarantine, once the others are in the log.
    """
    other = None if event in (None, system.contract.name) else _other(system, str(event))
    given: Paths = {other: paths} if paths else source_paths(system)
    if event is not None:
        given = {of: files for of, files in given.items() if of == other}
    if not given:
        of = f" of {other}" if other else ""
        setting = f"history={{{other}: source.files(...)}}" if other else "source=source.files(...)"
        raise UsageError(f"System({system.name}) declares no source{of}; add {setting} or name files to ingest")
    with open_log(system, workspace_of(system)) as log:
        summary = into_log(system, log, given, progress)
        summary.outcomes += derive(log, system).added
        keep_history(system, log)
    require_rows(summary)
    return summary


def require_rows(summary: Summary) -> None:
    """Raise `DataError` where not a single row of a file could be used: that is no file of the system's, or it has changed."""
    if not summary.refused:
        return
    name, (rows, reason) = next(iter(summary.refused.items()))
    all_in = f"all its {rows:,} rows are in quarantine, one" if rows > 1 else "its only row is in quarantine"
    others = len(summary.refused) - 1
    more = f"; so it is with {others} more file{'s' if others > 1 else ''}" if others else ""
    raise DataError(
        f"{name}: {all_in} because of {reason}{more}; correct the file or the event's declaration, and bring it again"
    )


def into_log(system: System, log: Log, paths: Paths, progress: Progress | None = None) -> Summary:
    """The same into an open log, drained to the tables at once."""
    summary = Summary()
    try:
        for event, files in paths.items():
            label = system.label if event is None else None
            ingest_files(log, log.schema.contract_of(event), label, files, progress, event=event, summary=summary)
    finally:
        log.drain()
    return summary


def keep_history(system: System, log: Log) -> None:
    """Build what serving reads of each key, where it is not there: a serving process then starts on it, and never loads
    what reads the tables."""
    for view in (view.spec() for view in system.features):
        log.history.require([view.by], None if view.event == system.contract.name else view.event)


def source_paths(system: System) -> Paths:
    """The files of every declared source."""
    sources = {None: system.source} | dict(system.history)
    return {event: source.paths(system.home) for event, source in sources.items() if source is not None}


def _other(system: System, event: str) -> str:
    known = [contract.name for contract in system.others]
    if event not in known:
        events = ", ".join([system.contract.name, *known])
        raise UsageError(f"{event} is no event of System({system.name}); its events are {events}")
    return event
