"""Readers: from a free text to numbers, as a vectorizer and what is linear behind it would make them.

A text is split into terms (`words.py`), which are counted by their place in a vocabulary, or by their hash; counts are
weighed and normed in float64, in the order that scikit-learn adds in. A reader gives some of these weights as they are
(what trees look at), and products of all of them with a matrix (a linear model's coefficients, or a truncated singular
value decomposition), so that what comes after is as narrow as the model needs and not as wide as the vocabulary. Declared
here; `reading.py` does it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

import numpy as np

from modelwright.release.compiled.words import Accents, Unit
from modelwright.stats.predictions import Array

Norm = Literal["", "l1", "l2"]
NORMS: Final[tuple[Norm, ...]] = ("", "l1", "l2")


@dataclass(frozen=True)
class Reader:
    """What becomes of the free text at `place` among the free texts.

    Terms: as `words.splitter` has them. They are counted by their place in `terms`, or, where `hashed` is not 0, modulo it
    by their hash, with its sign where `signed`. `binary`: a term counts once; `sublinear`: 1 + log of the count. `weights`
    [terms]: what counts are multiplied by; empty is 1. `norm`: what the row is divided by then.

    `kept` [k]: the terms whose weights are given as they are. `projection` [terms, r]: what all weights are multiplied by.
    The reader gives k + r numbers a text.
    """

    place: int
    unit: Unit = "word"
    pattern: str = ""
    shortest: int = 1
    longest: int = 1
    stop_words: Sequence[str] = ()
    accents: Accents = ""
    lower: bool = True
    terms: Sequence[str] = ()
    hashed: int = 0
    signed: bool = False
    binary: bool = False
    sublinear: bool = False
    norm: Norm = ""
    weights: Array = field(default_factory=partial(np.empty, 0, "<f8"))
    kept: Array = field(default_factory=partial(np.empty, 0, "<i8"))
    projection: Array = field(default_factory=partial(np.empty, (0, 0), "<f8"))

    @property
    def width(self) -> int:
        """How many terms it tells apart."""
        return self.hashed or len(self.terms)

    @property
    def given(self) -> int:
        """How many numbers it makes of a text."""
        return len(self.kept) + int(self.projection.shape[1])
