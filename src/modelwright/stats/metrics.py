"""The metrics of `spec.metric`, each as its usual definition says, over whole arrays.

Each function takes the outcomes `y` [n] and the `Predictions`, and returns a float, NaN where it is not defined (no
rows, or a single class where two are needed).
"""

from collections.abc import Callable

import numpy as np

from modelwright.stats.predictions import Array, Predictions

PROBABILITY_FLOOR = 1e-15
"""`log_loss` clips probabilities here, so that one confident miss does not make it infinite."""


def metric_value(name: str, y: Array, predictions: Predictions) -> float:
    """The metric of that name.

    >>> y = np.array([True, False, True, True])
    >>> p = np.array([0.9, 0.2, 0.6, 0.4])
    >>> both = Predictions.of_classes(np.column_stack([1 - p, p]), (False, True))
    >>> metric_value("accuracy", y, both), metric_value("roc_auc", y, both)
    (0.75, 1.0)
    """
    return _METRICS[name](y, predictions) if len(y) else float("nan")


def _score(predictions: Predictions) -> Array:
    if predictions.score is None:
        raise ValueError("this metric needs the score of a positive class")
    return predictions.score


def _accuracy(y: Array, predictions: Predictions) -> float:
    return float(np.mean(predictions.value == y))


def _roc_auc(y: Array, predictions: Predictions) -> float:
    """Rank statistic with ties counted half (Mann and Whitney 1947)."""
    score, positive = _score(predictions), y.astype(bool)
    n1 = int(positive.sum())
    n0 = len(y) - n1
    if n0 == 0 or n1 == 0:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    rank = (last - (counts - 1) / 2)[inverse]
    return float((rank[positive].sum() - n1 * (n1 + 1) / 2) / (n0 * n1))


def _average_precision(y: Array, predictions: Predictions) -> float:
    """Sum over thresholds of precision times the gain in recall; equal scores are one threshold."""
    score, positive = _score(predictions), y.astype(bool)
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(y) - 1)
    precision = hits[ends] / (ends + 1)
    recall = hits[ends] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _confusion(y: Array, predictions: Predictions) -> tuple[int, int, int]:
    said, true = predictions.value.astype(bool), y.astype(bool)
    return int((said & true).sum()), int((said & ~true).sum()), int((~said & true).sum())


def _precision(y: Array, predictions: Predictions) -> float:
    hits, false_alarms, _ = _confusion(y, predictions)
    return hits / (hits + false_alarms) if hits + false_alarms else 0.0


def _recall(y: Array, predictions: Predictions) -> float:
    hits, _, misses = _confusion(y, predictions)
    return hits / (hits + misses) if hits + misses else float("nan")


def _f1(y: Array, predictions: Predictions) -> float:
    hits, false_alarms, misses = _confusion(y, predictions)
    return 2 * hits / (2 * hits + false_alarms + misses) if hits + false_alarms + misses else float("nan")


def _brier(y: Array, predictions: Predictions) -> float:
    return float(np.mean((_score(predictions) - y.astype(float)) ** 2))


def _log_loss(y: Array, predictions: Predictions) -> float:
    return float(-np.mean(np.log(np.clip(probability_of_outcome(y, predictions), PROBABILITY_FLOOR, 1.0))))


def _mae(y: Array, predictions: Predictions) -> float:
    return float(np.mean(np.abs(predictions.value - y)))


def _rmse(y: Array, predictions: Predictions) -> float:
    return float(np.sqrt(np.mean((predictions.value - y) ** 2)))


def _r2(y: Array, predictions: Predictions) -> float:
    spread = float(np.sum((y - np.mean(y)) ** 2))
    return 1 - float(np.sum((predictions.value - y) ** 2)) / spread if spread else float("nan")


def probability_of_outcome(y: Array, predictions: Predictions) -> Array:
    """[n] the probability given to what then happened; 0 for an outcome the model has never seen."""
    if predictions.probabilities is None:
        raise ValueError("this metric needs probabilities")
    column = {label: index for index, label in enumerate(predictions.classes)}
    columns = np.array([column.get(label, -1) for label in y.tolist()], dtype=np.int64)
    chosen = predictions.probabilities[np.arange(len(y)), columns]
    return np.where(columns >= 0, chosen, 0.0)


_METRICS: dict[str, Callable[[Array, Predictions], float]] = {
    "accuracy": _accuracy,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
    "brier": _brier,
    "log_loss": _log_loss,
    "mae": _mae,
    "rmse": _rmse,
    "r2": _r2,
}
