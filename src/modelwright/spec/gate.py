"""The protocol of a gate: what a candidate must pass, as the very artefact that would be served."""

from typing import Protocol

import msgspec

from modelwright.spec.label import LabelSpec


class Trial(Protocol):
    """What a gate may ask about a candidate. All figures are over the same held-back rows."""

    @property
    def rivals(self) -> tuple[str, ...]:
        """Whom the candidate can be compared with: "baseline", and "champion" where there is one."""
        ...

    def metric(self, name: str, of: str = "candidate") -> float:
        """The metric of the candidate's artefact, or of a rival."""
        ...


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate found: `value` against `threshold`, and whether that passes."""

    name: str
    passed: bool
    value: float
    threshold: float


class Gate(Protocol):
    """One condition on a candidate."""

    def check(self, label: LabelSpec) -> None:
        """Raise `DeclarationError` where the gate does not fit the label."""
        ...

    def judge(self, trial: Trial, steering_metric: str) -> Verdict:
        """Evaluate the gate. `steering_metric` is what the system is steered by."""
        ...
