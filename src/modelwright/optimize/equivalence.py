"""Does a compiled form say what the estimator says? Flips are counted; a largest difference alone tells too little.

ONNX computes in float32: a value next to a tree's threshold can fall on the other side, which no tolerance on the
output catches and a changed decision does.
"""

import numpy as np

from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import Equivalence
from modelwright.stats.predictions import Array

CLASS_TOLERANCE = 1e-4
"""Largest accepted difference of a probability: less than a report shows."""
AMOUNT_TOLERANCE = 1e-5
"""Largest accepted relative difference of an amount."""


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
        difference = difference / np.maximum(1.0, np.abs(native))
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
