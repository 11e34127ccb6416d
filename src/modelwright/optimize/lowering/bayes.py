"""Naive Bayes over counts: linear in the features, with the softmax for a link."""

from typing import Any

import numpy as np

from modelwright.optimize.lowering.builder import Unsupported


def lowered_multinomial(estimator: Any) -> dict[str, Any]:
    """MultinomialNB."""
    if len(estimator.classes_) < 2:
        raise Unsupported("naive Bayes of one class")
    return {
        "targets": len(estimator.classes_),
        "link": "softmax",
        "coefficients": np.ascontiguousarray(estimator.feature_log_prob_, np.float64),
        "start": np.asarray(estimator.class_log_prior_, np.float64),
    }


def lowered_complement(estimator: Any) -> dict[str, Any]:
    """ComplementNB, which leaves the classes' own rates out."""
    return {**lowered_multinomial(estimator), "start": np.zeros(len(estimator.classes_))}
