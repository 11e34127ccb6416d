"""What a column looked like when the release was trained, in a few hundred bytes, and how far it has moved since.

A number is counted into bins cut at the reference's quantiles; a text into its most frequent values, the rest together.
Missing values are a bin of their own. The distance is the population stability index; rules of thumb call 0.1 a shift
worth a look and 0.2 a large one.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from modelwright.stats.predictions import Array

BINS = 10
TEXTS = 30
PSI_LARGE = 0.2


class ColumnReference(msgspec.Struct, frozen=True, kw_only=True):
    """Bins and counts of one column of `n` rows.

    A number's bins are (-inf, edges[0]], (edges[0], edges[1]], ..., (edges[-1], inf); a text's are `texts`, then all
    others. The last count is of missing values.
    """

    name: str
    edges: tuple[float, ...] | None = None
    texts: tuple[str, ...] | None = None
    counts: tuple[int, ...]

    def count(self, values: Array | Sequence[str | None]) -> Array:
        """[bins + 1] how many of the values fall in each bin; the last is missing."""
        size = len(self.counts)
        if self.edges is not None:
            numbers = np.asarray(values, dtype=float)
            missing = np.isnan(numbers)
            bins = np.searchsorted(np.asarray(self.edges), numbers, side="left")
            return np.bincount(np.where(missing, size - 1, bins), minlength=size)
        index = {text: place for place, text in enumerate(self.texts or ())}
        places = [size - 1 if text is None else index.get(text, size - 2) for text in values]
        return np.bincount(np.array(places, dtype=np.int64), minlength=size)

    def distance(self, counts: Array) -> float:
        """Population stability index of the counts against the reference; half a row is added to every bin."""
        return psi(np.asarray(self.counts), counts)


def reference_of_numbers(name: str, values: Array) -> ColumnReference:
    """Bins at the deciles of the values [n]; a value that is several deciles has a bin of its own."""
    known = values[~np.isnan(values)]
    deciles = np.quantile(known, np.arange(1, BINS) / BINS, method="lower") if len(known) else np.zeros(0)
    # Else a flag that is nearly always 1 could fall to 0 within its bin, unseen.
    repeated = deciles[1:][deciles[1:] == deciles[:-1]]
    cuts = np.unique(np.concatenate([deciles, np.nextafter(repeated, -np.inf)]))
    empty = ColumnReference(name=name, edges=tuple(map(float, cuts)), counts=(0,) * (len(cuts) + 2))
    return msgspec.structs.replace(empty, counts=tuple(map(int, empty.count(values))))


def reference_of_texts(name: str, values: Sequence[str | None]) -> ColumnReference:
    """The most frequent texts, ties in alphabetical order, and the rest."""
    frequency: dict[str, int] = {}
    for text in values:
        if text is not None:
            frequency[text] = frequency.get(text, 0) + 1
    common = tuple(sorted(frequency, key=lambda text: (-frequency[text], text))[:TEXTS])
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
