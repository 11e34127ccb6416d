"""`gate.metric("accuracy", at_least=0.8)`: a figure on the held-back rows must reach a bound."""

import math

import msgspec

from modelwright.core.errors import DeclarationError
from modelwright.spec.gate import Trial, Verdict
from modelwright.spec.label import LabelSpec
from modelwright.spec.metric import METRICS, metric_named


class MetricGate(msgspec.Struct, frozen=True, kw_only=True):
    """`at_least` or `at_most`, exactly one of them, for the named metric."""

    metric: str
    at_least: float | None
    at_most: float | None

    def check(self, label: LabelSpec) -> None:
        """The metric must exist and fit the label."""
        metric_named(self.metric, label.kind, "gate.metric")

    def judge(self, trial: Trial, steering_metric: str) -> Verdict:
        """Compare the candidate's figure with the bound; a figure that is not defined does not pass."""
        value = trial.metric(self.metric)
        if self.at_least is not None:
            return Verdict(
                name=f"{self.metric} >= {self.at_least:g}",
                passed=value >= self.at_least,
                value=value,
                threshold=self.at_least,
            )
        assert self.at_most is not None
        return Verdict(
            name=f"{self.metric} <= {self.at_most:g}", passed=value <= self.at_most, value=value, threshold=self.at_most
        )


def metric(name: str, *, at_least: float | None = None, at_most: float | None = None) -> MetricGate:
    """The candidate's metric on the held-back rows must be `at_least` the bound, or `at_most` where less is better.

    >>> metric("accuracy", at_least=0.8)
    MetricGate(metric='accuracy', at_least=0.8, at_most=None)
    """
    if (at_least is None) == (at_most is None):
        raise DeclarationError(f"gate.metric({name!r}): give either at_least= or at_most=")
    bound = at_least if at_least is not None else at_most
    if not isinstance(bound, (int, float)) or isinstance(bound, bool) or math.isnan(bound):
        raise DeclarationError(f"gate.metric({name!r}): the bound {bound!r} is no number")
    known = METRICS.get(name) if isinstance(name, str) else None
    if known is not None and not known.lowest <= bound <= known.highest:
        between = f"from {known.lowest:g} to {known.highest:g}".replace("from -inf ", "").replace("to inf", "up")
        raise DeclarationError(f"gate.metric({name!r}): the bound {bound!r} says nothing, since {name} goes {between}")
    if known is not None and known.higher_is_better != (at_least is not None):
        given, right = ("at_least", "at_most") if at_least is not None else ("at_most", "at_least")
        better = "larger" if known.higher_is_better else "smaller"
        raise DeclarationError(
            f"gate.metric({name!r}, {given}={bound!r}): a {better} {name} is better, so this would refuse the better "
            f"models; use {right}="
        )
    return MetricGate(metric=name, at_least=at_least, at_most=at_most)
