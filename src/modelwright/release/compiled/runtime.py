"""The model runtime on a compiled program: numpy and the machine, no other library."""

import numpy as np

from modelwright.release.compiled.program import LINKS, Program
from modelwright.release.inputs import Coded, InputColumn, Rows
from modelwright.stats.predictions import Array


class CompiledRuntime:
    """A program and the vocabularies of its text inputs. Loading runs the machine once, so that it is compiled."""

    def __init__(self, data: bytes, columns: tuple[InputColumn, ...]) -> None:
        from modelwright.release.compiled.machine import laid_out, run

        program = Program.from_bytes(data)
        self._run = run
        self._outputs = 2 if program.link == "logistic" else program.targets
        self._amounts = program.link in ("identity", "exp")
        self._codes = [
            {text: float(code) for code, text in enumerate(column.vocabulary or ())}
            for column in columns
            if column.kind == "text"
        ]
        roots, nodes, thresholds = laid_out(
            program.roots, program.node_feature, program.node_threshold, program.node_left, program.node_right,
            program.node_kind,
        )  # fmt: skip
        self._program = (
            program.registers, program.steps, program.constants, program.features, program.single,
            program.coefficients, program.start, roots, program.of_target, nodes, thresholds, program.leaves,
            program.sets, program.divisor, program.slope, LINKS.index(program.link),
        )  # fmt: skip
        self.run(Rows(np.full((1, program.numbers), np.nan), tuple([None] for _ in range(program.texts))))

    def run(self, rows: Rows) -> Array:
        n = len(rows)
        texts = np.empty((n, len(rows.texts)))
        for place, (codes, column) in enumerate(zip(self._codes, rows.texts, strict=True)):
            if isinstance(column, Coded):
                texts[:, place] = column.looked_up(codes, np.nan)
            else:
                texts[:, place] = [codes.get(text, np.nan) for text in column]  # type: ignore[arg-type]  # None is in none
        out = np.empty((n, self._outputs))
        self._run(rows.numbers, texts, *self._program, out)
        return out[:, 0] if self._amounts else out
