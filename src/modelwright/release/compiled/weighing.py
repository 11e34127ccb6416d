"""What becomes of a text's counted terms: weighed, normed and multiplied, in float64 and in the order of the terms' places."""

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, compiler

compiled = compiler(__file__)


@compiled
def weigh(
    ends: Ints, places: Ints, values: Floats, out: Floats, weights: Floats, norm: int, place_of: Ints, projection: Floats
) -> None:  # fmt: skip
    """Rows of counts, each from one end to the next, become `out` [n, k + r], which begins as zeros."""
    kept = out.shape[1] - projection.shape[1]
    for i in range(len(ends) - 1):
        total = 0.0
        for e in range(ends[i], ends[i + 1]):
            if len(weights) > 0:
                values[e] *= weights[places[e]]
            total += abs(values[e]) if norm == 1 else values[e] * values[e]
        divisor = total if norm == 1 else np.sqrt(total)
        for e in range(ends[i], ends[i + 1]):
            value = values[e]
            if norm != 0 and divisor != 0.0:
                value /= divisor
            place = places[e]
            if place_of[place] >= 0:
                out[i, place_of[place]] = value
            for r in range(projection.shape[1]):
                out[i, kept + r] += value * projection[place, r]
