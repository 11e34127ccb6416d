"""The fault of a trainer that dies: killed, out of memory, its machine gone. What it was at is lost."""

from typing import Literal

from modelwright.control.faults.fault import Disturbance, Fault, Stretch
from modelwright.control.trainer import Trained, Trainer
from modelwright.core.errors import TrainingError
from modelwright.lake.journal import JournalRow
from modelwright.spec.system import System


class TrainerDies(Fault, frozen=True, kw_only=True):
    """The trainer dies at the first trainings of the stretch, `times` of them."""

    times: int = 1

    @property
    def meaning(self) -> str:
        return "the trainer dies at its next training" + (f", {self.times} times over" if self.times > 1 else "")

    def disturbance(self, stretch: Stretch) -> Disturbance:
        return _Dying(stretch.begin_us, self.times)

    def subject_of(self, row: JournalRow, system: System, disturbance: Disturbance) -> str | None:
        """That a training failed."""
        return "error" if row.kind == "error" and row.evidence.get("number") else None


class _Dying(Disturbance):
    """State: the deaths that are left."""

    def __init__(self, from_us: int, times: int) -> None:
        super().__init__()
        self._from_us = from_us
        self._left = times

    def trainer(self, inner: Trainer) -> Trainer:
        return _DyingTrainer(inner, self)

    def dies(self, now_us: int) -> bool:
        """Whether a training of that moment is not survived."""
        if now_us < self._from_us or not self._left:
            return False
        self._left -= 1
        self.began_us = now_us if self.began_us is None else self.began_us
        self.ended_us = None if self._left else now_us
        return True


class _DyingTrainer:
    """A trainer (see `control.trainer.Trainer`) that dies as it is told to, and is there again for the next order."""

    def __init__(self, inner: Trainer, dying: _Dying) -> None:
        self._inner = inner
        self._dying = dying

    def train(
        self, kind: Literal["model", "baseline"], now_us: int, number: int, champion: str | None, change_us: int
    ) -> Trained:
        if kind == "model" and self._dying.dies(now_us):
            raise TrainingError("the trainer died; it is started anew when it is needed next")
        return self._inner.train(kind, now_us, number, champion, change_us)
