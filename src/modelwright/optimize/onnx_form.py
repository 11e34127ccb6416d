"""A fitted scikit-learn pipeline as an ONNX graph with all numbers in one input.

ONNX Runtime spends more on each input than on most operators, so the numeric columns are fused into one matrix
`numbers` [n, k] that is split inside the graph; texts stay one input a column.
"""

import copy
import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from modelwright.optimize.lightgbm_graph import convert_lightgbm_exactly
from modelwright.optimize.lowering.builder import Unsupported
from modelwright.release.inputs import InputColumn

Precision = Literal["float64", "float32"]
OPSETS = {"": 21, "ai.onnx.ml": 3}
"""The newest the converter writes."""
TREES_OPSET = 5
"""What the `TreeEnsemble` operator needs; the graph says so where it holds one."""


class NotConvertible(Exception):
    """Why an estimator has no ONNX form."""


def onnx_form(estimator: Any, columns: Sequence[InputColumn], precision: Precision, *, classifier: bool) -> bytes:
    """The graph's bytes, computing in that precision. Raises `NotConvertible` with the reason in one line."""
    if any(column.is_free for column in columns):
        raise NotConvertible("ONNX takes free text apart in another way than scikit-learn")
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
    except ImportError as error:
        raise NotConvertible(f"{error.name} is not installed") from None
    number = DoubleTensorType if precision == "float64" else FloatTensorType
    _register_boosters(precision)
    estimator = _convertible(estimator)
    numbers = [column for column in columns if column.kind == "number"]
    by_name = len(numbers) < len(columns) or _reads_columns_by_name(estimator)
    if by_name:
        types = [(c.name, number([None, 1]) if c.kind == "number" else StringTensorType([None, 1])) for c in columns]
    else:
        types = [("numbers", number([None, len(numbers)]))]
    options = {id(estimator): {"zipmap": False}} if classifier else None
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = convert_sklearn(estimator, "model", types, options=options, target_opset=OPSETS)
    except Unsupported as reason:
        raise NotConvertible(str(reason)) from None
    except Exception as error:  # converters raise whatever they like
        first = (str(error).strip().splitlines() or [""])[0]
        raise NotConvertible(f"{type(error).__name__}: {first[:160]}") from None
    if any(node.op_type == "TreeEnsemble" for node in model.graph.node):
        for opset in model.opset_import:
            opset.version = TREES_OPSET if opset.domain == "ai.onnx.ml" else opset.version
    # The converter keeps domains in a set: in order, equal models are equal bytes.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    if by_name:
        _fuse_numbers(model, [column.name for column in numbers], precision)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _convertible(estimator: Any) -> Any:
    """A copy that the converters take; its one-hot encoders know a missing text by the empty one, which stands for it in
    the graph."""
    estimator = copy.deepcopy(estimator)
    parts = [estimator]
    for part in parts:
        parts += [step[1] for step in [*getattr(part, "steps", []), *getattr(part, "transformers_", [])]]
        if hasattr(part, "flatten_transform"):
            part.flatten_transform = False  # of a vote's `transform`, which no graph is asked for
        if type(part).__name__ == "OneHotEncoder":
            part.categories_ = [
                np.array(["" if text is None or text != text else text for text in known], dtype=object)
                if known.dtype == object
                else known
                for known in part.categories_
            ]
    return estimator


def _reads_columns_by_name(estimator: Any) -> bool:
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    return type(first).__name__ == "ColumnTransformer"


def _fuse_numbers(model: Any, names: list[str], precision: Precision) -> None:
    from onnx import TensorProto, helper

    graph = model.graph
    used = [given for given in graph.input if given.name in set(names)]
    if not used:
        return
    for given in used:
        graph.input.remove(given)
    kind = TensorProto.DOUBLE if precision == "float64" else TensorProto.FLOAT
    graph.input.insert(0, helper.make_tensor_value_info("numbers", kind, [None, len(names)]))
    graph.initializer.append(helper.make_tensor("numbers_split", TensorProto.INT64, [len(names)], [1] * len(names)))
    graph.node.insert(
        0, helper.make_node("Split", ["numbers", "numbers_split"], names, axis=1, name="numbers_to_columns")
    )


def _register_boosters(precision: Precision) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    try:
        from lightgbm import LGBMClassifier, LGBMRegressor
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    except ImportError:
        return
    exactly = precision == "float64"
    convert = convert_lightgbm_exactly if exactly else convert_lightgbm
    classifier_shapes, regressor_shapes = (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    if exactly:
        classifier_shapes, regressor_shapes = _in_float64(classifier_shapes), _in_float64(regressor_shapes)
    update_registered_converter(
        LGBMClassifier, "LightGbmLGBMClassifier", classifier_shapes, convert,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )  # fmt: skip
    update_registered_converter(
        LGBMRegressor, "LightGbmLGBMRegressor", regressor_shapes, convert, options={"split": None}
    )  # fmt: skip


def _in_float64(shapes: Callable[[Any], None]) -> Callable[[Any], None]:
    """The shape calculator, with the last output in float64 whatever the converter guessed: behind texts it guesses
    float32, and the graph does not load."""
    from skl2onnx.common.data_types import DoubleTensorType

    def calculate(operator: Any) -> None:
        shapes(operator)
        said = operator.outputs[-1]
        said.set_type(DoubleTensorType(said.type.shape))

    return calculate
