"""`Predictions`: what a release says about n rows, in one form for every kind of label."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Said = tuple[Any, float | None, list[float] | None]
"""What is said of one row, in plain Python: value, score, probabilities."""


@dataclass(frozen=True)
class Predictions:
    """`value`: [n] predicted labels or amounts. `probabilities`: [n, classes] or None. `classes`: in column order."""

    value: Array
    probabilities: Array | None = None
    classes: tuple[bool | str, ...] = ()

    @property
    def score(self) -> Array | None:
        """[n] probability of the positive class; None unless the classes are False and True."""
        return self.probabilities[:, 1] if self.probabilities is not None and self.classes == (False, True) else None

    def rows(self) -> Iterator[Said]:
        """Each row in plain Python."""
        nothing = [None] * len(self.value)
        scores = nothing if self.score is None else self.score.tolist()
        probabilities = nothing if self.probabilities is None else self.probabilities.tolist()
        return zip(self.value.tolist(), scores, probabilities, strict=True)

    def take(self, rows: Array | slice) -> "Predictions":
        """The same for some rows."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.value[rows], probabilities, self.classes)

    @staticmethod
    def of_classes(probabilities: Array, classes: tuple[bool | str, ...]) -> "Predictions":
        """The most probable class of each row; the first of equals."""
        labels = np.array(classes, dtype=bool if classes == (False, True) else object)
        return Predictions(labels[probabilities.argmax(axis=1)], probabilities, classes)
