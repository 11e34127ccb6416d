"""`sum` and `mean`: exact sums, rounded once; the mean is that sum over the count.

Infinities are counted beside the sum, so that one that leaves the window leaves nothing behind.
"""

import math

import numpy as np

from modelwright.features.kernel import exact
from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled

SUM_CHUNKS = exact.SUM_CHUNKS


@compiled
def _slide(values: Floats, mask: Marks, lo: Ints, hi: Ints, averaged: bool, out: Floats) -> None:
    cells = exact.accumulator(SUM_CHUNKS)
    digits = np.empty(SUM_CHUNKS + 3, np.int64)
    bits = values.view(np.int64)
    left = right = lo[0]
    n = above = below = 0
    for r in range(len(lo)):
        if lo[r] >= right:
            exact.clear(cells)
            left = right = lo[r]
            n = above = below = 0
        while left < lo[r] or right < hi[r]:
            leaving = left < lo[r]
            i = left if leaving else right
            step = -1 if leaving else 1
            value = values[i]
            if mask[i] and not math.isnan(value):
                n += step
                if not math.isinf(value):
                    exact.add(cells, bits[i], step)
                elif value > 0:
                    above += step
                else:
                    below += step
            if leaving:
                left += 1
            else:
                right += 1
        if above > 0 or below > 0:
            out[r] = math.nan if above > 0 and below > 0 else math.inf if above > 0 else -math.inf
        elif averaged:
            out[r] = exact.read(cells, digits) / n if n > 0 else math.nan
        else:
            out[r] = exact.read(cells, digits)


@compiled
def total(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """Sum of the values that are there; 0 for none. Signature as in the package's docstring."""
    _slide(values, mask, lo, hi, False, out)


@compiled
def mean(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """The rounded exact sum over the count; NaN for none. Signature as in the package's docstring."""
    _slide(values, mask, lo, hi, True, out)
