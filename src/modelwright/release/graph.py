"""An ONNX graph on one thread: what the ONNX runtime and a compiled program with a graph behind it share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from modelwright.stats.predictions import Array


class GraphSession:
    """A loaded graph. Numbers go in as one matrix called `numbers`, in the graph's precision; the last output counts."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what fails is raised, too
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.inputs = {given.name: given.type for given in self._session.get_inputs()}
        self._float = np.float64 if self.inputs.get("numbers") == "tensor(double)" else np.float32
        self._output = [self._session.get_outputs()[-1].name]

    def run(self, numbers: Array, texts: Mapping[str, Array] | None = None) -> Array:
        """[n, classes] or [n] float64."""
        feed: dict[str, Any] = dict(texts or {})
        if "numbers" in self.inputs:
            feed["numbers"] = numbers.astype(self._float, copy=False)
        return np.asarray(self._session.run(self._output, feed)[0], dtype=np.float64)
