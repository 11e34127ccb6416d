"""A network's graph made smaller: weights in INT8, or without half of its hidden units. Never equal: served within bounds.

Weights alone set to zero would save nothing, as ONNX Runtime multiplies zeros too; so whole units are left out, those whose
weights in and out are smallest, and the matrices are smaller.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from modelwright.optimize.onnx_form import NotConvertible
from modelwright.stats.predictions import Array

WORTH_WHILE: Final = 65_536
"""Numbers in the largest matrix from which less of it is faster: at 256 x 256, 64 rows take half as long in INT8; at
128 x 128 one row takes longer (benchmarks/forms)."""
ACTIVATIONS: Final = frozenset({"Relu", "Tanh", "Sigmoid", "LeakyRelu", "Elu", "Selu", "Softplus", "Identity", "Cast"})
"""What works unit by unit."""
CALIBRATED_ROWS: Final = 200


def int8(data: bytes, rows: Array) -> bytes:
    """Weights in INT8; the range of what flows between is taken anew with every call."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    _worth_while(data)
    return _quantised(data, lambda given, made: quantize_dynamic(given, made, weight_type=QuantType.QInt8))


def int8_static(data: bytes, rows: Array) -> bytes:
    """Weights and what flows between in INT8, by the ranges that `rows` [n, f] had."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    _worth_while(data)

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            self._rows: Iterator[Array] = iter(rows[-CALIBRATED_ROWS:].astype(np.float32))

        def get_next(self) -> dict[str, Array] | None:
            row = next(self._rows, None)
            return None if row is None else {"numbers": row[None]}

    return _quantised(data, lambda given, made: quantize_static(given, made, Reader(), quant_format=QuantFormat.QDQ))


def _quantised(data: bytes, quantise: Callable[[str, str], None]) -> bytes:
    """The library reads and writes files."""
    logging.getLogger().addFilter(_quiet)
    try:
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder) / "given.onnx", Path(folder) / "made.onnx"
            given.write_bytes(data)
            quantise(str(given), str(made))
            return made.read_bytes()
    finally:
        logging.getLogger().removeFilter(_quiet)


def _quiet(record: logging.LogRecord) -> bool:
    """It tells of preprocessing for convolutions through the root logger."""
    return "pre-processing" not in record.getMessage()


class Layer(NamedTuple):
    """A hidden layer: the weights that make it [before, units], its bias if it has one, the weights behind it; by name, and
    whether each is stored the other way round."""

    made: tuple[str, bool]
    bias: str | None
    used: tuple[str, bool]


def pruned(data: bytes, rows: Array) -> bytes:
    """Half of the units of every hidden layer, those of the largest weights in times weights out."""
    import onnx
    from onnx import numpy_helper

    _worth_while(data)
    model = onnx.load_from_string(data)
    weights = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
    layers = list(_hidden_layers(model.graph, weights))
    if not layers:
        raise NotConvertible("no hidden layer between two matrices, so no units to leave out")
    for layer in layers:
        before, after = (_turned(weights[name], turned) for name, turned in (layer.made, layer.used))
        weight = np.linalg.norm(before, axis=0) * np.linalg.norm(after, axis=1)
        kept = np.sort(np.argsort(-weight, kind="stable")[: max(1, len(weight) // 2)])
        weights[layer.made[0]] = _turned(before[:, kept], layer.made[1])
        weights[layer.used[0]] = _turned(after[kept], layer.used[1])
        if layer.bias is not None:
            weights[layer.bias] = weights[layer.bias].reshape(-1)[kept]
    for constant in model.graph.initializer:
        constant.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(weights[constant.name]), constant.name))
    del model.graph.value_info[:]
    smaller: bytes = model.SerializeToString(deterministic=True)
    return smaller


def _turned(matrix: Array, turned: bool) -> Array:
    return matrix.T if turned else matrix


def _hidden_layers(graph: Any, weights: dict[str, Array]) -> Iterator[Layer]:
    """Matrix, bias, activation, matrix, where nothing else looks at what flows between."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {output.name for output in graph.output}

    def next_of(node: Any) -> Any:
        name = node.output[0]
        return readers[name][0] if name not in outputs and len(readers.get(name, [])) == 1 else None

    for node in graph.node:
        made = _matrix(node, weights)
        if made is None:
            continue
        bias = node.input[2] if node.op_type == "Gemm" and len(node.input) > 2 else None
        at = next_of(node)
        while at is not None and _matrix(at, weights) is None:
            added = [name for name in at.input if name in weights]
            if at.op_type == "Add" and bias is None and len(added) == 1:
                bias = added[0]
            elif at.op_type not in ACTIVATIONS or added:
                break
            at = next_of(at)
        used = None if at is None else _matrix(at, weights)
        if used is not None and made[0] != used[0]:
            yield Layer(made, bias, used)


def _matrix(node: Any, weights: dict[str, Array]) -> tuple[str, bool] | None:
    """The constant matrix that a node multiplies with, and whether it is stored the other way round."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in weights:
        return None
    return node.input[1], any(given.name == "transB" and given.i == 1 for given in node.attribute)


def _worth_while(data: bytes) -> None:
    import onnx

    graph = onnx.load_from_string(data).graph
    multiplied = {node.input[1] for node in graph.node if node.op_type in ("MatMul", "Gemm")}
    largest = max((int(np.prod(one.dims)) for one in graph.initializer if one.name in multiplied), default=0)
    if largest < WORTH_WHILE:
        raise NotConvertible(f"its largest matrix has {largest:,} numbers; below {WORTH_WHILE:,} less is no faster")


SMALLER: Final[dict[str, Callable[[bytes, Array], bytes]]] = {
    "int8": int8,
    "int8 static": int8_static,
    "pruned": pruned,
}
"""By the names of the forms. Each is given the graph in float32 and rows of features that were fitted on."""
