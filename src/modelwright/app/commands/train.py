"""`modelwright train`: one tracked candidate: data, fit, compile, gates, register. Promoted only where nothing is live."""

import time
from typing import Any

import msgspec

from modelwright.app.commands.ingest import into_log, keep_history, require_rows, source_paths
from modelwright.app.tracking import track
from modelwright.app.wiring import open_log, workspace_of
from modelwright.control.ahead import derive
from modelwright.control.controller import Controller
from modelwright.control.material import read_material
from modelwright.control.trainer import InProcessTrainer
from modelwright.core.clock import Clock, SystemClock
from modelwright.core.errors import TrainingError
from modelwright.monitoring.ledger import Ledger
from modelwright.spec.system import System


class TrainResult(msgspec.Struct, kw_only=True):
    """What `train --json` prints."""

    release: str
    promoted: bool
    runtime: str
    form: str
    gates: list[dict[str, Any]]
    metrics: dict[str, float | None]
    equivalence: dict[str, Any] | None
    forms: list[dict[str, Any]]
    seconds: dict[str, float]


def train(system: System, progress: Any = lambda step: None, clock: Clock | None = None) -> TrainResult:
    """Ingest the source, train one candidate as of the newest outcome, gate and register it.

    Raises `TrainingError` where the model fails or history is too short, `DataError` where every row of a file is refused; the
    champion, if any, stays.
    """
    clock = clock or SystemClock()
    workspace = workspace_of(system)
    began = time.perf_counter()
    with workspace.exclusive("training"), open_log(system, workspace, clock) as log:
        if system.source is not None or system.history:
            progress("reading the source")
            require_rows(into_log(system, log, source_paths(system)))
        derive(log, system)
        keep_history(system, log)
        progress("computing features")
        material = read_material(log, system)
        trainer = InProcessTrainer(system, material, workspace.releases, progress)
        ledger = Ledger(system.metric.name, ())
        ledger.outcomes = log.counts()["outcomes"]  # the loop counts those that come from now on
        controller = Controller(system, log.journal, ledger, trainer, workspace.releases)
        rows = controller.train_once(clock.now_us())
        if all(row.kind not in ("trained", "error") for row in rows):  # a first training that was interrupted went on
            rows = [row for row in log.journal.rows() if row.release == rows[-1].release]
    failed = next((row for row in rows if row.kind == "error"), None)
    if failed is not None:
        raise TrainingError(failed.summary.removeprefix("training failed: "))
    trained = next(row for row in rows if row.kind == "trained")
    gated = next(row for row in rows if row.kind == "gated")
    track(system, workspace, rows)
    forms = _forms(trained.evidence["forms"], trained.observed["latencies"])
    seconds = dict(trained.observed["seconds"])
    seconds["total"] = time.perf_counter() - began
    return TrainResult(
        release=trained.release or "",
        promoted=any(row.kind == "promoted" and row.release == trained.release for row in rows),
        runtime=trained.evidence["runtime"],
        gates=gated.evidence["gates"],
        metrics=trained.evidence["metrics"],
        equivalence=trained.evidence["equivalence"],
        form=next(form["name"] for form in forms if form["equivalence"]["accepted"]),
        forms=forms,
        seconds=seconds,
    )


def _forms(tried: list[dict[str, Any]], latencies: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Every form that was tried, with what each takes on this machine."""
    return [{**figures, **latencies.get(figures["name"], {})} for figures in tried]
