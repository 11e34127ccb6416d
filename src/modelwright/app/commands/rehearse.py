"""`modelwright rehearse`: a backtest of the whole system on its history, with a report and a journal of its own."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from modelwright.app.commands.ingest import into_log, source_paths
from modelwright.app.faults import faults_section
from modelwright.app.rehearsal import Figures, RehearseResult, positions_known, report_data
from modelwright.app.report import render_report
from modelwright.app.tracking import track
from modelwright.app.wiring import emptied, open_log, trial_of, workspace_of
from modelwright.control.ahead import derive
from modelwright.control.faults.effect import Effect, Side, effect_of
from modelwright.control.faults.fault import Damaged, Disturbance, Fault, Stretch
from modelwright.control.faults.grammar import parse_fault
from modelwright.control.material import Material, Tables, material_of, read_tables
from modelwright.control.rehearse import BLOCK, Rehearsal, Rehearsed, first_replayed
from modelwright.control.trainer import InProcessTrainer
from modelwright.core.errors import TrainingError
from modelwright.lake.journal import JournalRow
from modelwright.lake.log import Log
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.slices import columns_at
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


class Titled:
    """Tells how far one of several rehearsals is, and leaves its decisions to its journal."""

    def __init__(self, title: str, watcher: Watcher) -> None:
        self._title = title
        self._watcher = watcher

    def step(self, text: str) -> None:
        self._watcher.step(f"{self._title}: {text}")

    def replay(self, position: int, total: int, rows: list[JournalRow]) -> None:
        self._watcher.replay(position, total, [])


def rehearse(
    system: System, *, start: float | None = None, watcher: Watcher | None = None, block: int = BLOCK,
    inject: Sequence[str] = (),
) -> RehearseResult:  # fmt: skip
    """Ingest the source, then replay what follows the first `start` of the events (by default a fifth, or more where
    outcomes come late) through the loop; then again for each fault of `inject`, with it put in.

    Writes the report, and leaves the rehearsal's journal and releases in a folder of their own. Raises `TrainingError`
    where there is too little history, `UsageError` for a fault that cannot be put in.
    """
    watcher = watcher or Silent()
    began = time.perf_counter()
    asked = [parse_fault(text, system) for text in dict.fromkeys(inject)]
    tables = with_tables(system, watcher)
    watcher.step("computing features, each as of its own moment")
    material = material_of(tables, system)
    first = first_replayed(system, material, start)
    stretches = [fault.placed(material.examples.at_us, first) for fault in asked]
    damaged = [fault.put_into(tables, system, stretch) for fault, stretch in zip(asked, stretches, strict=True)]
    with workspace_of(system).exclusive("rehearsal"):
        workspace = emptied(trial_of(system, "rehearsal"))
        with open_log(system, workspace) as log:
            done = replayed(system, material, workspace, log, first, watcher, block=block)
            seconds = time.perf_counter() - began
            clean, effects = Side(material, done), []
            for number, (fault, stretch, one) in enumerate(zip(asked, stretches, damaged, strict=True), 1):
                folder = Workspace(workspace.root / "faults" / str(number))
                titled = Titled(fault.text, watcher)
                effects.append(_effect(system, fault, stretch, one, clean, folder, titled, block))
            watcher.step("writing the report")
            figures = Figures(system, material, done, workspace, log.journal, seconds, effects)
        workspace.reports.mkdir(parents=True, exist_ok=True)
        data = report_data(figures, _columns(system, material, done))
        page = render_report(data, faults_section(data["faults"], data["metric"]))
        (workspace.reports / "rehearsal.html").write_text(page, encoding="utf-8")
        track(system, workspace, done.rows)
    return figures.result


def _columns(system: System, material: Material, done: Rehearsed) -> dict[str, list[Any]]:
    """The event's columns at the replayed events whose outcome is known."""
    with open_log(system, workspace_of(system), readonly=True) as log:
        return columns_at(log, material.examples.seq[positions_known(done)].tolist())


def _effect(
    system: System, fault: Fault, stretch: Stretch, damaged: Damaged, clean: Side, workspace: Workspace,
    watcher: Watcher, block: int,
) -> Effect:  # fmt: skip
    """Rehearse once more with a fault put in, from the same event on, and hold it against the clean rehearsal."""
    watcher.step("computing features")
    material = material_of(damaged.tables, system)
    disturbance = fault.disturbance(stretch)
    with open_log(system, workspace) as log:
        done = replayed(
            system, material, workspace, log, clean.done.start, watcher, block=block, disturbance=disturbance
        )
    return effect_of(system, fault, stretch, damaged, disturbance, clean, Side(material, done))


def with_tables(system: System, watcher: Watcher) -> Tables:
    """Ingest the source and read the log. Raises `TrainingError` where it is empty."""
    with open_log(system, workspace_of(system)) as log:
        if system.source is not None or system.history:
            watcher.step("reading the source")
            into_log(system, log, source_paths(system))
        derive(log, system)
        tables = read_tables(log, system)
    if not len(tables.events):
        raise TrainingError(f"the log of {system.name} is empty; declare a source or ingest files first")
    return tables


def replayed(
    system: System, material: Material, workspace: Workspace, log: Log, first: int, watcher: Watcher,
    *, block: int = BLOCK, disturbance: Disturbance | None = None,
) -> Rehearsed:  # fmt: skip
    """Replay the material from position `first` on through the loop, its releases and journal in the trial's own workspace
    and log; with `disturbance`, what a fault does meanwhile."""
    disturbance = disturbance or Disturbance()
    trainer = disturbance.trainer(InProcessTrainer(system, material, workspace.releases, watcher.step))
    rehearsal = Rehearsal(
        system, material, log.journal, trainer, workspace.releases, block=block, progress=watcher.replay,
        given=disturbance.rows,
    )  # fmt: skip
    return rehearsal.run(first)
