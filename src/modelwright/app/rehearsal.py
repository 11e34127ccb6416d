"""A finished rehearsal as the object its report is drawn from, and as the figures `rehearse --json` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

import modelwright
from modelwright.app.digest import Digest, digest, last_us, period_of
from modelwright.control.candidate import load_release
from modelwright.control.declaration import describe_models
from modelwright.control.faults.effect import Effect
from modelwright.control.material import Material
from modelwright.control.notice import Withheld, would_send
from modelwright.control.quality_alerts import turns_of
from modelwright.control.rehearse import Rehearsed
from modelwright.core.clock import iso
from modelwright.core.durations import duration_text, duration_us
from modelwright.core.errors import ReleaseError
from modelwright.lake.journal import Journal, JournalRow
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.answers import Answers
from modelwright.monitoring.binning import Binning
from modelwright.monitoring.drift import DriftAlarm
from modelwright.monitoring.estimate import confidence_of, estimated
from modelwright.monitoring.findings import Finding, findings_of
from modelwright.monitoring.ledger import as_outcomes, as_predictions
from modelwright.monitoring.quality import troubles_of
from modelwright.monitoring.slices import slices_of
from modelwright.release.folder import Release
from modelwright.release.manifest import Manifest
from modelwright.spec.system import System
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions
from modelwright.stats.reference import PSI_LARGE, plain

BUCKETS = 100
PERIODS = 26
DAY_US = duration_us("1d")
AWAY_US = duration_us("7d")
AWAY_SHARE = 10
"""The report looks back on a week, or on a tenth of the rehearsal where that is longer."""


class RehearseResult(msgspec.Struct, kw_only=True):
    """What `rehearse --json` prints. `metric` names the metric; figures are over what comes after `--from`.

    `begins` is when that is, `known` how many of the predictions have a known outcome: the figures are over those.
    `alerts`: messages that a run would have sent. `faults`: what came of each that was put in, in a rehearsal of its own.
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
    alerts: int
    seconds: float
    journal_sha256: str
    report: str
    faults: list[Effect] = []


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


class Figures:
    """What a rehearsal comes to: the result, and the answers of the frozen model and the baseline to the same events."""

    def __init__(
        self,
        system: System,
        material: Material,
        done: Rehearsed,
        workspace: Workspace,
        journal: Journal,
        seconds: float,
        faults: Sequence[Effect] = (),
    ) -> None:
        replayed = self.replayed = Replayed(system, material, done, workspace)
        releases = workspace.releases
        self.frozen = replayed.would_have_said(load_release(releases, done.frozen)) if done.frozen else None
        first = next(row.release for row in done.rows if row.kind == "registered")
        self.baseline = replayed.would_have_said(load_release(releases, first or ""))
        kinds = [row.kind for row in done.rows]
        self.alerts = would_send(done.rows, system, system.alerts)
        self.digest = _digest(replayed, journal, {"the frozen first model": self.frozen, "the baseline": self.baseline})
        self.result = RehearseResult(
            metric=system.metric.name,
            frozen=None if self.frozen is None else replayed.figure(self.frozen),
            self_running=replayed.figure(replayed.said),
            baseline=None if self.baseline is None else replayed.figure(self.baseline),
            begins=iso(int(material.examples.at_us[done.start])),
            predictions=done.ledger.predictions,
            known=len(replayed.positions),
            trainings=kinds.count("trained"),
            promotions=kinds.count("promoted") - 1,
            rejections=kinds.count("rejected"),
            rollbacks=kinds.count("rolled_back"),
            alerts=len(self.alerts),
            seconds=round(seconds, 1),
            journal_sha256=journal.head_hash(),
            report=str(workspace.reports / "rehearsal.html"),
            faults=list(faults),
        )


def positions_known(done: Rehearsed) -> Array:
    """The positions of the replayed events whose outcome is known, in the order of the events."""
    return np.sort(np.array(done.ledger.account.event_seq, dtype=np.int64), kind="stable")


