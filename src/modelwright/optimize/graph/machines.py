"""Support vector machines with a kernel, in float64: distances to the support vectors, the kernel, the votes of pairs.

The common converter writes an operator that computes in float32 alone.
"""

from typing import Any, Final

import numpy as np

from modelwright.optimize.graph.builder import Graph
from modelwright.optimize.onnx_form import NotConvertible, Precision
from modelwright.stats.predictions import Array

SUPPORT_VECTORS: Final = frozenset({"SVC", "NuSVC", "SVR", "NuSVR"})


def support_vectors(model: Any, precision: Precision) -> bytes:
    """SVC and NuSVC without `probability`, SVR and NuSVR."""
    if getattr(model, "probability", False) is True:
        raise NotConvertible("SVC(probability=True) has no exact form; CalibratedClassifierCV(SVC()) has one")
    if getattr(model, "break_ties", False):
        raise NotConvertible("SVC(break_ties=True) has no exact form")
    vectors = model.support_vectors_
    if hasattr(vectors, "toarray"):
        raise NotConvertible("support vectors of a sparse preparation")
    graph = Graph(precision, vectors.shape[1])
    kernel = _kernel(graph, model, np.asarray(vectors, np.float64))
    if not hasattr(model, "classes_"):
        weighted = graph.node("MatMul", kernel, graph.numbers(model.dual_coef_.T))
        return graph.bytes(graph.node("Add", weighted, graph.numbers(model.intercept_)))
    weights, intercepts, first, second = _pairs(model)
    decision = graph.node("Add", graph.node("MatMul", kernel, graph.numbers(weights)), graph.numbers(intercepts))
    above = graph.as_number(graph.node("Greater", decision, graph.numbers(np.zeros(1))))
    below = graph.node("Sub", graph.numbers(np.ones(1)), above)
    votes = graph.node(
        "Add", graph.node("MatMul", above, graph.numbers(first)), graph.node("MatMul", below, graph.numbers(second))
    )
    return graph.bytes(graph.choice(votes, len(model.classes_)))


def _kernel(graph: Graph, model: Any, vectors: Array) -> str:
    """[n, support vectors]."""
    gamma = float(model._gamma)  # noqa: SLF001 - what "scale" became, kept nowhere else
    if model.kernel == "rbf":
        squares = graph.node("ReduceSum", graph.node("Mul", "numbers", "numbers"), graph.integers([1]), keepdims=1)
        of_vectors = graph.numbers((vectors**2).sum(axis=1)[None])
        product = graph.node("MatMul", "numbers", graph.numbers(-2.0 * vectors.T))
        distance = graph.node("Add", graph.node("Add", squares, of_vectors), product)
        distance = graph.node("Max", distance, graph.numbers(np.zeros(1)))
        return graph.node("Exp", graph.node("Mul", distance, graph.numbers(np.array([-gamma]))))
    product = graph.node("MatMul", "numbers", graph.numbers(vectors.T))
    if model.kernel == "linear":
        return product
    shifted = graph.node(
        "Add", graph.node("Mul", product, graph.numbers(np.array([gamma]))), graph.numbers(np.array([model.coef0]))
    )
    if model.kernel == "poly":
        return graph.node("Pow", shifted, graph.numbers(np.array([float(model.degree)])))
    if model.kernel == "sigmoid":
        return graph.node("Tanh", shifted)
    raise NotConvertible(f"kernel={model.kernel!r} has no exact form")


def _pairs(model: Any) -> tuple[Array, Array, Array, Array]:
    """Each pair of classes is a machine of its own: weights [vectors, pairs], intercepts, and whom a pair votes for.

    `dual_coef_` is [classes - 1, vectors]: a vector's weights against the other classes, in their order.
    """
    classes, ends = len(model.classes_), np.cumsum(model.n_support_)
    of = [slice(int(end - count), int(end)) for end, count in zip(ends, model.n_support_, strict=True)]
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    weights = np.zeros((int(ends[-1]), len(pairs)))
    first, second = np.zeros((len(pairs), classes)), np.zeros((len(pairs), classes))
    dual, intercepts = model._dual_coef_, model._intercept_
    for pair, (i, j) in enumerate(pairs):
        weights[of[i], pair] = dual[j - 1, of[i]]
        weights[of[j], pair] = dual[i, of[j]]
        first[pair, i] = second[pair, j] = 1.0
    return weights, np.asarray(intercepts, np.float64), first, second
