"""A finished rehearsal as the object its report is drawn from, and as the figures `rehearse --json` prints."""

from typing import Any

import msgspec
import numpy as np

import modelwright
from modelwright.control.candidate import describe_model, load_release
from modelwright.control.material import Material
from modelwright.control.rehearse import Rehearsed
from modelwright.core.clock import iso
from modelwright.core.errors import ReleaseError
from modelwright.lake.journal import Journal, JournalRow
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.drift import count_columns
from modelwright.monitoring.ledger import as_outcomes, as_predictions
from modelwright.release.folder import Release
from modelwright.release.manifest import Manifest
from modelwright.spec.system import System
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions
from modelwright.stats.reference import PSI_LARGE, plain

BUCKETS = 100
PERIODS = 26


class RehearseResult(msgspec.Struct, kw_only=True):
    """What `rehearse --json` prints. `metric` names the metric; figures are over what comes after `--from`.

    `begins` is when that is, `known` how many of the predictions have a known outcome: the figures are over those.
    """

    metric: str
    frozen: float | None
    self_running: float | None
    baseline: float | None
    begins: str
    predictions: int
    known: int
    trainings: int
    promotions: int
    rejections: int
    rollbacks: int
    seconds: float
    journal_sha256: str
    report: str


class Replayed:
    """The replayed events whose outcome is known, and what anyone would have said of them."""

    def __init__(self, system: System, material: Material, done: Rehearsed, releases: Workspace) -> None:
        self.system = system
        self.material = material
        self.done = done
        self.workspace = releases
        account = done.ledger.account
        order = np.argsort(np.array(account.event_seq), kind="stable")  # positions: in the order of the events
        self.positions: Array = np.array(account.event_seq, dtype=np.int64)[order]
        classes = done.ledger.classes
        self.at_us: Array = np.array(account.at_us)[order]
        self.outcomes = as_outcomes(account.outcome, classes)[order]
        self.said = as_predictions(account.scored, classes).take(order)
        self.by = np.array([one.release for one in account.scored], dtype=object)[order]

    def would_have_said(self, release: Release) -> Predictions | None:
        """What one release alone would have answered to the same events; None where it cannot answer all of them."""
        try:
            return release.predict(self.material.rows_for(release.manifest).take(self.positions))
        except ReleaseError:
            return None

    def figure(self, said: Predictions, rows: Array | slice = slice(None)) -> float | None:
        """The steering metric over some of the events."""
        value: float | None = plain(metric_value(self.system.metric.name, self.outcomes[rows], said.take(rows)))
        return value


def result_of(
    system: System, material: Material, done: Rehearsed, workspace: Workspace, journal: Journal, seconds: float
) -> tuple[RehearseResult, dict[str, Any]]:
    """The figures, and the report's data."""
    replayed = Replayed(system, material, done, workspace)
    releases = workspace.releases
    frozen = replayed.would_have_said(load_release(releases, done.frozen)) if done.frozen else None
    first = next(row.release for row in done.rows if row.kind == "registered")
    baseline = replayed.would_have_said(load_release(releases, first or ""))
    kinds = [row.kind for row in done.rows]
    result = RehearseResult(
        metric=system.metric.name,
        frozen=None if frozen is None else replayed.figure(frozen),
        self_running=replayed.figure(replayed.said),
        baseline=None if baseline is None else replayed.figure(baseline),
        begins=iso(int(material.examples.at_us[done.start])),
        predictions=done.ledger.predictions,
        known=len(replayed.positions),
        trainings=kinds.count("trained"),
        promotions=kinds.count("promoted") - 1,
        rejections=kinds.count("rejected"),
        rollbacks=kinds.count("rolled_back"),
        seconds=round(seconds, 1),
        journal_sha256=journal.head_hash(),
        report=str(workspace.reports / "rehearsal.html"),
    )
    examples = material.examples
    data = {
        "version": modelwright.__version__,
        "system": describe(system, examples.at_us, len(examples)),
        "metric": {"name": system.metric.name, "higher_is_better": system.metric.higher_is_better},
        "period": {"from": iso(int(examples.at_us[done.start])), "to": iso(int(examples.at_us[-1]))},
        "summary": msgspec.to_builtins(result),
        "series": _series(replayed, frozen, baseline),
        "decisions": [decision(row) for row in done.rows],
        "releases": _releases(replayed, done, releases),
        "drift": _drift(replayed, done),
        "journal_ok": True,
    }
    return result, data


