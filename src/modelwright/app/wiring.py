"""Where ports and their implementations are joined: which folder, which log, which clock. The only place that does."""

import os
import shutil
from pathlib import Path
from typing import Literal

from modelwright.core.clock import Clock, SystemClock
from modelwright.core.errors import UsageError
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.spec.system import System

FOLDER = ".modelwright"
Trial = Literal["rehearsal", "replay"]
BEGIN = {"rehearsal": "`modelwright rehearse`", "replay": "`modelwright run --replay FILE`"}
"""The command that makes a trial's log."""


def moved() -> Path | None:
    """Where `MODELWRIGHT_HOME` moves every state folder to."""
    said = os.environ.get("MODELWRIGHT_HOME")
    return Path(said) if said else None


def workspace_of(system: System) -> Workspace:
    """The system's state folder: `MODELWRIGHT_HOME`, or `.modelwright/` beside the system file."""
    return Workspace(moved() or system.home / FOLDER)


def workspace_beside(file: Path) -> Workspace:
    """The same of a system file that is not read."""
    return Workspace(moved() or file.parent / FOLDER)


def trial_of(system: System, kind: Trial) -> Workspace:
    """The folder of the last rehearsal or replay, inside the system's own: neither touches the system's log."""
    return Workspace(workspace_of(system).root / kind)


def log_schema(system: System) -> LogSchema:
    """The log's types from the declaration."""
    return LogSchema(system.contract, system.label.name, system.label.kind, system.others)


def open_log(system: System, workspace: Workspace, clock: Clock | None = None, *, readonly: bool = False) -> Log:
    """The log of a workspace. With `readonly` it must exist; UsageError says which command makes it."""
    if readonly and not workspace.log.exists():
        begin = BEGIN.get(workspace.root.name, "`modelwright train` or `modelwright run`")
        raise UsageError(f"{workspace.root} holds no log yet; begin with {begin}")
    return Log.open(workspace, log_schema(system), clock or SystemClock(), readonly=readonly)


def emptied(workspace: Workspace) -> Workspace:
    """The workspace with everything in it removed, but its locks, which somebody may hold."""
    for entry in workspace.root.iterdir() if workspace.root.is_dir() else ():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.suffix != ".lock":
            entry.unlink()
    return workspace
