"""`modelwright rehearse --compare policies.py`: one history, several ways to look after the system, and what each costs."""

import time
from pathlib import Path

import msgspec

from modelwright.app.commands.rehearse import Silent, Titled, Watcher, replayed, with_tables
from modelwright.app.comparison import render_comparison
from modelwright.app.policies import systems_of
from modelwright.app.rehearsal import Figures
from modelwright.app.wiring import emptied, open_log, workspace_of
from modelwright.control.material import material_of
from modelwright.control.rehearse import first_replayed
from modelwright.lake.workspace import Workspace
from modelwright.spec.metric import MetricSpec
from modelwright.spec.system import System

FOLDER = "comparison"
CLOSE = 0.005
"""Half a point of a metric up to 1, half a per cent of an error: what a cheaper policy may be worse by."""


class PolicyResult(msgspec.Struct, kw_only=True):
    """One policy's rehearsal. `value`: the metric over what was replayed, None where no outcome is known. `seconds`: of
    processor time, spent on trainings on this machine."""

    policy: str
    value: float | None
    trainings: int
    promotions: int
    rejections: int
    rollbacks: int
    seconds: float
    journal_sha256: str


class Comparison(msgspec.Struct, kw_only=True):
    """What `rehearse --compare --json` prints. `recommended`: the policy that costs least among those close to the best;
    None where no figure is known."""

    metric: str
    higher_is_better: bool
    begins: str
    predictions: int
    policies: list[PolicyResult]
    best: str | None
    recommended: str | None
    seconds: float
    report: str


def compare(
    system: System, policies: Path, *, start: float | None = None, watcher: Watcher | None = None
) -> Comparison:
    """Rehearse the system as it is declared and under every policy of the file, on the same material."""
    watcher = watcher or Silent()
    began = time.perf_counter()
    systems = systems_of(system, policies)
    main = workspace_of(system)
    tables = with_tables(system, watcher)
    watcher.step("computing features, each as of its own moment")
    material = material_of(tables, system)
    first = first_replayed(system, material, start)
    results: list[PolicyResult] = []
    with main.exclusive("comparison"):
        folder = emptied(Workspace(main.root / FOLDER))
        for number, (name, variant) in enumerate(systems.items()):
            workspace = Workspace(folder.root / f"policy-{number}")
            with open_log(variant, workspace) as log:
                done = replayed(variant, material, workspace, log, first, Titled(name, watcher))
                figures = Figures(variant, material, done, workspace, log.journal, 0.0).result
                results.append(
                    PolicyResult(
                        policy=name, value=figures.self_running, trainings=figures.trainings,
                        promotions=figures.promotions, rejections=figures.rejections, rollbacks=figures.rollbacks,
                        seconds=round(
                            sum(row.observed["seconds"]["processor"] for row in done.rows if row.kind == "trained"), 2
                        ),
                        journal_sha256=log.journal.head_hash(),
                    )
                )  # fmt: skip
        best, recommended = choose(results, system.metric)
        folder.reports.mkdir(parents=True, exist_ok=True)
        report = folder.reports / "policies.html"
        comparison = Comparison(
            metric=system.metric.name, higher_is_better=system.metric.higher_is_better, begins=figures.begins,
            predictions=figures.predictions, policies=results, best=best, recommended=recommended,
            seconds=round(time.perf_counter() - began, 1), report=str(report),
        )  # fmt: skip
        report.write_text(render_comparison(msgspec.to_builtins(comparison), system.name), encoding="utf-8")
    return comparison


def choose(results: list[PolicyResult], metric: MetricSpec) -> tuple[str | None, str | None]:
    """The best policy, and of those within half a point of it (half a per cent of an error) the one whose trainings took
    least; the first of equals."""
    known = [one for one in results if one.value is not None]
    if not known:
        return None, None
    sign = 1 if metric.higher_is_better else -1
    best = max(known, key=lambda one: sign * (one.value or 0.0))
    assert best.value is not None
    room = CLOSE if metric.higher_is_better else CLOSE * abs(best.value)
    close = [one for one in known if one.value is not None and sign * (best.value - one.value) <= room]
    return best.policy, min(close, key=lambda one: (one.seconds, one.trainings)).policy
