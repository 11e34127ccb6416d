"""`std`: the sample deviation from exact sums of values and squares, so that nothing cancels."""

import math

import numpy as np

from modelwright.features.kernel import exact
from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled

SUM_CHUNKS = exact.SUM_CHUNKS
SQUARE_CHUNKS = exact.SQUARE_CHUNKS


@compiled
def deviation(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """Square root of the sum of squared distances over n - 1; NaN under two values or with an infinite one."""
    sums = exact.accumulator(SUM_CHUNKS)
    squares = exact.accumulator(SQUARE_CHUNKS)
    difference = exact.accumulator(SQUARE_CHUNKS + 2)
    digits = np.empty(SUM_CHUNKS + 3, np.int64)
    more = np.empty(SQUARE_CHUNKS + 5, np.int64)
    bits = values.view(np.int64)
    left = right = lo[0]
    n = infinite = 0
    for r in range(len(lo)):
        if lo[r] >= right:
            exact.clear(sums)
            exact.clear(squares)
            left = right = lo[r]
            n = infinite = 0
        while left < lo[r] or right < hi[r]:
            leaving = left < lo[r]
            i = left if leaving else right
            step = -1 if leaving else 1
            if mask[i] and not math.isnan(values[i]):
                n += step
                if math.isinf(values[i]):
                    infinite += step
                else:
                    exact.add(sums, bits[i], step)
                    exact.add_square(squares, bits[i], step)
            if leaving:
                left += 1
            else:
                right += 1
        if n < 2 or infinite > 0:
            out[r] = math.nan
        else:
            out[r] = exact.read_deviation(sums, squares, n, digits, more, difference)
