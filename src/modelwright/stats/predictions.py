"""`Predictions`: what a release says about n rows, in one form for every kind of label."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


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

    def take(self, rows: Array | slice) -> "Predictions":
        """The same for some rows."""
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return Predictions(self.value[rows], probabilities, self.classes)

    @staticmethod
    def of_classes(probabilities: Array, classes: tuple[bool | str, ...]) -> "Predictions":
        """The most probable class of each row; the first of equals."""
        labels = np.array(classes, dtype=bool if classes == (False, True) else object)
        return Predictions(labels[probabilities.argmax(axis=1)], probabilities, classes)
