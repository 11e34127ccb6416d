"""The graph of a fitted model without its preparation: from a matrix of features to probabilities or amounts."""

from typing import Any

from modelwright.optimize.graph.machines import SUPPORT_VECTORS, support_vectors
from modelwright.optimize.graph.network import module_of, network
from modelwright.optimize.onnx_form import NotConvertible, Precision, onnx_form
from modelwright.release.inputs import InputColumn
from modelwright.stats.predictions import Array


def model_graph(model: Any, features: Array, said: Array, precision: Precision, *, classifier: bool) -> bytes:
    """The graph's bytes. Raises `NotConvertible` with the reason in one line.

    `features` [n, f]: rows as the preparation gives them; `said`: what the estimator says of them.
    """
    if module_of(model) is not None:
        if precision == "float64":
            raise NotConvertible("a network computes in float32")
        return network(model, features, said, classifier=classifier)
    if type(model).__name__ in SUPPORT_VECTORS and type(model).__module__.startswith("sklearn."):
        return support_vectors(model, precision)
    columns = [InputColumn(name=f"f{place}", kind="number") for place in range(features.shape[1])]
    return onnx_form(model, columns, precision, classifier=classifier)


def refuses_missing(model: Any, features: Array) -> bool:
    """Whether the model gives no answer to a row with a missing feature."""
    row = features[:1].copy()
    row[:] = float("nan")
    try:
        model.predict(row)
    except Exception:
        return True
    return False