def describe(system: System, at_us: Array, rows: int) -> dict[str, Any]:
    """The system in words for a page."""
    return {
        "name": system.name,
        "event": system.contract.name,
        "label": system.label.name,
        "outcome": system.label.described,
        "model": describe_model(system.model),
        "description": system.contract.description,
        "history_from": iso(int(at_us[0])) if rows else None,
        "history_to": iso(int(at_us[-1])) if rows else None,
        "rows": rows,
    }


def decision(row: JournalRow) -> dict[str, Any]:
    """A journal row for a page."""
    return {name: getattr(row, name) for name in ("seq", "at", "kind", "release", "summary", "evidence")}


def _series(replayed: Replayed, frozen: Predictions | None, baseline: Predictions | None) -> dict[str, Any]:
    at_us = replayed.at_us
    series: dict[str, Any] = {"at": [], "n": [], "self_running": [], "frozen": [], "baseline": [], "until": None}
    if not len(at_us):
        return series
    edges = np.linspace(at_us[0], at_us[-1] + 1, BUCKETS + 1).astype(np.int64)
    cuts = np.searchsorted(at_us, edges)
    for start, begin, end in zip(edges[:-1], cuts[:-1], cuts[1:], strict=True):
        if begin == end:
            continue
        rows = slice(int(begin), int(end))
        series["at"].append(iso(int(start)))
        series["n"].append(int(end - begin))
        series["self_running"].append(replayed.figure(replayed.said, rows))
        series["frozen"].append(None if frozen is None else replayed.figure(frozen, rows))
        series["baseline"].append(None if baseline is None else replayed.figure(baseline, rows))
    series["until"] = iso(int(at_us[-1]))
    return series


def _releases(replayed: Replayed, done: Rehearsed, releases: Any) -> list[dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    champion: str | None = None
    for row in done.rows:
        if row.release and row.release not in table and row.kind in ("trained", "registered"):
            manifest: Manifest = load_release(releases, row.release).manifest
            mine = np.flatnonzero(replayed.by == row.release)
            table[row.release] = {
                "release": row.release,
                "number": int(row.release[1:].partition("-")[0]),
                "at": row.at,
                "rows": manifest.rows,
                "runtime": manifest.runtime,
                "validation": manifest.metrics.get(manifest.metric),
                "served_from": None,
                "served_to": None,
                "predictions": done.served.get(row.release, 0),
                "live": replayed.figure(replayed.said, mine) if len(mine) else None,
                "verdict": "baseline" if manifest.kind == "baseline" else "pending",
                "reason": "",
            }
        if row.kind in ("promoted", "rolled_back"):
            if champion in table:
                table[champion]["served_to"] = row.at
            champion = row.release if row.kind == "promoted" else None
            if row.release in table:
                table[row.release].update(served_from=row.at, served_to=None, reason=row.summary)
                if table[row.release]["verdict"] != "baseline":
                    table[row.release]["verdict"] = "promoted"
        if row.kind == "rejected" and row.release in table:
            table[row.release].update(verdict="rejected", reason=row.summary)
    if champion in table:
        table[champion]["verdict"] = "champion"
    return list(table.values())


def _drift(replayed: Replayed, done: Rehearsed) -> dict[str, Any]:
    """Each column against the first fitted release's reference, by period."""
    if done.frozen is None:
        return {"at": [], "columns": [], "values": [], "threshold": PSI_LARGE}
    release = load_release(replayed.workspace.releases, done.frozen)
    examples = replayed.material.examples
    at_us = examples.at_us[done.start :]
    edges = np.linspace(at_us[0], at_us[-1] + 1, PERIODS + 1).astype(np.int64)
    cuts = done.start + np.searchsorted(at_us, edges)
    columns = release.manifest.inputs
    values: list[list[float | None]] = [[] for _ in columns]
    for begin, end in zip(cuts[:-1], cuts[1:], strict=True):
        counts = count_columns(release.references, columns, examples.rows.take(slice(int(begin), int(end))), None)
        for place, count in enumerate(counts):
            distance = release.references.columns[place].distance(count) if end > begin else None
            values[place].append(None if distance is None else round(distance, 4))
    return {
        "at": [iso(int(edge)) for edge in edges[:-1]],
        "columns": [column.name for column in columns],
        "values": values,
        "threshold": PSI_LARGE,
    }
