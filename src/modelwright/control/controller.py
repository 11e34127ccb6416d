"""The loop as one state machine over the journal: train, gate, shadow, promote or reject, roll back.

The controller is told the time and looks at the ledger; everything it decides goes into the journal, together with the
figures that made it and the pointer that makes it so, in one transaction. It holds no state that the journal does not:
a new controller on the same journal goes on where the last one was. The rehearsal and the running system use this one
class, with a simulated and a real clock.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelwright.control.parity import ParityCheck
from modelwright.control.rollback import pointed, roll_back
from modelwright.control.trainer import Trained, Trainer
from modelwright.core.clock import to_us
from modelwright.core.errors import ConflictError, ModelwrightError, TrainingError
from modelwright.lake.journal import Journal, JournalKind, JournalRow, Pointer
from modelwright.monitoring.ledger import Ledger
from modelwright.release.folder import read_manifest
from modelwright.release.manifest import Manifest
from modelwright.spec.system import System
from modelwright.stats.sequential import PairedTest

AMOUNT_SCALE = 4.0
"""Row losses of amounts are counted in units of the champion's held-back loss, at most this many: the paired test
needs differences within [-1, 1]."""

PARITY_EVERY = 50_000
"""Parity is checked after each training, which costs more, and after so many answers where none comes."""


class Controller:
    """Decides. `step(now)` is called at every decision point, after the ledger has settled what is known by then.

    Without `parity` nothing is compared (a training beside the loop).
    """

    def __init__(
        self,
        system: System,
        journal: Journal,
        ledger: Ledger,
        trainer: Trainer,
        releases: Path,
        parity: ParityCheck | None = None,
    ) -> None:
        self._system = system
        self._journal = journal
        self._ledger = ledger
        self._trainer = trainer
        self._releases = releases
        self._parity = parity
        self._answers_at_parity = 0
        self._manifests: dict[str, Manifest] = {}
        self._test: PairedTest | None = None
        self._now_us = 0
        self.trained_us = 0
        self.number = 0
        self._outcomes_at_training: int | None = None  # since a restart, until the ledger has read the log again
        self._seen = 0
        self._restore()

    # What triggers may ask (spec.trigger.LoopView).

    @property
    def now_us(self) -> int:
        """The moment of this decision point."""
        return self._now_us

    @property
    def losses_since_training(self) -> int:
        """Outcomes known since the newest candidate was trained."""
        if self._outcomes_at_training is None:
            return 0
        return self._ledger.outcomes - self._outcomes_at_training

    def recent_loss(self, rows: int) -> tuple[float, float, int]:
        """Mean, variance and count of the champion's latest row losses."""
        losses = self._ledger.recent_losses(self.pointer.champion or "", rows)
        return (float(losses.mean()), float(losses.var()), len(losses)) if len(losses) else (0.0, 0.0, 0)

    def reference_loss(self) -> tuple[float, float, int]:
        """Mean, variance and count of the champion's row losses on the rows it was gated on."""
        loss = self._manifest(self.pointer.champion).loss if self.pointer.champion else None
        return (loss.mean, loss.variance, loss.rows) if loss else (0.0, 0.0, 0)

    # What the host of the loop calls.

    @property
    def pointer(self) -> Pointer:
        """Who is live, read from the journal."""
        return self._journal.pointer()

    @property
    def test(self) -> PairedTest | None:
        """The evidence about the challenger so far."""
        return self._test

    def start(self, now_us: int) -> list[JournalRow]:
        """Bring up the first champion: the first candidate if it passes its gates, else the baseline, which is release 0.

        Where history is too short for either, the journal says so and nothing is live.
        """
        self._now_us = now_us
        if self.pointer.champion:
            return []
        rows = []
        baseline = self._train("baseline", 0)
        if isinstance(baseline, JournalRow):
            return [baseline]
        figures = f"{self._system.metric.name} {_figure(baseline, self._system.metric.name)}"
        rows.append(
            self._write(
                "registered", baseline.release, f"baseline {baseline.release} with {figures}", baseline.evidence
            )
        )
        trained = self._candidate(rows)
        if trained is not None and trained.passed:
            rows.append(self._promote(trained.release, "the first candidate passed its gates", {}, baseline.release))
        else:
            rows.append(
                self._promote(baseline.release, "no candidate has passed its gates; the baseline serves", {}, None)
            )
        return rows

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
        rows = self._decided(pointer)
        return rows + self._checked_parity(trained=any(row.kind == "trained" for row in rows))

    def _decided(self, pointer: Pointer) -> list[JournalRow]:
        if pointer.challenger is None:
            return self._adopt() or self._retrain()
        try:
            return self._compare(pointer)
        except (
            ConflictError
        ):  # serving has rolled back since the pointer was read: look again at the next decision point
            self._test = None
            return []

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
            if row.kind == "trained" or (row.kind == "error" and "number" in row.evidence):  # an attempt counts too
                self.trained_us = to_us_text(row.at)
            if row.kind == "parity":
                self._answers_at_parity = row.observed["answers"]
        pointer = self.pointer
        if pointer.challenger is not None:  # pairs seen before are gone: the comparison begins again, honestly
            self._test = self._new_test()

    def _adopt(self) -> list[JournalRow]:
        """A candidate that a person trained beside the loop, and that passed its gates, gets its comparison."""
        waiting: str | None = None
        for row in self._journal.rows(after=self._seen):
            self._seen = row.seq
            if row.release:
                self.number = max(self.number, release_number(row.release))
            if row.kind == "registered" and row.release and self._manifest(row.release).kind == "model":
                waiting = row.release
            elif row.kind in ("shadow_started", "promoted", "rejected") and row.release == waiting:
                waiting = None
        return [self._start_shadow(waiting)] if waiting else []

    def _retrain(self) -> list[JournalRow]:
        for trigger in self._system.retrain:
            reason = trigger.due(self)
            if reason is not None:
                rows = [self._write("trigger", None, f"retrain: {reason}", {"trigger": type(trigger).__name__})]
                trained = self._candidate(rows)
                if trained is not None and trained.passed:
                    rows.append(self._start_shadow(trained.release))
                return rows
        return []

    def _candidate(self, rows: list[JournalRow]) -> Trained | None:
        """Train one, journal it and its verdicts; None where training failed."""
        trained = self._train("model", self.number + 1)
        if isinstance(trained, JournalRow):
            rows.append(trained)
            return None
        metric = self._system.metric.name
        n = trained.evidence["rows"]
        rows.append(
            self._write(
                "trained", trained.release, f"trained on {n:,} rows, {metric} {_figure(trained, metric)} held back",
                trained.evidence, trained.observed,
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
        return trained

    def _train(self, kind: Any, number: int) -> Trained | JournalRow:
        self.trained_us = self._now_us
        self._outcomes_at_training = self._ledger.outcomes
        self.number = max(self.number, number)
        try:
            return self._trainer.train(kind, self._now_us, number, self.pointer.champion)
        except TrainingError as error:
            return self._write("error", None, f"training failed: {error}", {"number": number})

    def _start_shadow(self, release: str) -> JournalRow:
        self._test = self._new_test()
        self._ledger.forget_challenger()
        pointer = self.pointer
        rollout = self._system.rollout
        return self._write(
            "shadow_started", release,
            f"{release} scores what {pointer.champion} answers", {"pairs": rollout.pairs, "margin": rollout.margin},
            point=pointed(pointer, challenger=release, phase="shadow", since_us=self._now_us),
        )  # fmt: skip

    def _compare(self, pointer: Pointer) -> list[JournalRow]:
        assert pointer.champion is not None and pointer.challenger is not None
        test = self._test = self._test or self._new_test()
        scale = self._scale(pointer.champion)
        for ours, theirs in self._ledger.take_pairs(pointer.champion, pointer.challenger):
            test.add((ours - theirs) / scale)
        rollout = self._system.rollout
        evidence = {
            "pairs": test.pairs, "difference": test.difference, "margin": test.margin,
            "evidence": test.evidence, "needed": 1 / (1 - test.confidence),
        }  # fmt: skip
        if test.pairs >= rollout.pairs and test.not_worse:
            said = "better" if test.difference > 0 else "not worse"
            summary = f"{said} by {abs(test.difference):.4f} over {test.pairs} pairs"
            return [self._promote(pointer.challenger, summary, evidence, pointer.champion, pointer.generation)]
        if test.worse:
            return [self._reject(pointer, f"worse by {-test.difference:.4f} over {test.pairs} pairs", evidence)]
        if self._now_us - pointer.since_us >= rollout.within_us:
            return [
                self._reject(
                    pointer, f"no evidence in time: {test.pairs} pairs, difference {test.difference:+.4f}", evidence
                )
            ]
        return []

    def _promote(
        self, release: str, summary: str, evidence: dict[str, Any], previous: str | None, expect: int | None = None
    ) -> JournalRow:
        self._test = None
        self._ledger.forget_challenger()
        return self._write(
            "promoted", release, summary, evidence, expect=expect,
            point=Pointer(champion=release, previous=previous, phase="idle", since_us=self._now_us),
        )  # fmt: skip

    def _reject(self, pointer: Pointer, summary: str, evidence: dict[str, Any]) -> JournalRow:
        self._test = None
        self._ledger.forget_challenger()
        evidence = {"by": "shadow", **evidence}
        return self._write(
            "rejected", pointer.challenger, summary, evidence, expect=pointer.generation,
            point=pointed(pointer, challenger=None, phase="idle"),
        )  # fmt: skip

    def _new_test(self) -> PairedTest:
        return PairedTest(self._system.rollout.margin, self._system.rollout.confidence)

    def _scale(self, champion: str) -> float:
        """What a difference of losses is divided by: 1 for classes."""
        loss = self._manifest(champion).loss
        if self._system.label.task == "classification" or loss is None or loss.mean <= 0:
            return 1.0
        return AMOUNT_SCALE * loss.mean

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


def to_us_text(text: str) -> int:
    """Microseconds of a journal row's time."""
    return to_us(datetime.fromisoformat(text))


def _figure(trained: Trained, metric: str) -> str:
    metrics = trained.evidence["metrics"]
    value = metrics.get(metric) if isinstance(metrics, dict) else None
    return "not defined" if value is None else f"{value:.4f}"


def _plain(evidence: dict[str, Any]) -> dict[str, Any]:
    return {key: float(value) if isinstance(value, np.floating) else value for key, value in evidence.items()}
