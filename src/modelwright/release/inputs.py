"""What a model is given: its columns in order, and n rows of them in the two blocks every runtime takes.

Numbers (floats, integers, booleans) stand in one float64 matrix with NaN for missing; texts in one list a column with
None for missing. A text column's vocabulary is fixed at training: a text outside it is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from modelwright.stats.predictions import Array


class InputColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the model's DataFrame. `vocabulary` is None for numbers."""

    name: str
    kind: Literal["number", "text"]
    vocabulary: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rows:
    """n rows of inputs. `numbers`: [n, numeric columns] float64. `texts`: one list of n a text column."""

    numbers: Array
    texts: tuple[Sequence[str | None], ...] = ()

    def __len__(self) -> int:
        return int(self.numbers.shape[0])

    def take(self, rows: Array | slice) -> "Rows":
        """Some of the rows, by position."""
        texts = tuple(np.asarray(column, dtype=object)[rows].tolist() for column in self.texts)
        return Rows(np.ascontiguousarray(self.numbers[rows]), texts)


def in_vocabulary(rows: Rows, columns: Sequence[InputColumn]) -> Rows:
    """The rows with every text outside its vocabulary made missing."""
    if not rows.texts:
        return rows
    known = [frozenset(column.vocabulary or ()) for column in columns if column.kind == "text"]
    texts = tuple(
        [text if text in words else None for text in column] for column, words in zip(rows.texts, known, strict=True)
    )
    return Rows(rows.numbers, texts)


def data_frame(rows: Rows, columns: Sequence[InputColumn]) -> Any:
    """The pandas DataFrame a native model is fitted on and served with: float64 columns and categoricals."""
    import pandas as pd

    numbers = iter(range(rows.numbers.shape[1]))
    texts = iter(rows.texts)
    frame: dict[str, Any] = {
        column.name: rows.numbers[:, next(numbers)]
        if column.kind == "number"
        else pd.Categorical(list(next(texts)), categories=list(column.vocabulary or ()))
        for column in columns
    }
    return pd.DataFrame(frame)
