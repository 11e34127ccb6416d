"""The loss of a single row, so that two releases can be compared request by request.

Accuracy-like metrics count the error (0 or 1). Metrics of ranking and of probability, which no single row has, are
stood in for by a proper score of the row: the Brier score, or one minus the probability given to the outcome. Amounts
count the absolute error.
"""

import numpy as np

from modelwright.stats.metrics import probability_of_outcome
from modelwright.stats.predictions import Array, Predictions

_ERRORS = frozenset({"accuracy", "f1", "precision", "recall"})
_BRIER = frozenset({"roc_auc", "average_precision", "brier"})


def row_losses(metric: str, y: Array, predictions: Predictions) -> Array:
    """[n] float losses in [0, 1] for classes, absolute errors for amounts; lower is better.

    >>> said = Predictions.of_classes(np.array([[0.3, 0.7], [0.6, 0.4]]), (False, True))
    >>> row_losses("accuracy", np.array([True, True]), said).tolist()
    [0.0, 1.0]
    """
    if not predictions.classes:
        return np.asarray(np.abs(predictions.value.astype(float) - y.astype(float)))
    if metric in _ERRORS or (metric in _BRIER and predictions.score is None):
        return np.asarray(predictions.value != y, dtype=float)
    if metric in _BRIER and predictions.score is not None:
        return np.asarray((predictions.score - y.astype(float)) ** 2)
    return 1.0 - probability_of_outcome(y, predictions)
