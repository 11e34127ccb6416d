"""What a program is given of a row's texts: a category's place in its vocabulary, then what its readers make of free texts.

Between the rows as they are asked and the machine's registers; both what predicts and what explains go through here.
"""

from collections.abc import Sequence

import numpy as np

from modelwright.release.compiled.kernels import Kernels
from modelwright.release.compiled.program import Program
from modelwright.release.compiled.reading import reading
from modelwright.release.inputs import Coded, InputColumn, Rows
from modelwright.stats.predictions import Array


class TextInputs:
    """The vocabularies of a program's categories, and its readers."""

    def __init__(self, program: Program, columns: Sequence[InputColumn], kernels: Kernels) -> None:
        texts = [column for column in columns if column.kind == "text"]
        self.width = program.texts + program.read
        self.columns = len(texts)
        self._categories = [
            (place, {text: float(code) for code, text in enumerate(column.vocabulary or ())})
            for place, column in enumerate(texts)
            if not column.is_free
        ]
        free = [place for place, column in enumerate(texts) if column.is_free]
        self._readers = [(free[reader.place], reading(reader, kernels), reader.given) for reader in program.readers]

    def of(self, rows: Rows) -> Array:
        """[n, categories + what is read] float64, NaN for a category that is missing or outside its vocabulary."""
        given = np.empty((len(rows), self.width))
        for target, (place, codes) in enumerate(self._categories):
            column = rows.texts[place]
            if isinstance(column, Coded):
                given[:, target] = column.looked_up(codes, np.nan)
            else:
                given[:, target] = [codes.get(text, np.nan) for text in column]  # type: ignore[arg-type]  # None is in none
        begin = len(self._categories)
        for place, read, count in self._readers:
            given[:, begin : begin + count] = read(rows.texts[place])
            begin += count
        return given
