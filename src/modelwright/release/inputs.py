"""What a model is given: its columns in order, and n rows of them in the two blocks every runtime takes.

Numbers (floats, integers, booleans) stand in one float64 matrix with NaN for missing; texts in one sequence a column with
None for missing: a list where rows are few, `Coded` where they are many. A text is a category whose vocabulary is fixed at
training, and one outside it is missing; or it is free text, which has no vocabulary and reaches the model as it came.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import msgspec
import numpy as np

from modelwright.stats.predictions import Array


class InputColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the model's DataFrame. `vocabulary` is None for numbers and for free text."""

    name: str
    kind: Literal["number", "text"]
    vocabulary: tuple[str, ...] | None = None

    @property
    def is_free(self) -> bool:
        """Whether it is free text."""
        return self.kind == "text" and self.vocabulary is None

    def knows(self) -> frozenset[str | None] | None:
        """The texts it may hold, the missing one among them; None where it may hold any."""
        return None if self.vocabulary is None else frozenset((*self.vocabulary, None))


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

    def within(self, known: frozenset[str | None]) -> "Coded":
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
    """The rows with every text outside its vocabulary made missing; free texts stay as they are."""
    if not rows.texts:
        return rows
    known = [column.knows() for column in columns if column.kind == "text"]
    texts = tuple(_within(column, words) for column, words in zip(rows.texts, known, strict=True))
    return Rows(rows.numbers, texts)


def _within(texts: Sequence[str | None], known: frozenset[str | None] | None) -> Sequence[str | None]:
    if known is None:
        return texts
    return texts.within(known) if isinstance(texts, Coded) else [text if text in known else None for text in texts]


def data_frame(rows: Rows, columns: Sequence[InputColumn]) -> Any:
    """The pandas DataFrame a native model is fitted on and served with: float64 columns, categoricals, and free texts as
    objects; a missing free text is the empty one, as no vectorizer takes another."""
    import pandas as pd

    numbers = iter(range(rows.numbers.shape[1]))
    texts = iter(rows.texts)
    frame: dict[str, Any] = {
        column.name: rows.numbers[:, next(numbers)]
        if column.kind == "number"
        else _free(next(texts))
        if column.is_free
        else _categorical(next(texts), list(column.vocabulary or ()))
        for column in columns
    }
    return pd.DataFrame(frame)


def reads_one_text(estimator: Any) -> bool:
    """Whether it begins with a vectorizer of scikit-learn's kind, which reads one column of texts and no frame."""
    first = estimator.steps[0][1] if hasattr(estimator, "steps") else estimator
    return hasattr(first, "build_analyzer")


def as_taken(frame: Any, estimator: Any) -> Any:
    """The frame as this estimator takes it: a vectorizer that comes first, the one column that there is; CatBoost, which has
    no missing categories, the empty text for one."""
    if reads_one_text(estimator) and len(frame.columns) == 1:
        return frame.iloc[:, 0]
    if not type(estimator).__module__.startswith("catboost."):
        return frame
    texts = {
        name: column.astype(object).where(column.notna(), "")
        for name, column in frame.items()
        if column.dtype == "category"
    }
    return frame.assign(**texts)


def _free(texts: Sequence[str | None]) -> Any:
    import pandas as pd

    return pd.Series(["" if text is None else text for text in texts], dtype=object)


def _categorical(texts: Sequence[str | None], vocabulary: list[str]) -> Any:
    import pandas as pd

    if not isinstance(texts, Coded):
        return pd.Categorical(list(texts), categories=vocabulary)
    places = texts.looked_up({text: place for place, text in enumerate(vocabulary)}, -1)
    return pd.Categorical.from_codes(places.astype(np.int64), categories=pd.Index(vocabulary))
