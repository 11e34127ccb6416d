"""scikit-learn's trees, forests, gradient boosting and histogram gradient boosting."""

from typing import Any

import numpy as np

from modelwright.optimize.lowering.builder import Unsupported
from modelwright.optimize.lowering.forest import Forest
from modelwright.release.compiled.program import CATEGORY, MISSING_LEFT, UNKNOWN_LEFT


def lowered_tree(estimator: Any) -> dict[str, Any]:
    """A decision tree: its leaves hold the shares of the classes, or the mean."""
    return _averaged([estimator], hasattr(estimator, "classes_"))


def lowered_forest(estimator: Any) -> dict[str, Any]:
    """A random forest or extra trees: the mean of its trees' answers."""
    return _averaged(estimator.estimators_, hasattr(estimator, "classes_"))


def _averaged(trees: list[Any], classifies: bool) -> dict[str, Any]:
    if trees[0].tree_.n_outputs != 1:
        raise Unsupported("several outputs have no compiled form")
    width = trees[0].tree_.value.shape[2] if classifies else 1
    forest = Forest(width)
    for tree in trees:
        values = tree.tree_.value[:, 0, :]
        if classifies:
            totals = values.sum(axis=1, keepdims=True)
            values = values / np.where(totals == 0.0, 1.0, totals)
        forest.begin(-1 if classifies else 0)
        _plant(forest, tree.tree_, values)
    return {
        "targets": width,
        "link": "none" if classifies else "identity",
        "start": np.zeros(width),
        "divisor": float(len(trees)),
        "single": True,
        **forest.fields(),
    }


def _plant(forest: Forest, tree: Any, values: Any) -> None:
    """One tree of scikit-learn's arrays, without recursion: some are deep."""
    numbers = [
        forest.split(
            int(tree.feature[node]), float(tree.threshold[node]), MISSING_LEFT if tree.missing_go_to_left[node] else 0
        )
        if tree.children_left[node] >= 0
        else forest.leaf(*values[node])
        for node in range(tree.node_count)
    ]
    for node, number in enumerate(numbers):
        if number >= 0:
            forest.children(number, numbers[tree.children_left[node]], numbers[tree.children_right[node]])
    forest.root(numbers[0])


def lowered_boosting(estimator: Any) -> dict[str, Any]:
    """GradientBoosting: a start, and trees that each add a share."""
    if type(estimator.init_).__name__ not in ("DummyClassifier", "DummyRegressor"):
        raise Unsupported("gradient boosting that starts from a model has no compiled form")
    targets = estimator.estimators_.shape[1]
    forest = Forest()
    for stage in estimator.estimators_:
        for target, tree in enumerate(stage):
            forest.begin(target)
            _plant(forest, tree.tree_, estimator.learning_rate * tree.tree_.value[:, 0, :])
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))[0]  # noqa: SLF001
    if not hasattr(estimator, "classes_"):
        link = "identity"
    elif estimator.loss == "log_loss":
        link = "logistic" if targets == 1 else "softmax"
    else:
        raise Unsupported(f"gradient boosting with loss={estimator.loss!r}")
    return {"targets": targets, "link": link, "start": np.asarray(start), "single": True, **forest.fields()}


def lowered_histogram(estimator: Any) -> dict[str, Any]:
    """HistGradientBoosting, native categories included: float64 thresholds, compared as its own predictor does."""
    kind = type(estimator._loss).__name__  # noqa: SLF001 - the link is told nowhere else
    links = {
        "HalfBinomialLoss": "logistic", "HalfMultinomialLoss": "softmax", "HalfSquaredError": "identity",
        "AbsoluteError": "identity", "PinballLoss": "identity", "HalfPoissonLoss": "exp", "HalfGammaLoss": "exp",
    }  # fmt: skip
    if kind not in links:
        raise Unsupported(f"histogram gradient boosting with {kind}")
    known_sets, place_of = estimator._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001
    start = np.asarray(estimator._baseline_prediction, np.float64).reshape(-1)  # noqa: SLF001
    forest = Forest()
    for stage in estimator._predictors:  # noqa: SLF001
        for target, predictor in enumerate(stage):
            forest.begin(target)
            _plant_histogram(forest, predictor, known_sets, place_of)
    return {"targets": len(start), "link": links[kind], "start": start, **forest.fields()}


def _plant_histogram(forest: Forest, predictor: Any, known_sets: Any, place_of: Any) -> None:
    numbers = []
    for node in predictor.nodes:
        kind = MISSING_LEFT if node["missing_go_to_left"] else 0
        feature = int(node["feature_idx"])
        if node["is_leaf"]:
            numbers.append(forest.leaf(node["value"]))
        elif node["is_categorical"]:
            kind |= CATEGORY | (UNKNOWN_LEFT if node["missing_go_to_left"] else 0)
            chosen = forest.set_of(predictor.raw_left_cat_bitsets[node["bitset_idx"]], known_sets[place_of[feature]])
            numbers.append(forest.split(feature, chosen, kind))
        else:
            numbers.append(forest.split(feature, float(node["num_threshold"]), kind))
    for number, node in zip(numbers, predictor.nodes, strict=True):
        if number >= 0:
            forest.children(number, numbers[node["left"]], numbers[node["right"]])
    forest.root(numbers[0])
