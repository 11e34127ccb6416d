"""The model runtime on a compiled program: numpy and the machine; ONNX Runtime where the program ends in a graph."""

import threading
from collections.abc import Callable
from typing import Final

import numpy as np

from modelwright.release.compiled.image import mapped
from modelwright.release.compiled.kernels import BLOCK, CompiledHere, Given, Kernels, Name
from modelwright.release.compiled.program import LINKS, Program
from modelwright.release.compiled.texts import TextInputs
from modelwright.release.graph import GraphSession
from modelwright.release.inputs import InputColumn, Rows
from modelwright.stats.predictions import Array

READ_BLOCK: Final = 1_024
"""Rows whose free texts are read at once: each may become thousands of numbers."""
GRAPH_BLOCK: Final = 1_024
"""Rows a graph is given at once: one of neighbours or support vectors makes a row of thousands of numbers of each."""


class CompiledRuntime:
    """A program and what it is given of texts, run by the kernels of an image where it is one for this machine and version, else
    by numba's. Loading runs the machine once, so that it is compiled."""

    def __init__(self, data: bytes, columns: tuple[InputColumn, ...], image: bytes | None = None) -> None:
        program = Program.from_bytes(data)
        kernels: Kernels = mapped(image) or CompiledHere()
        self._graph = GraphSession(program.graph.tobytes()) if len(program.graph) else None
        self._outputs = max(2, program.targets) if program.link in ("logistic", "choice") else program.targets
        self._amounts = program.link in ("identity", "exp")
        self._texts = TextInputs(program, columns, kernels)
        self._block = READ_BLOCK if program.readers else None
        self._features = len(program.features)
        preparation = (program.steps, program.constants, program.features, int(program.single))
        rest = (
            int(program.single_sums), program.coefficients, program.start, *_laid_out(program, kernels), program.leaves,
            program.sets, program.divisor, program.slope, LINKS.index(program.link),
        )  # fmt: skip

        def working() -> tuple[Given, ...]:
            block, raw = np.empty((BLOCK, self._features)), np.empty((BLOCK, program.targets))
            return np.empty(program.registers), block, raw, *preparation, *rest

        given = (program.numbers, self._texts.width)
        self._prepare = _Blocks(
            kernels, "features_of", (*given, self._features), lambda: (np.empty(program.registers), *preparation)
        )
        self._answer = _Blocks(kernels, "run", (*given, self._outputs), working)
        self.run(Rows(np.full((1, program.numbers), np.nan), tuple([None] for _ in range(self._texts.columns))))

    def run(self, rows: Rows) -> Array:
        if self._graph is not None:
            features = self.features(rows)
            blocks = range(0, max(1, len(rows)), GRAPH_BLOCK)
            answers = np.concatenate([self._graph.run(features[begin : begin + GRAPH_BLOCK]) for begin in blocks])
            refused = np.isnan(features).all(axis=1)
            if refused.any():
                answers[refused] = np.nan
            return answers
        out = np.empty((len(rows), self._outputs))
        size = self._block or max(1, len(rows))
        for begin in range(0, len(rows), size):
            some = rows if size >= len(rows) else rows.take(slice(begin, begin + size))
            self._answer(some.numbers, self._texts.of(some), out[begin : begin + size])
        return out[:, 0] if self._amounts else out

    def features(self, rows: Rows) -> Array:
        """[n, features] float64: what the preparation gives the model."""
        out = np.empty((len(rows), self._features))
        self._prepare(rows.numbers, self._texts.of(rows), out)
        return out


class _Blocks(threading.local):
    """A kernel on any number of rows: block by block through arrays that stay where they are, one set a thread."""

    def __init__(
        self, kernels: Kernels, name: Name, widths: tuple[int, int, int], fixed: Callable[[], tuple[Given, ...]]
    ) -> None:
        self._numbers, self._texts, self._out = (np.zeros((BLOCK, width)) for width in widths)
        self._kernel = kernels.bound(name, lambda: (self._numbers, self._texts, self._out, *fixed()))

    def __call__(self, numbers: Array, texts: Array, out: Array) -> None:
        if numbers.shape[1] != self._numbers.shape[1]:
            raise ValueError(f"rows of {numbers.shape[1]} numbers, where the program takes {self._numbers.shape[1]}")
        for begin in range(0, len(out), BLOCK):
            rows = min(BLOCK, len(out) - begin)
            self._numbers[:rows] = numbers[begin : begin + rows]
            self._texts[:rows] = texts[begin : begin + rows]
            self._kernel(rows)
            out[begin : begin + rows] = self._out[:rows]


def _laid_out(program: Program, kernels: Kernels) -> tuple[Array, Array, Array, Array]:
    """The trees as `run` takes them: where each begins, its target, the nodes' words, the thresholds."""
    given = (
        program.roots, program.node_feature, program.node_threshold, program.node_left, program.node_right, program.node_kind
    )  # fmt: skip
    nodes = len(program.node_feature)
    leaves = sum(int((children < 0).sum()) for children in (program.roots, program.node_left, program.node_right))
    begins, words = np.zeros(len(program.roots), np.int64), np.zeros(nodes + leaves, np.int64)
    thresholds, waiting, parents = (
        np.zeros(nodes + leaves),
        np.empty(nodes + 2, np.int64),
        np.empty(nodes + 2, np.int64),
    )
    kernels.bound("lay_out", lambda: (*given, begins, words, thresholds, waiting, parents))()
    return begins, program.of_target, words, thresholds
