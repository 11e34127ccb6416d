"""`modelwright ingest`: files into the log, bad rows into quarantine with the reason."""

from collections.abc import Sequence
from pathlib import Path

from modelwright.app.wiring import open_log, workspace_of
from modelwright.core.errors import UsageError
from modelwright.ingest.files import Progress, Summary, ingest_files
from modelwright.lake.log import Log
from modelwright.spec.system import System


def ingest(system: System, paths: Sequence[Path] = (), progress: Progress | None = None) -> Summary:
    """Bring `paths`, or the declared source, into the system's log. What is there already counts once."""
    given = list(paths) or source_paths(system)
    with open_log(system, workspace_of(system)) as log:
        return into_log(system, log, given, progress)


def into_log(system: System, log: Log, paths: Sequence[Path], progress: Progress | None = None) -> Summary:
    """The same into an open log, drained to the tables at once."""
    try:
        return ingest_files(log, system.contract, system.label, paths, progress)
    finally:
        log.drain()


def source_paths(system: System) -> list[Path]:
    """The files of the declared source; UsageError where none is declared."""
    if system.source is None:
        raise UsageError(
            f"System({system.name}) declares no source; add source=source.files(...) or name files to ingest"
        )
    return system.source.paths(system.home)
