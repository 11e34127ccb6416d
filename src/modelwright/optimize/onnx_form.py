"""A fitted scikit-learn pipeline as an ONNX graph with all numbers in one input.

ONNX Runtime spends more on each input than on most operators, so the numeric columns are fused into one matrix
`numbers` [n, k] that is split inside the graph; texts stay one input a column.
"""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

from modelwright.release.inputs import InputColumn


class NotConvertible(Exception):  # noqa: N818 - not an error: the native form is served instead, and this says why
    """Why an estimator has no ONNX form."""


def onnx_form(estimator: Any, columns: Sequence[InputColumn], *, classifier: bool) -> bytes:
    """The graph's bytes. Raises `NotConvertible` with the reason in one line."""
    try:
        from skl2onnx import convert_sklearn  # noqa: PLC0415 - heavy, and part of the training extra
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType  # noqa: PLC0415
    except ImportError as error:
        raise NotConvertible(f"{error.name} is not installed") from None
    _register_boosters()
    numbers = [column for column in columns if column.kind == "number"]
    by_name = len(numbers) < len(columns) or _reads_columns_by_name(estimator)
    if by_name:
        types = [
            (column.name, FloatTensorType([None, 1]) if column.kind == "number" else StringTensorType([None, 1]))
            for column in columns
        ]
    else:
        types = [("numbers", FloatTensorType([None, len(numbers)]))]
    options = {id(estimator): {"zipmap": False}} if classifier else None
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = convert_sklearn(estimator, "model", types, options=options, target_opset={"": 21, "ai.onnx.ml": 3})
    except Exception as error:  # converters raise whatever they like
        first = (str(error).strip().splitlines() or [""])[0]
        raise NotConvertible(f"{type(error).__name__}: {first[:160]}") from None
    if by_name:
        _fuse_numbers(model, [column.name for column in numbers])
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _reads_columns_by_name(estimator: Any) -> bool:
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    return type(first).__name__ == "ColumnTransformer"


def _fuse_numbers(model: Any, names: list[str]) -> None:
    from onnx import TensorProto, helper  # noqa: PLC0415

    graph = model.graph
    used = [given for given in graph.input if given.name in set(names)]
    if not used:
        return
    for given in used:
        graph.input.remove(given)
    graph.input.insert(0, helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, len(names)]))
    graph.initializer.append(helper.make_tensor("numbers_split", TensorProto.INT64, [len(names)], [1] * len(names)))
    graph.node.insert(0, helper.make_node("Split", ["numbers", "numbers_split"], names, axis=1, name="numbers_to_columns"))


def _register_boosters() -> None:
    from skl2onnx import update_registered_converter  # noqa: PLC0415
    from skl2onnx.common.shape_calculator import (  # noqa: PLC0415
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    try:
        from lightgbm import LGBMClassifier, LGBMRegressor  # noqa: PLC0415
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm  # noqa: PLC0415
    except ImportError:
        return
    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    update_registered_converter(
        LGBMRegressor, "LightGbmLGBMRegressor", calculate_linear_regressor_output_shapes, convert_lightgbm,
        options={"split": None},
    )  # fmt: skip
