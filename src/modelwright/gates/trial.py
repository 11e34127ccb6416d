"""A trial: the candidate's artefact and its rivals, all on the same held-back rows."""

from collections.abc import Mapping

from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions


class HeldBackTrial:
    """The `Trial` gates are given. `outcomes` [n]; `predictions` by name, "candidate" among them."""

    def __init__(self, outcomes: Array, predictions: Mapping[str, Predictions]) -> None:
        self._outcomes = outcomes
        self._predictions = predictions

    @property
    def rivals(self) -> tuple[str, ...]:
        """Everyone but the candidate."""
        return tuple(name for name in self._predictions if name != "candidate")

    def metric(self, name: str, of: str = "candidate") -> float:
        """The metric of one of them."""
        return metric_value(name, self._outcomes, self._predictions[of])
