"""A reader at work: texts are split and counted here, and their counts weighed, normed and multiplied by a compiled kernel.

Counting is Python's own, a dictionary look-up a term; everything that is arithmetic runs in float64 and in the order of
the terms' places, as scikit-learn adds.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from modelwright.release.compiled.kernels import Kernels
from modelwright.release.compiled.murmur import murmur32
from modelwright.release.compiled.reader import NORMS, Reader
from modelwright.release.compiled.words import splitter
from modelwright.stats.predictions import Array

REMEMBERED: Final = 100_000
"""Terms whose hash is remembered."""


def reading(reader: Reader, kernels: Kernels) -> Callable[[Sequence[str | None]], Array]:
    """The function from n texts to [n, k + r] float64; a missing text is the empty one."""
    split = splitter(
        reader.unit, reader.pattern, reader.shortest, reader.longest, reader.stop_words, reader.accents,
        lower=reader.lower,
    )  # fmt: skip
    count = _counter_by_hash(reader) if reader.hashed else _counter_of_terms(reader)
    place_of = np.full(reader.width, -1, np.int64)
    place_of[reader.kept] = np.arange(len(reader.kept))
    projection = np.ascontiguousarray(reader.projection, np.float64)
    norm = NORMS.index(reader.norm)
    weights = np.ascontiguousarray(reader.weights, np.float64)
    weigh = kernels.bound("weigh", lambda: (weights, norm, place_of, projection))

    def read(texts: Sequence[str | None]) -> Array:
        ends, places, counts = [0], [], []
        for text in texts:
            found = sorted(count(split(text or "")).items())
            places += [place for place, _ in found]
            counts += [number for _, number in found]
            ends.append(len(places))
        values = np.array(counts, np.float64)
        if reader.binary:
            values[:] = 1.0
        if reader.sublinear:
            values = np.log(values) + 1.0
        out = np.zeros((len(ends) - 1, reader.given))
        weigh(np.array(ends), np.array(places, np.int64), values, out)
        return out

    return read


def _counter_of_terms(reader: Reader) -> Callable[[list[str]], dict[int, int]]:
    place_of = {term: place for place, term in enumerate(reader.terms)}.get

    def count(terms: list[str]) -> dict[int, int]:
        counted: Counter[int | None] = Counter(map(place_of, terms))
        counted.pop(None, None)
        return counted  # type: ignore[return-value]  # without the terms that nobody knows

    return count


def _counter_by_hash(reader: Reader) -> Callable[[list[str]], dict[int, int]]:
    width, signed = reader.hashed, reader.signed

    @lru_cache(maxsize=REMEMBERED)
    def hashed(term: str) -> tuple[int, int]:
        number = murmur32(term.encode())
        return abs(number) % width, -1 if signed and number < 0 else 1

    def count(terms: list[str]) -> dict[int, int]:
        counted: dict[int, int] = {}
        for place, sign in map(hashed, terms):
            counted[place] = counted.get(place, 0) + sign
        return counted

    return count
