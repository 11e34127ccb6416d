"""The metrics a system can be steered by: which labels each fits and which way is better. `stats.metrics` computes."""

import math
from typing import Any

import msgspec

from modelwright.core.errors import DeclarationError
from modelwright.spec.label import LabelKind


class MetricSpec(msgspec.Struct, frozen=True):
    """A metric's name, the label kinds it fits, whether higher is better, and between which figures it always is."""

    name: str
    kinds: frozenset[str]
    higher_is_better: bool
    lowest: float = 0.0
    highest: float = 1.0


_CLASSES = frozenset({"bool", "str"})
_BINARY = frozenset({"bool"})
_AMOUNTS = frozenset({"int", "float"})
METRICS = {
    metric.name: metric
    for metric in (
        MetricSpec("accuracy", _CLASSES, True),
        MetricSpec("roc_auc", _BINARY, True),
        MetricSpec("average_precision", _BINARY, True),
        MetricSpec("f1", _BINARY, True),
        MetricSpec("precision", _BINARY, True),
        MetricSpec("recall", _BINARY, True),
        MetricSpec("brier", _BINARY, False),
        MetricSpec("log_loss", _CLASSES, False, highest=math.inf),
        MetricSpec("mae", _AMOUNTS, False, highest=math.inf),
        MetricSpec("rmse", _AMOUNTS, False, highest=math.inf),
        MetricSpec("r2", _AMOUNTS, True, lowest=-math.inf),
    )
}
DEFAULT: dict[LabelKind, str] = {"bool": "roc_auc", "str": "accuracy", "int": "mae", "float": "mae"}


def metric_named(name: Any, kind: LabelKind, where: str) -> MetricSpec:
    """The metric of that name; DeclarationError where it does not exist or does not fit the label's kind."""
    fitting = [metric.name for metric in METRICS.values() if kind in metric.kinds]
    if name not in fitting:
        raise DeclarationError(f"{where}: no metric {name!r} for a {kind} label; choose from {', '.join(fitting)}")
    return METRICS[name]
