"""Does a compiled form say what the estimator says? Flips are counted; a largest difference alone tells too little.

ONNX computes in float32: a value next to a tree's threshold can fall on the other side, which no tolerance on the
output catches and a changed decision does.
"""

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import Equivalence
from modelwright.spec.bounds import Within
from modelwright.spec.metric import MetricSpec
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions

CLASS_TOLERANCE = 1e-4
"""Largest accepted difference of a probability: less than a report shows."""
AMOUNT_TOLERANCE = 1e-5
"""Largest accepted difference of an amount: of itself, or of 1 where it is smaller, or of the largest where all are smaller."""


def compare(native: Array, compiled: Array, *, classifier: bool) -> Equivalence:
    """`native`, `compiled`: [n, classes] probabilities or [n] amounts of the same rows.

    For classes a flip is another most probable class; for amounts, a value outside the tolerance. Accepted is what has
    no flip and stays within the tolerance.
    """
    if native.shape != compiled.shape:
        return Equivalence(rows=len(native), flips=len(native), largest=0.0, accepted=False, reason="another shape")
    numbers = np.isfinite(native) & np.isfinite(compiled)
    if not numbers.all():
        lost = int((~numbers).reshape(len(native), -1).any(axis=1).sum())
        reason = f"{lost} of {len(native)} rows get no number"
        return Equivalence(rows=len(native), flips=lost, largest=0.0, accepted=False, reason=reason)
    difference = np.abs(native - compiled)
    if classifier:
        flips = int((native.argmax(axis=1) != compiled.argmax(axis=1)).sum())
        largest, tolerance = float(difference.max(initial=0.0)), CLASS_TOLERANCE
    else:
        sizes = np.abs(native)
        difference = difference / np.maximum(min(1.0, float(sizes.max(initial=0.0))) or 1.0, sizes)
        flips = int((difference > AMOUNT_TOLERANCE).sum())
        largest, tolerance = float(difference.max(initial=0.0)), AMOUNT_TOLERANCE
    if flips:
        reason = f"{flips} of {len(native)} held-back rows change their answer"
    elif not largest <= tolerance:
        reason = f"differs by {largest:.2g}, more than {tolerance:g}"
    else:
        reason = ""
    p999 = float(np.quantile(difference, 0.999)) if difference.size else 0.0
    return Equivalence(
        rows=len(native), flips=flips, largest=largest, accepted=not reason, reason=reason, p999=p999
    )  # fmt: skip


@dataclass(frozen=True)
class Bounds:
    """What may be traded, and what a trade is judged by: the metric on the rows whose outcomes these are, the first ones
    compared."""

    within: Within
    metric: MetricSpec
    outcomes: Array
    classes: tuple[bool | str, ...]

    def judged(self, same: Equivalence, native: Array, compiled: Array) -> Equivalence:
        """The same, accepted as well where it is not equal and yet within the bounds. `native`, `compiled`: as compared."""
        if not np.isfinite(compiled).all():
            return same
        drop = self._metric_of(native) - self._metric_of(compiled)
        drop = drop if self.metric.higher_is_better else -drop
        if not math.isfinite(drop):
            return same
        flips = same.flips / same.rows if self.classes and same.rows else 0.0
        allowed = flips <= self.within.flips and drop <= self.within.drop
        return msgspec.structs.replace(same, drop=drop, accepted=same.accepted or allowed)

    def _metric_of(self, said: Array) -> float:
        known = said[: len(self.outcomes)]
        predictions = Predictions.of_classes(known, self.classes) if self.classes else Predictions(known.reshape(-1))
        return metric_value(self.metric.name, self.outcomes, predictions)


def with_missing_texts(rows: Rows, columns: tuple[InputColumn, ...]) -> Rows:
    """The rows, and a few of them again with each text missing in turn: what an unseen category looks like served."""
    if not rows.texts:
        return rows
    extra = min(len(rows), 20)
    numbers = [rows.numbers]
    texts: list[list[str | None]] = [list(column) for column in rows.texts]
    for blank in range(len(rows.texts)):
        numbers.append(rows.numbers[:extra])
        for place, column in enumerate(rows.texts):
            texts[place] += [None] * extra if place == blank else list(column[:extra])
    return Rows(np.concatenate(numbers), tuple(texts))
