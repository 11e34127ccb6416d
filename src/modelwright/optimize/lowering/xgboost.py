"""XGBoost: thresholds, missing values and categories as its own walker takes them; sums and links in float32, as it adds.

It reads its booster's JSON, which writes every float32 so that it reads back to the same bits.
"""

import json
from typing import Any, Final

import numpy as np

from modelwright.optimize.lowering.builder import Unsupported
from modelwright.optimize.lowering.forest import Forest
from modelwright.release.compiled.program import CATEGORY, MISSING_LEFT

LINKS: Final = {
    "binary:logistic": "logistic", "multi:softprob": "softmax", "reg:squarederror": "identity",
    "reg:squaredlogerror": "identity", "reg:absoluteerror": "identity", "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity", "count:poisson": "exp", "reg:gamma": "exp", "reg:tweedie": "exp",
}  # fmt: skip
"""The objectives, and what makes an answer of the sum."""


def lowered_xgboost(estimator: Any) -> dict[str, Any]:
    """The members of the program that the model gives."""
    booster = estimator.get_booster()
    if getattr(estimator, "early_stopping_rounds", None) is not None:
        booster = booster[: estimator.best_iteration + 1]
    if not np.isnan(estimator.missing):
        raise Unsupported(f"XGBoost with missing={estimator.missing!r}")
    learner = json.loads(booster.save_raw("json"))["learner"]
    kind, objective = learner["gradient_booster"]["name"], learner["objective"]["name"]
    if kind != "gbtree":
        raise Unsupported(f"XGBoost's booster {kind!r} has no compiled form")
    if objective not in LINKS:
        raise Unsupported(f"objective {objective!r}")
    targets = max(1, int(learner["learner_model_param"]["num_class"]))
    if int(learner["learner_model_param"]["num_target"]) != 1:
        raise Unsupported("several outputs have no compiled form")
    model = learner["gradient_booster"]["model"]
    forest = Forest()
    for tree, target in zip(model["trees"], model["tree_info"], strict=True):
        forest.begin(target)
        _plant(forest, tree)
    return {
        "targets": targets,
        "link": LINKS[objective],
        "start": _start(learner, LINKS[objective], targets),
        "single": True,
        "single_sums": True,
        **forest.fields(),
    }


def _start(learner: dict[str, Any], link: str, targets: int) -> Any:
    """What the sums begin at: the base score, through the link's inverse in float32."""
    base = np.array(json.loads(learner["learner_model_param"]["base_score"]), np.float32).reshape(-1)
    if link == "logistic":
        base = -np.log((np.float32(1.0) / base - np.float32(1.0)).astype(np.float64)).astype(np.float32)
    elif link == "exp":
        base = np.log(base.astype(np.float64)).astype(np.float32)
    return np.broadcast_to(base, targets).astype(np.float64)


def _plant(forest: Forest, tree: dict[str, Any]) -> None:
    """One tree. A number goes left where it is *below* the threshold, so the largest float32 below it is kept; a category
    goes *right* where it is in the set, so such a node's children change places."""
    sets = {
        node: tree["categories"][begin : begin + size]
        for node, begin, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        )
    }
    left, right, default_left = tree["left_children"], tree["right_children"], tree["default_left"]
    numbers = []
    for node, value in enumerate(tree["split_conditions"]):
        feature = tree["split_indices"][node]
        if left[node] < 0:
            numbers.append(forest.leaf(float(np.float32(value))))
        elif node in sets:
            kind = CATEGORY | (0 if default_left[node] else MISSING_LEFT)
            numbers.append(forest.split(feature, forest.set_of(_words(sets[node])), kind))
        else:
            below = np.nextafter(np.float32(value), np.float32(-np.inf))
            numbers.append(forest.split(feature, float(below), MISSING_LEFT if default_left[node] else 0))
    for node, number in enumerate(numbers):
        if number >= 0:
            first, second = (right, left) if node in sets else (left, right)
            forest.children(number, numbers[first[node]], numbers[second[node]])
    forest.root(numbers[0])


def _words(categories: list[int]) -> Any:
    words = np.zeros(max(categories) // 32 + 1, np.uint32)
    for category in categories:
        words[category >> 5] |= np.uint32(1 << (category & 31))
    return words
