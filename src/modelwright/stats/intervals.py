"""How far a metric may be from what it looks like: an interval from its own rows, without resampling.

The spread is found by leaving out one of twenty consecutive parts after the other (the delete-a-group jackknife: Kott, "The
delete-a-group jackknife", J. Official Statistics 2001): it holds for every metric that is smooth in its rows, and rows that
resemble their neighbours are allowed for up to the length of a part. Shares get Wilson's form (JASA 1927) over as many rows as
that spread is worth, so that one of few rows, or of no error at all, is wide too. An interval holds the truth as often as it
says each time one looks, and not at all times together: no decision rests on it.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions

CONFIDENCE = 0.95
PARTS = 20
FEWEST = 2 * PARTS
"""With fewer rows nothing is known of how they resemble each other: each counts as one of its own."""
SHARES = frozenset({"accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "brier"})
NEVER_BELOW_0 = frozenset({"mae", "rmse", "log_loss"})


@dataclass(frozen=True)
class Interval:
    """`low` and `high` are None where there are too few rows to say."""

    value: float | None
    low: float | None
    high: float | None


def metric_interval(name: str, y: Array, said: Predictions, confidence: float = CONFIDENCE) -> Interval:
    """The metric over rows in order of time, and where it is with that confidence.

    >>> y = np.array([True] * 9 + [False])
    >>> both = Predictions.of_classes(np.tile([0.2, 0.8], (10, 1)), (False, True))
    >>> metric_interval("accuracy", y, both)
    Interval(value=0.9, low=0.5958, high=0.9821)
    """
    value, rows = metric_value(name, y, said), len(y)
    share = name in SHARES
    if not math.isfinite(value):
        return Interval(None, 0.0 if share else None, 1.0 if share else None)
    parts = PARTS if rows >= FEWEST else rows
    variance = _variance(name, y, said, parts)
    if share:
        spread, most = value * (1 - value), float(_worth(name, y, said))
        worth = most if rows < FEWEST or not variance else min(most, spread / variance) if spread else most
        reach = student(confidence, parts - 1) if rows >= FEWEST else NormalDist().inv_cdf((1 + confidence) / 2)
        low, high = wilson(value, max(worth, 1e-9), reach)
        return Interval(_figures(value), _figures(low), _figures(high))
    if rows < 2 or not math.isfinite(variance):
        return Interval(_figures(value), None, None)
    reach = student(confidence, parts - 1) * math.sqrt(variance)
    low = max(0.0, value - reach) if name in NEVER_BELOW_0 else value - reach
    return Interval(_figures(value), _figures(low), _figures(value + reach))


def wilson(share: float, rows: float, reach: float) -> tuple[float, float]:
    """Where a share of so many rows is, `reach` standard deviations to both sides."""
    square = reach * reach
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    half = reach / (1 + square / rows) * math.sqrt(share * (1 - share) / rows + square / (4 * rows * rows))
    return max(0.0, middle - half), min(1.0, middle + half)


def student(confidence: float, freedom: int) -> float:
    """The two-sided quantile of Student's distribution: exact for 1 and 2, else the expansion of Cornish and Fisher (1960).

    >>> [round(student(0.95, freedom), 2) for freedom in (1, 2, 4, 19)]
    [12.71, 4.3, 2.77, 2.09]
    """
    if freedom <= 0:
        return math.inf
    if freedom == 1:
        return math.tan(math.pi * confidence / 2)
    if freedom == 2:
        return confidence * math.sqrt(2 / (1 - confidence * confidence))
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    one = (z**3 + z) / 4
    two = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    three = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + one / freedom + two / freedom**2 + three / freedom**3


def _variance(name: str, y: Array, said: Predictions, parts: int) -> float:
    """Of the metric; what it is not defined without is left out."""
    edges = np.linspace(0, len(y), parts + 1).astype(int)
    left = []
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        kept = np.r_[0:begin, end : len(y)]
        left.append(metric_value(name, y[kept], said.take(kept)))
    found = np.array(left)
    found = found[np.isfinite(found)]
    if len(found) < 2:
        return math.nan
    return float((len(found) - 1) / len(found) * np.sum((found - found.mean()) ** 2))


def _worth(name: str, y: Array, said: Predictions) -> int:
    """As many independent rows as a share of these can be worth at most."""
    if name in ("accuracy", "brier"):
        return len(y)
    positive = int(y.astype(bool).sum())
    if name == "roc_auc":
        return max(1, 2 * min(positive, len(y) - positive))
    called = said.value.astype(bool)
    if name == "precision":
        return max(1, int(called.sum()))
    return max(1, int((called | y.astype(bool)).sum()) if name == "f1" else positive)


def _figures(value: float) -> float:
    return float(f"{value:.4g}")
