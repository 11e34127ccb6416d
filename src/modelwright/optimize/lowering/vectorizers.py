"""scikit-learn's vectorizers as readers: what they split a text by, their vocabulary, their weights and their norm.

A vectorizer that was given functions of the user's own (`tokenizer=`, `preprocessor=`, `analyzer=`) is not taken: what such
a function does is known to nobody else.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from modelwright.optimize.lowering.builder import Builder, Column, Unsupported
from modelwright.release.compiled.reader import Reader

_MODULES: Final = ("sklearn.feature_extraction.text",)


def vectorized(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    """The columns that a fitted vectorizer makes of a free text: one a term. Raises `Unsupported` with the reason."""
    name = type(transformer).__name__
    if type(transformer).__module__ not in _MODULES:
        raise Unsupported(f"{name} of free text has no compiled form")
    if len(columns) != 1 or columns[0].free is None:
        raise Unsupported(f"{name} of several columns")
    own = [setting for setting in ("preprocessor", "tokenizer") if getattr(transformer, setting) is not None]
    own += [setting for setting in ("analyzer", "strip_accents") if callable(getattr(transformer, setting))]
    if own:
        raise Unsupported(f"{name} with {' and '.join(f'{setting}=' for setting in own)} of its own")
    if transformer.input != "content" or np.dtype(transformer.dtype).kind not in "iuf":
        raise Unsupported(f"{name}(input={transformer.input!r}, dtype={transformer.dtype!r})")
    if np.dtype(transformer.dtype) in (np.dtype(np.float32), np.dtype(np.float16)):
        raise Unsupported(f"{name} in {np.dtype(transformer.dtype)}")
    shortest, longest = transformer.ngram_range
    stop_words = transformer.get_stop_words() if transformer.analyzer == "word" else None
    reader = Reader(
        place=columns[0].free,
        unit=transformer.analyzer,
        pattern=transformer.token_pattern or "",
        shortest=int(shortest),
        longest=int(longest),
        stop_words=sorted(stop_words or ()),
        accents=transformer.strip_accents or "",
        lower=bool(transformer.lowercase),
        binary=bool(transformer.binary),
    )
    if name == "HashingVectorizer":
        return builder.read(
            dataclasses.replace(
                reader, hashed=int(transformer.n_features), signed=bool(transformer.alternate_sign),
                norm=transformer.norm or "",
            )
        )  # fmt: skip
    terms = sorted(transformer.vocabulary_, key=transformer.vocabulary_.get)
    reader = dataclasses.replace(reader, terms=[str(term) for term in terms])
    if name == "TfidfVectorizer":
        reader = _weighed(reader, transformer, transformer.idf_ if transformer.use_idf else None)
    elif name != "CountVectorizer":
        raise Unsupported(f"{name} has no compiled form")
    return builder.read(reader)


def reweighed(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    """TfidfTransformer behind a vectorizer that counts."""
    reader = builder.reader_of(columns)
    if reader is None or reader.norm or reader.sublinear or len(reader.weights):
        raise Unsupported("TfidfTransformer of anything but counts")
    return builder.read(_weighed(reader, transformer, transformer.idf_ if transformer.use_idf else None))


def decomposed(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    """TruncatedSVD of one vectorizer's terms: their product with its components."""
    made = builder.products(columns, np.asarray(transformer.components_, np.float64).T)
    if len(made) != 1 or not builder.terms(columns).all():
        raise Unsupported("TruncatedSVD of anything but the terms of one vectorizer")
    return made[0]


def _weighed(reader: Reader, transformer: Any, weights: Any) -> Reader:
    return dataclasses.replace(
        reader,
        sublinear=bool(transformer.sublinear_tf),
        norm=transformer.norm or "",
        weights=np.empty(0) if weights is None else np.ascontiguousarray(weights, np.float64),
    )
