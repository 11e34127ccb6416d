"""`std`: the sample deviation from exact sums of values and squares, so that nothing cancels."""

import math

import numpy as np

from modelwright.features.kernel import exact
from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.state import HEAD, LEFT, RIGHT, far

SUM_CHUNKS = exact.SUM_CHUNKS
SQUARE_CHUNKS = exact.SQUARE_CHUNKS
SQUARES = HEAD + SUM_CHUNKS + 2
N, INFINITE = 2, 3


@compiled
def made() -> Ints:
    """A state that has seen nothing."""
    state = np.zeros(SQUARES + SQUARE_CHUNKS + 2, np.int64)
    state[HEAD:SQUARES] = exact.accumulator(SUM_CHUNKS)
    state[SQUARES:] = exact.accumulator(SQUARE_CHUNKS)
    return state


@compiled
def deviation(
    state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints, parameter: float,
    out: Floats,
) -> Ints:  # fmt: skip
    """Square root of the sum of squared distances over n - 1; NaN under two values or with an infinite one."""
    sums = state[HEAD:SQUARES]
    squares = state[SQUARES:]
    difference = exact.accumulator(SQUARE_CHUNKS + 2)
    digits = np.empty(SUM_CHUNKS + 3, np.int64)
    more = np.empty(SQUARE_CHUNKS + 5, np.int64)
    bits = values.view(np.int64)
    left, right, n, infinite = state[LEFT], state[RIGHT], state[N], state[INFINITE]
    for r in range(len(lo)):
        if far(left, right, lo[r], hi[r]):
            exact.clear(sums)
            exact.clear(squares)
            left = right = lo[r]
            n = infinite = 0
        while left != lo[r] or right != hi[r]:
            if right < hi[r]:
                i = right
                right += 1
                step = 1
            elif left < lo[r]:
                i = left
                left += 1
                step = -1
            elif right > hi[r]:
                right -= 1
                i = right
                step = -1
            else:
                left -= 1
                i = left
                step = 1
            value = values[i - base]
            if mask[i - base] and not math.isnan(value):
                n += step
                if math.isinf(value):
                    infinite += step
                else:
                    exact.add(sums, bits[i - base], step)
                    exact.add_square(squares, bits[i - base], step)
        if n < 2 or infinite > 0:
            out[r] = math.nan
        else:
            out[r] = exact.read_deviation(sums, squares, n, digits, more, difference)
    state[LEFT], state[RIGHT], state[N], state[INFINITE] = left, right, n, infinite
    return state
