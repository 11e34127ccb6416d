"""The trainer port: how the loop has a candidate trained, wherever that happens.

A trainer reads the log as of the moment it is given, publishes the release, and tells what the gates found. It blocks
until it is done. It raises `TrainingError` for whatever went wrong; the folder of a failed training never appears.
`InProcessTrainer` is the embedded implementation (train, rehearse); `app.trainer_process` keeps one in a process of its
own beside serving.
"""

from pathlib import Path
from typing import Literal, Protocol

import msgspec

from modelwright.control.candidate import Candidate, Progress, load_release, train_baseline, train_candidate
from modelwright.control.material import Material
from modelwright.spec.gate import Verdict
from modelwright.spec.system import System


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What the loop is told about a candidate. `observed` holds timings and ids no decision may rest on."""

    release: str
    number: int
    passed: bool
    verdicts: tuple[Verdict, ...]
    evidence: dict[str, object]
    observed: dict[str, object]


class Trainer(Protocol):
    """Trains one release at a time."""

    def train(
        self, kind: Literal["model", "baseline"], now_us: int, number: int, champion: str | None, change_us: int
    ) -> Trained:
        """Train and publish release `number` as of `now_us`. `change_us`: the newest change that is known, 0 for none."""
        ...


class InProcessTrainer:
    """Trains here and now, on material already read."""

    def __init__(
        self, system: System, material: Material, releases: Path, progress: Progress = lambda step: None
    ) -> None:
        self._system = system
        self._material = material
        self._releases = releases
        self._progress = progress

    def train(
        self, kind: Literal["model", "baseline"], now_us: int, number: int, champion: str | None, change_us: int
    ) -> Trained:
        if kind == "baseline":
            return as_trained(train_baseline(self._system, self._material, now_us, number, self._releases), number)
        rival = load_release(self._releases, champion) if champion else None
        candidate = train_candidate(
            self._system, self._material, now_us, number, self._releases, rival, self._progress, change_us
        )
        return as_trained(candidate, number)


def as_trained(candidate: Candidate, number: int) -> Trained:
    """A candidate in the form that can cross a process."""
    return Trained(
        release=candidate.name,
        number=number,
        passed=candidate.passed,
        verdicts=candidate.verdicts,
        evidence=candidate.evidence(),
        observed=candidate.observed(),
    )
