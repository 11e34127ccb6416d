"""A fitted PyTorch module inside an estimator as a graph, in the float32 it computes in.

Estimators around a network keep the fitted module as `module_` (skorch's name) or `model_` (Keras's; with its torch backend a
Keras model is such a module). What stands between its output and `predict_proba`, nothing or a softmax or a sigmoid, is
found by asking: the graph says what the estimator says, or there is none.
"""

import copy
import io
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from modelwright.core.errors import first_line
from modelwright.optimize.onnx_form import NotConvertible
from modelwright.stats.predictions import Array

KEPT_AS: Final = ("module_", "model_")
OPSET: Final = 18
NEAR: Final = 1e-4
"""How near a head must come to be the estimator's; the comparison of the form then decides."""


def module_of(model: Any) -> Any:
    """The fitted torch module of an estimator; None where it has none."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    found = (getattr(model, name, None) for name in KEPT_AS)
    return next((module for module in found if isinstance(module, torch.nn.Module)), None)


def network(model: Any, features: Array, said: Array, *, classifier: bool) -> bytes:
    """The graph's bytes. Raises `NotConvertible` where the module does not export or is not all there is."""
    import onnx

    module = copy.deepcopy(module_of(model)).cpu().float().eval()
    rows = features[:64].astype(np.float32)
    raw, data = _exported(module, rows)
    head = _head(raw, said[: len(rows)], classifier=classifier)
    graph = onnx.load_from_string(data)
    _with_head(graph, head)
    exported: bytes = graph.SerializeToString(deterministic=True)
    return exported


def _exported(module: Any, rows: Array) -> tuple[Array, bytes]:
    import torch

    given = torch.from_numpy(rows)
    out = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = np.asarray(module(given), np.float64)
            # The newer exporter needs another library, and gives the same graph for such modules.
            torch.onnx.export(
                module, (given,), out, dynamo=False, opset_version=OPSET, input_names=["numbers"],
                output_names=["raw"], dynamic_axes={"numbers": {0: "rows"}, "raw": {0: "rows"}},
            )  # fmt: skip
    except Exception as error:  # a module raises whatever it likes
        raise NotConvertible(f"{type(module).__name__} does not export: {first_line(error)[:120]}") from None
    return raw, out.getvalue()


def _softmax(raw: Array) -> Array:
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _two(positive: Array) -> Array:
    return np.column_stack([1.0 - positive, positive])


HEADS: Final[dict[str, tuple[tuple[str, ...], Callable[[Array], Array]]]] = {
    "itself": ((), lambda raw: raw),
    "softmax": (("Softmax",), _softmax),
    "exp": (("Exp",), np.exp),
    "sigmoid": (("Sigmoid", "two"), lambda raw: _two(1.0 / (1.0 + np.exp(-raw.reshape(-1))))),
    "one probability": (("two",), lambda raw: _two(raw.reshape(-1))),
}
"""What may stand behind a module: the operators, and the same in numpy. `two` makes two probabilities of one."""


def _head(raw: Array, said: Array, *, classifier: bool) -> tuple[str, ...]:
    if not classifier:
        raw = raw.reshape(len(raw), -1)[:, 0] if raw.size == len(raw) else raw
    for operators, function in HEADS.values():
        if raw.ndim != 2 and operators and classifier and "two" not in operators:
            continue
        with np.errstate(all="ignore"):
            tried = function(raw)
        if tried.shape == said.shape and np.abs(tried - said).max(initial=0.0) <= NEAR * max(1.0, np.abs(said).max()):
            return operators
    raise NotConvertible("the estimator does more than its module: no softmax, sigmoid or nothing behind it is equal")


def _with_head(model: Any, operators: tuple[str, ...]) -> None:
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    value = graph.output[0].name
    for operator in operators:
        if operator == "two":
            graph.initializer.extend(
                [
                    numpy_helper.from_array(np.array([-1, 1], np.int64), "column"),
                    numpy_helper.from_array(np.array(1.0, np.float32), "one"),
                ]
            )
            graph.node.extend([
                helper.make_node("Reshape", [value, "column"], ["positive"]),
                helper.make_node("Sub", ["one", "positive"], ["negative"]),
                helper.make_node("Concat", ["negative", "positive"], ["both"], axis=1),
            ])  # fmt: skip
            value = "both"
        else:
            attributes = {"axis": 1} if operator == "Softmax" else {}
            graph.node.append(helper.make_node(operator, [value], [f"{operator}_of"], **attributes))
            value = f"{operator}_of"
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
