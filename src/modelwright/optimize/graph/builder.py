"""Where a graph is put together by hand: nodes and constants in one precision, names by number."""

from typing import Any

import numpy as np

from modelwright.optimize.onnx_form import OPSETS, Precision
from modelwright.stats.predictions import Array

IR_VERSION = 10


class Graph:
    """A graph over one matrix `numbers` [n, width]. Every method that adds something gives the name of its result."""

    def __init__(self, precision: Precision, width: int) -> None:
        from onnx import TensorProto

        self._dtype = np.float64 if precision == "float64" else np.float32
        self._number = TensorProto.DOUBLE if precision == "float64" else TensorProto.FLOAT
        self._width = width
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """An operator with one output."""
        from onnx import helper

        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=f"{kind}_{name}", **attributes))
        return name

    def numbers(self, values: Array) -> str:
        """A constant in the graph's precision."""
        return self._constant(np.ascontiguousarray(values, self._dtype))

    def integers(self, values: list[int]) -> str:
        """A constant of whole numbers: axes, shapes."""
        return self._constant(np.array(values, np.int64))

    def as_number(self, value: str) -> str:
        """Truths as 0 and 1."""
        return self.node("Cast", value, to=self._number)

    def choice(self, scores: str, classes: int) -> str:
        """One for the class of the largest score, the first of equals; zero for the others."""
        best = self.node("ArgMax", scores, axis=1, keepdims=1)
        return self.as_number(self.node("Equal", best, self.integers(list(range(classes)))))

    def bytes(self, output: str) -> bytes:
        """The whole, with that value as its answer."""
        from onnx import helper

        graph = helper.make_graph(
            self._nodes,
            "model",
            [helper.make_tensor_value_info("numbers", self._number, [None, self._width])],
            [helper.make_tensor_value_info(output, self._number, None)],
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSETS[""])],
            producer_name="modelwright",
            ir_version=IR_VERSION,
        )
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    def _constant(self, values: Array) -> str:
        from onnx import numpy_helper

        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name