def report_data(figures: Figures, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The report's data. `columns`: of the events at `positions_known`, for slices."""
    replayed, result = figures.replayed, figures.result
    system, done, releases = replayed.system, replayed.done, replayed.workspace.releases
    examples = replayed.material.examples
    summary = msgspec.to_builtins(result)
    return {
        "faults": summary.pop("faults"),
        "version": modelwright.__version__,
        "system": describe(system, examples.at_us, len(examples)),
        "metric": {"name": system.metric.name, "higher_is_better": system.metric.higher_is_better},
        "period": {"from": iso(int(examples.at_us[done.start])), "to": iso(int(examples.at_us[-1]))},
        "summary": summary,
        "series": _series(replayed, figures.frozen, figures.baseline),
        "decisions": [decision(row) for row in done.rows],
        "releases": _releases(replayed, done, releases),
        "drift": _drift(replayed, done),
        "estimates": _estimates(replayed),
        "alerts": _alerts(system, figures.alerts),
        "digest": msgspec.to_builtins(figures.digest),
        "slices": msgspec.to_builtins(
            slices_of(system.metric.name, replayed.outcomes, replayed.said, columns, system.monitor.slices)
        ),
        "quality": msgspec.to_builtins(troubles_of(turns_of(done.rows))),
        "journal_ok": True,
    }


def describe(system: System, at_us: Array, rows: int) -> dict[str, Any]:
    """The system in words for a page."""
    return {
        "name": system.name,
        "event": system.contract.name,
        "label": system.label.name,
        "outcome": system.label.described,
        "model": describe_models(system),
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


def _estimates(replayed: Replayed) -> list[dict[str, Any]]:
    """The accuracy to expect of each period's answers, as it could be said as the period began from what was due and known
    then, and what it turned out to be. Periods without an estimate are left out."""
    confidence, at_us = confidence_of(replayed.said), replayed.at_us
    if confidence is None or not len(at_us):
        return []
    right = replayed.said.value == replayed.outcomes
    known_us = replayed.material.examples.first_known_us[replayed.positions]
    edges = np.linspace(at_us[0], at_us[-1] + 1, PERIODS + 1).astype(np.int64)
    cuts = np.searchsorted(at_us, edges)
    found = []
    for start, begin, end in zip(edges[:-1], cuts[:-1], cuts[1:], strict=True):
        known = (known_us[:begin] <= start) & (at_us[:begin] <= start - replayed.system.label.delay_us)
        estimate = estimated(confidence[begin:end], confidence[:begin][known], right[:begin][known])
        if estimate is not None:
            truth = round(float(right[begin:end].mean()), 4)
            found.append({"at": iso(int(start)), **msgspec.to_builtins(estimate), "truth": truth})
    return found


def _releases(replayed: Replayed, done: Rehearsed, releases: Any) -> list[dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    champions: list[str] = []
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
            if manifest.kind == "baseline":
                champions.append(row.release)  # what is left where the first model is rolled back
        if row.kind == "promoted" and row.release in table:
            if table[champions[-1]]["served_from"]:
                table[champions[-1]]["served_to"] = row.at
            if champions[-1] != row.release:
                champions.append(row.release)
            table[row.release].update(served_from=row.at, served_to=None, reason=row.summary)
            if table[row.release]["verdict"] != "baseline":
                table[row.release]["verdict"] = "promoted"
        if row.kind == "rolled_back" and champions[1:] and champions[-1] == row.release:
            table[champions.pop()].update(served_to=row.at, verdict="rolled back", reason=row.summary)
            back = table[champions[-1]]  # shown as live throughout where it was before: a release has one stretch
            back.update(served_from=back["served_from"] or row.at, served_to=None)
        if row.kind == "rejected" and row.release in table:
            table[row.release].update(verdict="rejected", reason=row.summary)
    table[champions[-1]]["verdict"] = "champion"
    return list(table.values())


def _drift(replayed: Replayed, done: Rehearsed) -> dict[str, Any]:
    """Each column against the first fitted release's reference, by period."""
    every = duration_text(replayed.system.monitor.false_alarm_us)
    if done.frozen is None:
        nothing: dict[str, Any] = {"at": [], "columns": [], "values": [], "importance": [], "findings": []}
        return {**nothing, "threshold": PSI_LARGE, "false_alarm_every": every}
    release = load_release(replayed.workspace.releases, done.frozen)
    examples = replayed.material.examples
    at_us = examples.at_us[done.start :]
    edges = np.linspace(at_us[0], at_us[-1] + 1, PERIODS + 1).astype(np.int64)
    cuts = done.start + np.searchsorted(at_us, edges)
    columns = release.manifest.inputs
    binning = Binning(release.references, columns)
    values: list[list[float | None]] = [[] for _ in columns]
    for begin, end in zip(cuts[:-1], cuts[1:], strict=True):
        counts = binning.count(examples.rows.take(slice(int(begin), int(end))))
        for place, reference in enumerate(release.references.columns):
            count = counts[place][: len(reference.counts)]
            distance = reference.distance(count) if end > begin else None
            values[place].append(None if distance is None else round(distance, 4))
    return {
        "at": [iso(int(edge)) for edge in edges[:-1]],
        "columns": [column.name for column in columns],
        "values": values,
        "threshold": PSI_LARGE,
        "false_alarm_every": every,
        "importance": [column.importance for column in release.references.columns],
        "findings": msgspec.to_builtins(_findings(done.rows)),
    }


def _digest(replayed: Replayed, journal: Journal, rivals: Mapping[str, Predictions | None]) -> Digest:
    """The rehearsal's last days, as somebody would have found them who was away."""
    done, examples = replayed.done, replayed.material.examples
    until_us = max(int(examples.at_us[-1]), last_us(done.rows, done.ledger))
    length_us = until_us - int(examples.at_us[done.start])
    since_us = until_us - min(length_us, max(AWAY_US, length_us // AWAY_SHARE // DAY_US * DAY_US))
    known = {name: said for name, said in rivals.items() if said is not None}
    answers = Answers(replayed.at_us, replayed.outcomes, replayed.said, known)
    return digest(period_of(replayed.system, journal.pointer(), done.rows, done.ledger, answers, since_us, until_us))


def _alerts(system: System, withheld: list[Withheld]) -> dict[str, Any]:
    """Who would have been told, and what; `receivers` is empty where nobody is declared."""
    sent = [{"to": one.to, "text": one.notice.text, **msgspec.to_builtins(one.notice)} for one in withheld]
    return {"receivers": [one.name for one in system.alerts], "sent": sent}


def _findings(rows: list[JournalRow]) -> list[Finding]:
    """What the monitor of each champion found, as the journal has it."""
    return findings_of(
        (row.release or "", msgspec.convert(row.evidence, DriftAlarm))
        for row in rows
        if row.kind == "alert" and "drifted" in row.evidence
    )
