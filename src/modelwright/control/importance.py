"""How much a release's answers hang on each of its inputs: what drift monitoring weighs columns by.

Of the artefact as it would be served, without outcomes: each column in turn is shuffled among some rows, and the answers
are compared (Breiman's permutation importance, of the answer and not of its error). Decides nothing.
"""

from collections.abc import Callable

import numpy as np

from modelwright.release.inputs import InputColumn, Rows
from modelwright.stats.predictions import Array, Predictions

ROWS = 500
"""Rows, evenly spaced, that the answers are compared on."""


def importance_of(
    predict: Callable[[Rows], Predictions], columns: tuple[InputColumn, ...], rows: Rows, seed: int
) -> list[float]:
    """Of each column, of all columns' together: they add up to 1, or are all 0 where the answers hang on none."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(np.int64))
    some = rows.take(chosen)
    shuffled = np.random.default_rng(seed).permutation(len(some))
    said = _answers(predict(some))
    moved = []
    number, text = 0, 0
    for column in columns:
        numbers, texts = some.numbers, some.texts
        if column.kind == "number":
            numbers = numbers.copy()
            numbers[:, number] = numbers[shuffled, number]
            number += 1
        else:
            other = some.take(shuffled).texts[text]
            texts = (*texts[:text], other, *texts[text + 1 :])
            text += 1
        moved.append(float(np.mean(np.abs(_answers(predict(Rows(numbers, texts))) - said))))
    total = sum(moved)
    return [one / total if total > 0 else 0.0 for one in moved]


def _answers(said: Predictions) -> Array:
    """[n, classes] probabilities, or [n, 1] amounts; labels without probabilities count as certain."""
    if said.probabilities is not None:
        return said.probabilities
    if said.classes:
        return np.array([[value == label for label in said.classes] for value in said.value], dtype=float)
    return said.value.astype(float)[:, None]
