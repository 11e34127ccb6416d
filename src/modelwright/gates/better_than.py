"""`gate.better_than("baseline")`: the candidate must beat a rival on the same held-back rows."""

from typing import Literal

import msgspec

from modelwright.core.errors import DeclarationError
from modelwright.spec.gate import Trial, Verdict
from modelwright.spec.label import LabelSpec
from modelwright.spec.metric import METRICS

RIVALS = ("baseline", "champion")


class BetterThanGate(msgspec.Struct, frozen=True, kw_only=True):
    """Better than `rival` in the steering metric by more than `by`."""

    rival: Literal["baseline", "champion"]
    by: float

    def check(self, label: LabelSpec) -> None:
        """Any label has a baseline."""

    def judge(self, trial: Trial, steering_metric: str) -> Verdict:
        """Compare the two figures; where there is no champion yet, there is nothing to be worse than."""
        value = trial.metric(steering_metric)
        name = f"{steering_metric} better than {self.rival}"
        if self.rival not in trial.rivals:
            return Verdict(name=name, passed=True, value=value, threshold=value)
        rival = trial.metric(steering_metric, of=self.rival)
        higher = METRICS[steering_metric].higher_is_better
        threshold = rival + self.by if higher else rival - self.by
        return Verdict(
            name=name, passed=value > threshold if higher else value < threshold, value=value, threshold=threshold
        )


def better_than(rival: Literal["baseline", "champion"], *, by: float = 0.0) -> BetterThanGate:
    """The candidate must beat the baseline, or the champion of the day, in the steering metric by more than `by`."""
    if rival not in RIVALS:
        raise DeclarationError(f"gate.better_than({rival!r}): the rival is one of {', '.join(map(repr, RIVALS))}")
    if not (isinstance(by, (int, float)) and by >= 0):
        raise DeclarationError(f"gate.better_than({rival!r}, by={by!r}): by is 0 or more")
    return BetterThanGate(rival=rival, by=by)
