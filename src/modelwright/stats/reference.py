"""What a column looked like when the release was trained, in a few hundred bytes, and how far it has moved since.

A number is counted into bins cut at the reference's quantiles; a text into its most frequent values, the rest together.
Missing values are a bin of their own. So counts of bins are all that is kept of a stream: counts of two workers are
merged by adding them. The distance is the population stability index; rules of thumb call 0.1 a shift worth a look and
0.2 a large one.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from modelwright.stats.predictions import Array

QUANTILES = (0.01, 0.05, *(tenth / 10 for tenth in range(1, 10)), 0.95, 0.99)
"""Tenths, and the tails apart: what leaves the usual range leaves it there."""
TEXTS = 30
GROUPS = 4
"""What a column is coarsened to where its relation to another is watched: three groups of about equal counts, and what is
missing or unheard of."""
PSI_LARGE = 0.2


class ColumnReference(msgspec.Struct, frozen=True, kw_only=True):
    """Bins and counts of one column of `n` rows.

    A number's bins are (-inf, edges[0]], (edges[0], edges[1]], ..., (edges[-1], inf); a text's are `texts`, then all
    others. The last count is of missing values. `low`, `high`: of a number's values, the smallest and the largest that is
    finite; None of a text, and where there is none. `importance`: how much the model's answers hang on the column, of all
    columns' together. `inflation`: so many consecutive rows say as much as one independent row (1 where rows are
    independent), see `stats.inflation`.
    """

    name: str
    edges: tuple[float, ...] | None = None
    texts: tuple[str, ...] | None = None
    counts: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    importance: float = 1.0
    inflation: float = 1.0

    def codes(self, values: Array | Sequence[str | None]) -> Array:
        """[n] the bin of each value."""
        missing = len(self.counts) - 1
        if self.edges is not None:
            numbers = np.asarray(values, dtype=float)
            # How many edges are below each: of so few, faster than a search for each value.
            bins = np.add.reduce(np.less.outer(np.asarray(self.edges), numbers), axis=0, dtype=np.uint8)
            bins[np.isnan(numbers)] = missing
            return np.asarray(bins)
        index: dict[str | None, int] = {text: place for place, text in enumerate(self.texts or ())}
        index[None] = missing
        return np.array([index.get(text, missing - 1) for text in values], dtype=np.int64)

    def count(self, values: Array | Sequence[str | None]) -> Array:
        """[bins + 1] how many of the values fall in each bin; the last is missing."""
        return np.bincount(self.codes(values), minlength=len(self.counts))

    def groups(self) -> Array:
        """[bins + 1] the group, below `GROUPS`, of each bin: cut where a third and two thirds of the counts are reached."""
        counts = np.asarray(self.counts, dtype=float)
        usual = len(counts) - (1 if self.edges is not None else 2)
        before = np.cumsum(counts[:usual]) - counts[:usual] / 2
        groups = np.full(len(counts), GROUPS - 1)
        groups[:usual] = np.minimum(2, 3 * before / max(1.0, counts[:usual].sum()))
        return groups

    def distance(self, counts: Array) -> float:
        """Population stability index of the counts against the reference; half a row is added to every bin."""
        return psi(np.asarray(self.counts), counts)


class PairReference(msgspec.Struct, frozen=True, kw_only=True):
    """How two columns went together: `first` and `second` are their places, `counts` [GROUPS * GROUPS] of their groups."""

    first: int
    second: int
    counts: tuple[int, ...]
    inflation: float = 1.0


def reference_of_numbers(name: str, values: Array) -> ColumnReference:
    """Bins at the quantiles of the values [n]; a value that is several quantiles has a bin of its own."""
    known = values[~np.isnan(values)]
    quantiles = np.quantile(known, QUANTILES, method="lower") if len(known) else np.zeros(0)
    # Else a flag that is nearly always 1 could fall to 0 within its bin, unseen.
    repeated = quantiles[1:][quantiles[1:] == quantiles[:-1]]
    cuts = np.unique(np.concatenate([quantiles, np.nextafter(repeated, -np.inf)]))
    finite = known[np.isfinite(known)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
    edges, counts = tuple(map(float, cuts)), (0,) * (len(cuts) + 2)
    empty = ColumnReference(name=name, edges=edges, counts=counts, low=low, high=high)
    return msgspec.structs.replace(empty, counts=tuple(map(int, empty.count(values))))


def reference_of_texts(name: str, values: Sequence[str | None], most: int = TEXTS) -> ColumnReference:
    """The most frequent texts, ties in alphabetical order, and the rest. With `most` 0 only whether there is a text."""
    frequency: dict[str, int] = {}
    for text in values:
        if text is not None:
            frequency[text] = frequency.get(text, 0) + 1
    common = tuple(sorted(frequency, key=lambda text: (-frequency[text], text))[:most])
    empty = ColumnReference(name=name, texts=common, counts=(0,) * (len(common) + 2))
    return msgspec.structs.replace(empty, counts=tuple(map(int, empty.count(values))))


def psi(reference: Array, present: Array) -> float:
    """Population stability index of two count vectors of equal length; 0 where either holds nothing."""
    if not reference.sum() or not present.sum():
        return 0.0
    used = (reference + present) > 0
    was = (reference[used] + 0.5) / (reference[used].sum() + 0.5 * used.sum())
    now = (present[used] + 0.5) / (present[used].sum() + 0.5 * used.sum())
    return float(np.sum((now - was) * np.log(now / was)))


def plain(value: Any) -> Any:
    """A numpy scalar as a Python one; NaN and infinities as None, so that JSON can hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
