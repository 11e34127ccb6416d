"""`modelwright rehearse`: a backtest of the whole system on its history, with a report and a journal of its own."""

import time
from typing import Any, Protocol

from modelwright.app.commands.ingest import into_log, source_paths
from modelwright.app.rehearsal import RehearseResult, result_of
from modelwright.app.report import render_report
from modelwright.app.tracking import track
from modelwright.app.wiring import emptied, open_log, trial_of, workspace_of
from modelwright.control.ahead import derive
from modelwright.control.material import read_material
from modelwright.control.rehearse import BLOCK, Rehearsal
from modelwright.control.trainer import InProcessTrainer
from modelwright.core.errors import TrainingError
from modelwright.lake.journal import JournalRow
from modelwright.spec.system import System


class Watcher(Protocol):
    """Who is told how a rehearsal goes: the terminal, or nobody."""

    def step(self, text: str) -> None:
        """What is being done, in a few words."""
        ...

    def replay(self, position: int, total: int, rows: list[JournalRow]) -> None:
        """How far the replay is, and what was just decided."""
        ...


class Silent:
    """Watches nothing."""

    def step(self, text: str) -> None: ...

    def replay(self, position: int, total: int, rows: list[JournalRow]) -> None: ...


def rehearse(
    system: System, *, start: float | None = None, watcher: Watcher | None = None, block: int = BLOCK
) -> RehearseResult:
    """Ingest the source, then replay what follows the first `start` of the events (by default a fifth, or more where
    outcomes come late) through the loop.

    Writes the report, and leaves the rehearsal's journal and releases in a folder of their own. Raises `TrainingError`
    where there is too little history.
    """
    watcher = watcher or Silent()
    began = time.perf_counter()
    main = workspace_of(system)
    with open_log(system, main) as log:
        if system.source is not None or system.history:
            watcher.step("reading the source")
            into_log(system, log, source_paths(system))
        derive(log, system)
        watcher.step("computing features, each as of its own moment")
        material = read_material(log, system)
    if not len(material.examples):
        raise TrainingError(f"the log of {system.name} is empty; declare a source or ingest files first")
    with main.exclusive("rehearsal"):
        return _replay(system, material, start, watcher, block, began)


def _replay(
    system: System, material: Any, start: float | None, watcher: Watcher, block: int, began: float
) -> RehearseResult:
    workspace = emptied(trial_of(system, "rehearsal"))
    with open_log(system, workspace) as log:
        trainer = InProcessTrainer(system, material, workspace.releases, watcher.step)
        rehearsal = Rehearsal(
            system, material, log.journal, trainer, workspace.releases, block=block, progress=watcher.replay
        )
        done = rehearsal.run(start)
        watcher.step("writing the report")
        result, data = result_of(system, material, done, workspace, log.journal, time.perf_counter() - began)
    workspace.reports.mkdir(parents=True, exist_ok=True)
    (workspace.reports / "rehearsal.html").write_text(render_report(data), encoding="utf-8")
    track(system, workspace, done.rows)
    return result
