"""The loop as one state machine over the journal: train, gate, shadow, promote or reject, roll back.

The controller is told the time and looks at the ledger; everything it decides goes into the journal, together with the
figures that made it and the pointer that makes it so, in one transaction. It holds no state that the journal does not:
a new controller on the same journal goes on where the last one was. The rehearsal and the running system use this one
class, with a simulated and a real clock.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelwright.control.challenge import Challenge
from modelwright.control.decay import Decay
from modelwright.control.declaration import declaration_hash
from modelwright.control.drift_alerts import DriftAlerts, evidence_of
from modelwright.control.guards import Guards
from modelwright.control.intervention import registered
from modelwright.control.occasions import Occasions
from modelwright.control.parity import ParityCheck
from modelwright.control.quality_alerts import QualityAlerts
from modelwright.control.rollback import roll_back, settled
from modelwright.control.trainer import Trained, Trainer
from modelwright.control.unit import AMOUNT_SCALE, Unit
from modelwright.core.errors import ConflictError, ModelwrightError, TrainingError
from modelwright.lake.journal import Journal, JournalKind, JournalRow, Pointer
from modelwright.monitoring.drift import DriftWatch
from modelwright.monitoring.ledger import Ledger
from modelwright.monitoring.quality import QualityWatch
from modelwright.release.folder import read_manifest
from modelwright.release.manifest import Manifest
from modelwright.spec.system import System
from modelwright.stats.rise import RiseTest
from modelwright.stats.sequential import PairedTest

PARITY_EVERY = 50_000
"""Parity is checked after each training, which costs more, and after so many answers where none comes."""


class Controller:
    """Decides. `step(now)` is called at every decision point, after the ledger has settled what is known by then.

    Without `parity` nothing is compared, without `drift` and `quality` nothing is watched (a training beside the loop). With
    `approved`, the approval that a manual rollout asks for is taken as given: nobody can be asked in a rehearsal.
    """

    def __init__(
        self,
        system: System,
        journal: Journal,
        ledger: Ledger,
        trainer: Trainer,
        releases: Path,
        parity: ParityCheck | None = None,
        drift: DriftWatch | None = None,
        quality: QualityWatch | None = None,
        *,
        approved: bool = False,
    ) -> None:
        self._system = system
        self._journal = journal
        self._ledger = ledger
        self._trainer = trainer
        self._releases = releases
        self._parity = parity
        self._occasions = Occasions(system, self._write)
        self.declaration = declaration_hash(system)
        self.trained_declaration = ""
        self._alerts = DriftAlerts(drift, journal)
        self._quality = QualityAlerts(quality, journal)
        self._answers_at_parity = 0
        self._manifests: dict[str, Manifest] = {}
        self._guards = Guards(system, journal, ledger, self.unit, releases)
        self._challenge = Challenge(system, ledger, self.unit, self._write, approved=approved)
        self._decay = Decay(system, ledger)
        self._now_us = 0
        self.number = 0
        self._outcomes_at_training: int | None = (
            None  # where the journal does not say, until the ledger has read the log
        )
        self._seen = 0
        self._restore()

    # What triggers may ask (spec.trigger.LoopView).

    @property
    def now_us(self) -> int:
        """The moment of this decision point."""
        return self._now_us

    @property
    def trained_us(self) -> int:
        """When the newest candidate was trained. A training that failed is none: its reason stands, until one does not."""
        return self._occasions.trained_us

    @property
    def losses_since_training(self) -> int:
        """Outcomes known since the newest candidate was trained."""
        if self._outcomes_at_training is None:
            return 0
        return self._ledger.outcomes - self._outcomes_at_training

    def rise(self, drop: float, rows: int) -> RiseTest | None:
        """The evidence that the champion's row losses have risen, by outcomes that came due since the newest training."""
        champion = self.pointer.champion
        gated = self._manifest(champion).loss if champion else None
        if champion is None or gated is None or not gated.rows:
            return None
        return self._decay.rise(champion, gated, drop, rows, self.trained_us, self._now_us)

    def drift(self) -> tuple[str, float] | None:
        """What has drifted from what the champion knows since the newest candidate was trained."""
        alarm = self._alerts.since(self.pointer.champion, self.trained_us)
        return None if alarm is None else (alarm.summary, alarm.size)

    # What the host of the loop calls.

    @property
    def pointer(self) -> Pointer:
        """Who is live, read from the journal."""
        return self._journal.pointer()

    @property
    def test(self) -> PairedTest | None:
        """The evidence about the challenger so far."""
        return self._challenge.test

    def start(self, now_us: int) -> list[JournalRow]:
        """Bring up the first champion: the first candidate if it passes its gates, else the baseline, which is release 0.

        Where history is too short for either, the journal says so and nothing is live.
        """
        self._now_us = now_us
        if self.pointer.champion:
            return []
        rows: list[JournalRow] = []
        baseline, candidate = self._registered()  # of a start that was interrupted
        if baseline is None:
            trained = self._train("baseline", 0)
            if isinstance(trained, JournalRow):
                return [trained]
            baseline = trained.release
            figures = f"{self._system.metric.name} {_figure(trained, self._system.metric.name)}"
            rows.append(self._write("registered", baseline, f"baseline {baseline} with {figures}", trained.evidence))
        if candidate is None:
            first = self._candidate(rows)
            candidate = first.release if first is not None and first.passed else None
        if candidate is not None:
            rows.append(self._first(candidate, "the first candidate passed its gates", baseline))
        else:
            rows.append(self._first(baseline, "no candidate has passed its gates; the baseline serves", None))
        return rows

    def _first(self, release: str, summary: str, previous: str | None) -> JournalRow:
        return self._write(
            "promoted", release, summary, {}, point=settled(self.pointer, self._now_us, release, previous)
        )

    def _registered(self) -> tuple[str | None, str | None]:
        """The baseline and the newest model that are registered."""
        names = registered(self._journal)
        kinds = {name: self._manifest(name).kind for name in names}
        baselines = [name for name in names if kinds[name] == "baseline"]
        models = [name for name in names if kinds[name] == "model"]
        return baselines[-1] if baselines else None, models[-1] if models else None

    def train_once(self, now_us: int) -> list[JournalRow]:
        """One candidate now, on a person's word: promoted where nothing is live, else registered for the loop to try."""
        self._now_us = now_us
        if self.pointer.champion is None:
            return self.start(now_us)
        rows: list[JournalRow] = []
        self._candidate(rows)
        return rows

    def step(self, now_us: int) -> list[JournalRow]:
        """Decide what there is to decide at this moment; usually nothing."""
        self._now_us = now_us
        if self._outcomes_at_training is None:
            self._outcomes_at_training = self._ledger.outcomes
        pointer = self.pointer
        if pointer.champion is None:
            return []
        rows = self._told_of_drift(pointer.champion) + self._told_of_quality(pointer.champion) + self.guard(now_us)
        pointer = self.pointer
        if not pointer.paused:
            rows += self._decided(pointer)
        return rows + self._checked_parity(trained=any(row.kind == "trained" for row in rows))

    def guard(self, now_us: int) -> list[JournalRow]:
        """Take out of service what breaches a guard; a running system looks between its decision points as well."""
        pointer = self.pointer
        rows = [] if pointer.champion is None else self._guards.look(pointer, now_us)
        if rows:
            self._challenge.forget()
        return rows

    def _decided(self, pointer: Pointer) -> list[JournalRow]:
        try:
            if pointer.challenger is None:
                return self._adopt(pointer) or self._retrain()
            return self._challenge.look(pointer, self._now_us)
        except ConflictError:  # serving or a person has moved the pointer since it was read: look again next time
            self._challenge.lose_sight()
            return []

    def _told_of_drift(self, champion: str) -> list[JournalRow]:
        rows = []
        for alarm in self._alerts.fresh(champion):
            rows.append(self._write("alert", champion, alarm.summary, evidence_of(alarm)))
            self._alerts.written(rows[-1])
        return rows

    def tell(self, now_us: int) -> list[JournalRow]:
        """Between decision points: what is off in how data arrives and requests are answered. It leads to no decision."""
        self._now_us = now_us
        champion = self.pointer.champion
        return [] if champion is None else self._told_of_quality(champion)

    def _told_of_quality(self, champion: str) -> list[JournalRow]:
        rows = []
        for release, change in self._quality.fresh(champion, self._now_us):
            rows.append(self._write("alert", release, change.summary, msgspec.to_builtins(change)))
            self._quality.written(rows[-1])
        return rows

    def _checked_parity(self, *, trained: bool) -> list[JournalRow]:
        """Have what was answered since the last check compared, where it is time. What differs is told, not acted upon."""
        answers = self._ledger.predictions - self._answers_at_parity
        if self._parity is None or answers <= 0 or not (trained or answers >= PARITY_EVERY):
            return []
        self._answers_at_parity = self._ledger.predictions
        try:
            report = self._parity.check()
        except ModelwrightError as error:
            return [self._write("error", None, f"parity could not be checked: {error}", {"answers": answers})]
        evidence = {"checked": report.checked, "differ": report.differ, "not_comparable": report.not_comparable}
        first = {one.feature: msgspec.to_builtins(one.first) for one in report.features if one.first}
        observed = {
            "answers": self._ledger.predictions, "from_seq": report.from_seq, "upto_seq": report.upto_seq,
            "shadow": report.shadow, "first": first,
        }  # fmt: skip
        return [self._write("parity", None, report.summary, evidence, observed)]

    def roll_back(self, now_us: int, release: str, reason: str, evidence: dict[str, Any]) -> list[JournalRow]:
        """The champion fails live: the release before it takes over; a failing challenger is sent home."""
        self._now_us = now_us
        return roll_back(self._journal, now_us, release, reason, evidence)

    def _restore(self) -> None:
        for row in self._journal.rows():
            if row.kind in ("trained", "registered", "error") and row.release:
                self.number = max(self.number, release_number(row.release))
            if row.kind == "trained":
                self.trained_declaration = row.evidence.get("declaration", self.trained_declaration)
                self._outcomes_at_training = row.observed.get("outcomes")
            self._occasions.restore(row)
            if row.kind == "parity":
                self._answers_at_parity = row.observed["answers"]
        self._challenge.restore(self._journal, self.pointer)

    def _adopt(self, pointer: Pointer) -> list[JournalRow]:
        """A training beside the loop counts; its candidate, where it passed its gates, gets its comparison."""
        waiting: str | None = None
        seen = self._seen
        for row in self._journal.rows(after=seen):
            seen = row.seq
            if self._occasions.restore(row) and row.kind == "trained":
                self._outcomes_at_training = row.observed.get("outcomes")
            if row.release:
                self.number = max(self.number, release_number(row.release))
            if row.kind == "registered" and row.release and self._manifest(row.release).kind == "model":
                waiting = row.release
            elif row.kind in ("shadow_started", "promoted", "rejected") and row.release == waiting:
                waiting = None
        begun = [self._challenge.begin(waiting, pointer, self._now_us)] if waiting else []
        self._seen = seen  # not where another decision was quicker: then all is read once more
        return begun

    def _retrain(self) -> list[JournalRow]:
        told, due = self._occasions.look(self)
        return self._try_candidate(told) if due else told

    def _try_candidate(self, rows: list[JournalRow]) -> list[JournalRow]:
        """Train one and, if it passes, have it compared; a person may have paused or decided meanwhile."""
        before = self.pointer
        trained, now = self._candidate(rows), self.pointer
        if trained is not None and trained.passed and now.generation == before.generation:
            rows.append(self._challenge.begin(trained.release, now, self._now_us))
        return rows

    def _candidate(self, rows: list[JournalRow]) -> Trained | None:
        """Train one, journal it and its verdicts; None where training failed."""
        trained = self._train("model", self.number + 1)
        if isinstance(trained, JournalRow):
            rows.append(trained)
            return None
        self.trained_declaration = str(trained.evidence["declaration"])
        with self._journal.together():  # what was trained is never without its verdict
            self._judged(trained, rows)
        return trained

    def _judged(self, trained: Trained, rows: list[JournalRow]) -> None:
        """Journal a candidate, what its gates found, and what follows from it."""
        metric = self._system.metric.name
        n = trained.evidence["rows"]
        rows.append(
            self._write(
                "trained", trained.release, f"trained on {n:,} rows, {metric} {_figure(trained, metric)} held back",
                trained.evidence, {**trained.observed, "outcomes": self._outcomes_at_training},
            )
        )  # fmt: skip
        failed = [verdict for verdict in trained.verdicts if not verdict.passed]
        summary = "; ".join(f"{v.name}: {v.value:.4f} against {v.threshold:.4f}" for v in failed) or "all gates passed"
        gates = [
            {"name": v.name, "passed": v.passed, "value": v.value, "threshold": v.threshold} for v in trained.verdicts
        ]
        rows.append(self._write("gated", trained.release, summary, {"passed": trained.passed, "gates": gates}))
        if trained.passed:
            rows.append(self._write("registered", trained.release, f"published as {trained.release}", {}))
        else:
            rows.append(self._write("rejected", trained.release, f"did not pass its gates: {summary}", {"by": "gates"}))

    def _train(self, kind: Any, number: int) -> Trained | JournalRow:
        outcomes = self._ledger.outcomes
        self.number = max(self.number, number)
        told: Trained | JournalRow
        try:
            told = self._trainer.train(kind, self._now_us, number, self.pointer.champion, self._alerts.change_us)
        except TrainingError as error:
            told = self._write("error", None, f"training failed: {error}", {"number": number})
        else:
            self._outcomes_at_training = outcomes
        if number:  # the baseline, release 0, is no training to wait for
            self._occasions.tried(self._now_us, failed=isinstance(told, JournalRow))
        return told

    def unit(self, champion: str) -> Unit:
        """What a difference of losses from that release's is divided by, and how it is said."""
        label, loss = self._system.label, self._manifest(champion).loss
        if label.task == "classification":
            return Unit()
        return Unit(1.0 if loss is None or loss.mean <= 0 else AMOUNT_SCALE * loss.mean, label.name)

    def _manifest(self, name: str | None) -> Manifest:
        assert name is not None
        if name not in self._manifests:
            self._manifests[name] = read_manifest(self._releases / name)
        return self._manifests[name]

    def _write(
        self, kind: JournalKind, release: str | None, summary: str, evidence: dict[str, Any],
        observed: dict[str, Any] | None = None, *, point: Pointer | None = None, expect: int | None = None,
    ) -> JournalRow:  # fmt: skip
        return self._journal.append(
            kind,
            self._now_us,
            release=release,
            summary=summary,
            evidence=_plain(evidence),
            observed=observed or {},
            point=point,
            expect=expect,
        )


def release_number(name: str) -> int:
    """The number in a release's name.

    >>> release_number("r12-0123456789ab")
    12
    """
    return int(name[1:].partition("-")[0])


def _figure(trained: Trained, metric: str) -> str:
    metrics = trained.evidence["metrics"]
    value = metrics.get(metric) if isinstance(metrics, dict) else None
    return "not defined" if value is None else f"{value:.4f}"


def _plain(evidence: dict[str, Any]) -> dict[str, Any]:
    return {key: float(value) if isinstance(value, np.floating) else value for key, value in evidence.items()}
