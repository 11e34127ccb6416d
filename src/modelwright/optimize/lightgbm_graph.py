"""LightGBM's trees as one ONNX `TreeEnsemble` in float64: thresholds are compared exactly as LightGBM compares them.

The common converter writes thresholds as float32, so that a value next to one falls on the other side. The operator of
ai.onnx.ml 5 takes doubles for inputs, thresholds and leaves, and the answers then agree to rounding in the last digits.
What LightGBM can do and the operator cannot (categorical splits, zero as missing, averaged trees) is `Unsupported`.
"""

from typing import Any

import numpy as np

from modelwright.optimize.lowering.builder import Unsupported
from modelwright.optimize.lowering.lightgbm import EXPONENTIAL, IDENTITY

LEQ = 0
SUM = 1
LANES = 8
"""As many float64 numbers as the widest registers hold."""


class Forest:
    """The flat arrays of the operator, filled tree by tree."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.features: list[int] = []
        self.splits: list[float] = []
        self.true_ids: list[int] = []
        self.true_leafs: list[int] = []
        self.false_ids: list[int] = []
        self.false_leafs: list[int] = []
        self.missing_true: list[int] = []
        self.weights: list[float] = []
        self.targets: list[int] = []

    def add(self, tree: dict[str, Any], target: int) -> None:
        """One tree of LightGBM's `dump_model`."""
        self.roots.append(len(self.features))
        if "split_index" not in tree:  # a tree of one leaf: a node whose branches are that leaf
            leaf = self._leaf(tree["leaf_value"], target)
            node = self._node(0, 0.0, True)
            self.true_ids[node] = self.false_ids[node] = leaf
            self.true_leafs[node] = self.false_leafs[node] = 1
            return
        self._grow(tree, target)

    def _grow(self, split: dict[str, Any], target: int) -> int:
        if split["decision_type"] != "<=":
            raise Unsupported("categorical splits have no exact ONNX form")
        missing, threshold = split["missing_type"], float(split["threshold"])
        if missing == "Zero":
            raise Unsupported("zero as missing has no ONNX form")
        # Without missing values in training LightGBM takes NaN for zero.
        left_if_missing = bool(split["default_left"]) if missing == "NaN" else threshold >= 0.0
        node = self._node(int(split["split_feature"]), threshold, left_if_missing)
        for child, ids, leafs in (
            (split["left_child"], self.true_ids, self.true_leafs),
            (split["right_child"], self.false_ids, self.false_leafs),
        ):
            is_leaf = "split_index" not in child
            ids[node] = self._leaf(child["leaf_value"], target) if is_leaf else self._grow(child, target)
            leafs[node] = int(is_leaf)
        return node

    def _node(self, feature: int, split: float, missing_true: bool) -> int:
        self.features.append(feature)
        self.splits.append(split)
        self.missing_true.append(int(missing_true))
        for column in (self.true_ids, self.true_leafs, self.false_ids, self.false_leafs):
            column.append(0)
        return len(self.features) - 1

    def _leaf(self, value: float, target: int) -> int:
        self.weights.append(float(value))
        self.targets.append(target)
        return len(self.weights) - 1

    def attributes(self, targets: int) -> dict[str, Any]:
        """The operator's attributes."""
        from onnx import TensorProto, helper

        def doubles(name: str, values: list[float]) -> Any:
            return helper.make_tensor(name, TensorProto.DOUBLE, [len(values)], values)

        modes = helper.make_tensor("modes", TensorProto.UINT8, [len(self.splits)], [LEQ] * len(self.splits))
        return {
            "n_targets": targets,
            "aggregate_function": SUM,
            "post_transform": 0,
            "tree_roots": self.roots,
            "nodes_featureids": self.features,
            "nodes_modes": modes,
            "nodes_splits": doubles("splits", self.splits),
            "nodes_truenodeids": self.true_ids,
            "nodes_trueleafs": self.true_leafs,
            "nodes_falsenodeids": self.false_ids,
            "nodes_falseleafs": self.false_leafs,
            "nodes_missing_value_tracks_true": self.missing_true,
            "leaf_targetids": self.targets,
            "leaf_weights": doubles("weights", self.weights),
        }


def convert_lightgbm_exactly(scope: Any, operator: Any, container: Any) -> None:
    """A converter for skl2onnx: the trees, and the link from raw scores to probabilities or amounts, all in float64."""
    from onnx import TensorProto

    estimator = operator.raw_operator
    dump = estimator.booster_.dump_model()
    if dump.get("average_output"):
        raise Unsupported("averaged trees have no exact ONNX form")
    objective, *settings = dump["objective"].split()
    per_round = int(dump["num_tree_per_iteration"])
    forest = Forest()
    for number, tree in enumerate(dump["tree_info"]):
        forest.add(tree["tree_structure"], number % per_round)
    if not forest.roots:
        raise Unsupported("a model without trees")

    def node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        container.add_node(kind, inputs, outputs, name=scope.get_unique_operator_name(kind), **attributes)
        return outputs[0]

    def name(what: str) -> str:
        unique: str = scope.get_unique_variable_name(what)
        return unique

    def constant(what: str, kind: int, shape: list[int], values: list[Any]) -> str:
        unique = name(what)
        container.add_initializer(unique, kind, shape, values)
        return unique

    def alone(kind: str, value: str) -> str:
        # The runtime works such a function out for several numbers at once and for the rest one by one, and the two
        # differ in the last bit. A row of `LANES` equal numbers leaves no rest: a row's answer does not depend on how
        # many are asked with it.
        repeated = node("Tile", [value, constant("lanes", TensorProto.INT64, [2], [1, LANES])], [name("repeated")])
        every = node(kind, [repeated], [name(kind.lower())])
        return node("Gather", [every, constant("first", TensorProto.INT64, [1], [0])], [name("one")], axis=1)

    given = node("Cast", [operator.inputs[0].full_name], [name("doubles")], to=TensorProto.DOUBLE)
    raw = node(
        "TreeEnsemble", [given], [name("raw")], op_domain="ai.onnx.ml", op_version=3, **forest.attributes(per_round)
    )
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        if objective not in (*IDENTITY, *EXPONENTIAL) or "sqrt" in settings:
            raise Unsupported(f"objective {dump['objective']!r}")
        value = alone("Exp", raw) if objective in EXPONENTIAL else raw
        node("Cast", [value], [operator.outputs[0].full_name], to=TensorProto.DOUBLE)
        return
    if objective == "binary":
        slope = next((float(item.partition(":")[2]) for item in settings if item.startswith("sigmoid:")), 1.0)
        scaled = node("Mul", [raw, constant("slope", TensorProto.DOUBLE, [1], [slope])], [name("scaled")])
        positive = alone("Sigmoid", scaled)
        negative = node("Sub", [constant("one", TensorProto.DOUBLE, [1], [1.0]), positive], [name("negative")])
        probabilities = node("Concat", [negative, positive], [operator.outputs[1].full_name], axis=1)
    elif objective == "multiclass":
        probabilities = node("Softmax", [raw], [operator.outputs[1].full_name], axis=1)
    else:
        raise Unsupported(f"objective {dump['objective']!r}")
    best = node("ArgMax", [probabilities], [name("best")], axis=1, keepdims=0)
    if np.asarray(classes).dtype.kind in "biu":
        labels = constant("labels", TensorProto.INT64, [len(classes)], [int(value) for value in classes])
    else:
        labels = constant("labels", TensorProto.STRING, [len(classes)], [str(value).encode() for value in classes])
    node("Gather", [labels, best], [operator.outputs[0].full_name], axis=0)
