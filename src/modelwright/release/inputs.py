"""What a model is given: its columns in order, and n rows of them in the two blocks every runtime takes.

Numbers (floats, integers, booleans) stand in one float64 matrix with NaN for missing; texts in one sequence a column with
None for missing: a list where rows are few, `Coded` where they are many. A text column's vocabulary is fixed at training:
a text outside it is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import msgspec
import numpy as np

from modelwright.stats.predictions import Array


class InputColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the model's DataFrame. `vocabulary` is None for numbers."""

    name: str
    kind: Literal["number", "text"]
    vocabulary: tuple[str, ...] | None = None


class Coded(Sequence[str | None]):
    """n texts, each held as its place among the different ones, so that work is done once a word and not once a row.

    `codes`: [n] integers. `words`: what they stand for; None is a missing text.
    """

    def __init__(self, codes: Array, words: Sequence[str | None]) -> None:
        self.codes = codes
        self.words = words

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str | None]:
        return map(self.words.__getitem__, self.codes.tolist())

    @overload
    def __getitem__(self, place: int) -> str | None: ...
    @overload
    def __getitem__(self, place: slice) -> "Coded": ...
    def __getitem__(self, place: int | slice) -> "str | Coded | None":
        return self.take(place) if isinstance(place, slice) else self.words[self.codes[place]]

    def take(self, rows: Array | slice) -> "Coded":
        """Some of the texts, by position."""
        return Coded(self.codes[rows], self.words)

    def within(self, known: frozenset[str]) -> "Coded":
        """The same with every text that is not known made missing."""
        return Coded(self.codes, [word if word in known else None for word in self.words])

    def looked_up(self, table: Mapping[str, float], otherwise: float) -> Array:
        """[n] float64: each text's value in the table."""
        values = [otherwise if word is None else table.get(word, otherwise) for word in self.words]
        return np.array(values, np.float64)[self.codes]


@dataclass(frozen=True)
class Rows:
    """n rows of inputs. `numbers`: [n, numeric columns] float64. `texts`: n of each text column."""

    numbers: Array
    texts: tuple[Sequence[str | None], ...] = ()

    def __len__(self) -> int:
        return int(self.numbers.shape[0])

    def take(self, rows: Array | slice) -> "Rows":
        """Some of the rows, by position."""
        texts = tuple(
            column.take(rows) if isinstance(column, Coded) else np.asarray(column, dtype=object)[rows].tolist()
            for column in self.texts
        )
        return Rows(np.ascontiguousarray(self.numbers[rows]), texts)


def in_vocabulary(rows: Rows, columns: Sequence[InputColumn]) -> Rows:
    """The rows with every text outside its vocabulary made missing."""
    if not rows.texts:
        return rows
    known = [frozenset(column.vocabulary or ()) for column in columns if column.kind == "text"]
    texts = tuple(
        column.within(words) if isinstance(column, Coded) else [text if text in words else None for text in column]
        for column, words in zip(rows.texts, known, strict=True)
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
        else _categorical(next(texts), list(column.vocabulary or ()))
        for column in columns
    }
    return pd.DataFrame(frame)


def _categorical(texts: Sequence[str | None], vocabulary: list[str]) -> Any:
    import pandas as pd

    if not isinstance(texts, Coded):
        return pd.Categorical(list(texts), categories=vocabulary)
    places = texts.looked_up({text: place for place, text in enumerate(vocabulary)}, -1)
    return pd.Categorical.from_codes(places.astype(np.int64), categories=pd.Index(vocabulary))
