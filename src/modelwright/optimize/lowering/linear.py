"""Linear models: coefficients, an intercept and a link."""

from typing import Any

import numpy as np

from modelwright.optimize.lowering.builder import Unsupported

AMOUNTS = frozenset({
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "Lars", "LassoLars",
    "BayesianRidge", "ARDRegression", "HuberRegressor", "QuantileRegressor", "SGDRegressor", "LinearSVR", "TheilSenRegressor",
})  # fmt: skip
EXPONENTIAL = frozenset({"PoissonRegressor", "GammaRegressor"})
DECISIONS = frozenset(
    {"LinearSVC", "RidgeClassifier", "RidgeClassifierCV", "Perceptron", "PassiveAggressiveClassifier"}
)
"""Classifiers that say which class, and not how probable it is."""


def lowered_amount(estimator: Any) -> dict[str, Any]:
    """A linear regression; Poisson's and gamma's through the exponential."""
    coefficients = np.atleast_2d(np.asarray(estimator.coef_, np.float64))
    if len(coefficients) != 1:
        raise Unsupported("several outputs have no compiled form")
    link = "exp" if type(estimator).__name__ in EXPONENTIAL else "identity"
    return {
        "targets": 1,
        "link": link,
        "coefficients": coefficients,
        "start": np.ravel(estimator.intercept_).astype(float),
    }


def lowered_logistic(estimator: Any) -> dict[str, Any]:
    """Logistic regression: the sigmoid of one value for two classes, the softmax of several."""
    coefficients = np.atleast_2d(np.asarray(estimator.coef_, np.float64))
    link = "logistic" if len(coefficients) == 1 else "softmax"
    start = np.broadcast_to(np.ravel(estimator.intercept_).astype(float), len(coefficients)).copy()
    return {"targets": len(coefficients), "link": link, "coefficients": coefficients, "start": start}


def lowered_decision(estimator: Any) -> dict[str, Any]:
    """The class of the largest value, or of two the second where the one value is above zero."""
    return {**lowered_logistic(estimator), "link": "choice"}


def lowered_descent(estimator: Any) -> dict[str, Any]:
    """SGDClassifier: by its loss a logistic regression, of two classes, or a decision."""
    if not hasattr(estimator, "predict_proba"):
        return lowered_decision(estimator)
    if estimator.loss == "log_loss" and len(estimator.coef_) == 1:
        return lowered_logistic(estimator)
    raise Unsupported(f"SGDClassifier(loss={estimator.loss!r}) of {len(estimator.classes_)} classes")
