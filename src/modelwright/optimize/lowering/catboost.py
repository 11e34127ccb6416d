"""CatBoost on numbers: its trees as it compares them, in float32, and their leaves summed in float64.

Its own categories are statistics over hashes of them; they have no compiled form. It reads the model as CatBoost writes
it in JSON, which it does to a file only.
"""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from modelwright.optimize.lowering.builder import Unsupported
from modelwright.optimize.lowering.forest import Forest
from modelwright.release.compiled.program import MISSING_LEFT

LINKS: Final = {
    "Logloss": "logistic", "CrossEntropy": "logistic", "MultiClass": "softmax", "RMSE": "identity", "MAE": "identity",
    "Quantile": "identity", "Huber": "identity", "MAPE": "identity", "LogCosh": "identity", "Expectile": "identity",
    "Poisson": "exp", "Tweedie": "exp",
}  # fmt: skip
"""The loss functions, without their parameters, and what makes an answer of the sum."""


def lowered_catboost(estimator: Any) -> dict[str, Any]:
    """The members of the program that the model gives."""
    loss = str(estimator.get_all_params()["loss_function"]).partition(":")[0]
    if loss not in LINKS:
        raise Unsupported(f"loss function {loss!r}")
    model = _as_json(estimator)
    inputs = model["features_info"]
    if set(inputs) - {"float_features"}:
        raise Unsupported("CatBoost's own categories have no compiled form")
    features = [
        (int(one["flat_feature_index"]), 0 if one["nan_value_treatment"] == "AsTrue" else MISSING_LEFT)
        for one in sorted(inputs["float_features"], key=lambda one: int(one["feature_index"]))
    ]
    scale, bias = model["scale_and_bias"]
    if scale != 1:
        raise Unsupported("a CatBoost model that was scaled")
    width = len(bias)
    forest = Forest(width)
    for tree in model.get("oblivious_trees", []):
        forest.begin(0 if width == 1 else -1)
        forest.root(_symmetric(forest, tree, features, width, len(tree["splits"]), 0))
    for tree in model.get("trees", []):
        forest.begin(0 if width == 1 else -1)
        forest.root(_grown(forest, tree, features))
    forest.begin(0 if width == 1 else -1)
    forest.root(forest.leaf(*bias))  # a tree of one leaf: CatBoost adds it last
    return {"targets": width, "link": LINKS[loss], "start": np.zeros(width), "single": True, **forest.fields()}


def _as_json(estimator: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        estimator.save_model(str(path), format="json")
        written: dict[str, Any] = json.loads(path.read_text())
    return written


def _symmetric(
    forest: Forest, tree: dict[str, Any], features: list[tuple[int, int]], width: int, level: int, leaf: int
) -> int:
    """All nodes of a level ask the same; the answers, the last split first, are the bits of the leaf's number."""
    if level == 0:
        return forest.leaf(*tree["leaf_values"][leaf * width : (leaf + 1) * width])
    node = _split(forest, tree["splits"][level - 1], features)
    low = _symmetric(forest, tree, features, width, level - 1, leaf)
    high = _symmetric(forest, tree, features, width, level - 1, leaf | 1 << (level - 1))
    forest.children(node, low, high)
    return node


def _grown(forest: Forest, tree: dict[str, Any], features: list[tuple[int, int]]) -> int:
    if "split" not in tree:
        values = tree["value"]
        return forest.leaf(*(values if isinstance(values, list) else [values]))
    node = _split(forest, tree["split"], features)
    forest.children(node, _grown(forest, tree["left"], features), _grown(forest, tree["right"], features))
    return node


def _split(forest: Forest, split: dict[str, Any], features: list[tuple[int, int]]) -> int:
    if split["split_type"] != "FloatFeature":
        raise Unsupported("CatBoost's own categories have no compiled form")
    feature, kind = features[int(split["float_feature_index"])]
    return forest.split(feature, float(np.float32(split["border"])), kind)
