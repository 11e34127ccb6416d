"""LightGBM: every tree as it compares, in float64; missing values, zeros and categories as its own walker takes them."""

from typing import Any

import numpy as np

from modelwright.optimize.lowering.builder import Unsupported
from modelwright.optimize.lowering.forest import Forest
from modelwright.release.compiled.program import CATEGORY, MISSING_IS_ZERO, MISSING_LEFT, ZERO_IS_MISSING

IDENTITY = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
EXPONENTIAL = ("poisson", "gamma", "tweedie")


def lowered_lightgbm(estimator: Any) -> dict[str, Any]:
    """The members of the program that the model gives."""
    dump = estimator.booster_.dump_model()
    objective, *settings = dump["objective"].split()
    per_round = int(dump["num_tree_per_iteration"])
    forest = Forest()
    for number, tree in enumerate(dump["tree_info"]):
        forest.begin(number % per_round)
        forest.root(_grow(forest, tree["tree_structure"]))
    if not dump["tree_info"]:
        raise Unsupported("a model without trees")
    divisor = len(dump["tree_info"]) / per_round if dump.get("average_output") else 1.0
    slope = 1.0
    if objective == "binary":
        link = "logistic"
        slope = next((float(item.partition(":")[2]) for item in settings if item.startswith("sigmoid:")), 1.0)
    elif objective == "multiclass":
        link = "softmax"
    elif objective in IDENTITY and "sqrt" not in settings:
        link = "identity"
    elif objective in EXPONENTIAL:
        link = "exp"
    else:
        raise Unsupported(f"objective {dump['objective']!r}")
    start = np.zeros(per_round)
    return {"targets": per_round, "link": link, "slope": slope, "divisor": divisor, "start": start, **forest.fields()}


def _grow(forest: Forest, tree: dict[str, Any]) -> int:
    if "split_index" not in tree:
        if "leaf_coeff" in tree:
            raise Unsupported("linear trees have no compiled form")
        return forest.leaf(tree["leaf_value"])
    if tree["decision_type"] == "==":
        categories = [int(category) for category in tree["threshold"].split("||")]
        words = np.zeros(max(categories) // 32 + 1, np.uint32)
        for category in categories:
            words[category >> 5] |= np.uint32(1 << (category & 31))
        node = forest.split(tree["split_feature"], forest.set_of(words), CATEGORY)
    else:
        kind = MISSING_LEFT if tree["default_left"] else 0
        if tree["missing_type"] != "NaN":
            kind |= MISSING_IS_ZERO
        if tree["missing_type"] == "Zero":
            kind |= ZERO_IS_MISSING
        node = forest.split(tree["split_feature"], float(tree["threshold"]), kind)
    forest.children(node, _grow(forest, tree["left_child"]), _grow(forest, tree["right_child"]))
    return node
