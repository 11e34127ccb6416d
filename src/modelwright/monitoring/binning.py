"""Requests counted into the bins of a release's references: all that drift needs to know of them.

What is watched are the inputs, the score, the lengths of texts that are mostly different from each other, and pairs of
inputs that matter (`References`). Counts of two workers' requests are merged by adding them. No request is kept.
"""

from collections.abc import Sequence

import numpy as np

from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import References
from modelwright.stats.predictions import Array
from modelwright.stats.reference import GROUPS, ColumnReference


class Binning:
    """`columns`: what is watched, in this order: each input, the score if there is a reference of it, lengths; `sizes` are the
    bins of these and of the pairs, which come last."""

    def __init__(self, references: References, inputs: tuple[InputColumn, ...]) -> None:
        score = () if references.score is None else (references.score,)
        self.columns: tuple[ColumnReference, ...] = (*references.columns, *score, *references.lengths)
        self._pairs = references.pairs
        self.sizes = [*(len(one.counts) for one in self.columns), *(len(pair.counts) for pair in self._pairs)]
        self.width = max(self.sizes, default=1)
        numbers = [place for place, column in enumerate(inputs) if column.kind == "number"]
        self._texts = [place for place, column in enumerate(inputs) if column.kind == "text"]
        self._scored = bool(score)
        self._lengths = range(len(inputs) + len(score), len(self.columns))
        places = {inputs[place].name: number for number, place in enumerate(self._texts)}
        self._measured = [places[reference.name] for reference in references.lengths]
        self._numeric = np.array([*numbers, *([len(inputs)] if score else []), *self._lengths], dtype=np.intp)
        edges = [np.asarray(self.columns[place].edges) for place in self._numeric]
        self._edges = np.full((max(map(len, edges), default=0), len(edges)), np.inf)
        for place, cuts in enumerate(edges):
            self._edges[: len(cuts), place] = cuts
        self._missing = np.array([self.sizes[place] - 1 for place in self._numeric], dtype=np.uint8)
        self._groups = np.zeros((len(self.columns), self.width), dtype=np.intp)
        for place, column in enumerate(self.columns):
            self._groups[place, : self.sizes[place]] = column.groups()
        self._firsts = np.array([pair.first for pair in self._pairs], dtype=np.intp)
        self._seconds = np.array([pair.second for pair in self._pairs], dtype=np.intp)
        self._offsets = np.arange(len(self.sizes)) * self.width

    def derived_from(self, places: Sequence[int]) -> list[int]:
        """Pairs that one of these belongs to, and lengths of these: they change where it does."""
        names = {self.columns[place].name for place in places if place < len(self.columns)}
        lengths = [place for place in self._lengths if self.columns[place].name in names]
        pairs = enumerate(self._pairs, start=len(self.columns))
        return lengths + [place for place, pair in pairs if pair.first in places or pair.second in places]

    def codes(self, rows: Rows, scores: Array | None) -> Array:
        """[n, watched] the bin of each row in each of what is watched. Scores may be NaN."""
        n = len(rows)
        codes = np.empty((n, len(self.sizes)), dtype=np.intp)
        numbers = [rows.numbers]
        if self._scored:
            numbers.append(np.full((n, 1), np.nan) if scores is None else scores[:, None])
        numbers += [_lengths(rows.texts[text])[:, None] for text in self._measured]
        values = np.concatenate(numbers, axis=1) if len(numbers) > 1 else rows.numbers
        places = np.zeros(values.shape, dtype=np.uint8)
        for cuts in self._edges:  # fewer and larger steps than a search in each column
            places += values > cuts
        missing = ~np.isfinite(values)
        if missing.any():
            places[missing] = np.broadcast_to(self._missing, places.shape)[missing]
        codes[:, self._numeric] = places
        for text, place in enumerate(self._texts):
            codes[:, place] = self.columns[place].codes(rows.texts[text])
        if self._pairs:
            one = self._groups[self._firsts, codes[:, self._firsts]]
            other = self._groups[self._seconds, codes[:, self._seconds]]
            codes[:, len(self.columns) :] = GROUPS * one + other
        return codes

    def count(self, rows: Rows, scores: Array | None = None) -> Array:
        """[watched, width] how many rows fall into each bin."""
        return self.counts_of(self.codes(rows, scores))

    def counts_of(self, codes: Array) -> Array:
        """The same of rows whose bins are known; `codes` [n, watched]."""
        if not self.sizes:
            return np.zeros((0, self.width), dtype=np.int64)
        places = (codes + self._offsets).ravel()
        return np.bincount(places, minlength=len(self.sizes) * self.width).reshape(len(self.sizes), self.width)


def _lengths(texts: Sequence[str | None]) -> Array:
    return np.array([np.nan if text is None else len(text) for text in texts], dtype=np.float64)
