"""`sum` and `mean`: exact sums, rounded once; the mean is that sum over the count.

Infinities are counted beside the sum, so that one that leaves the window leaves nothing behind.
"""

import math

import numpy as np

from modelwright.features.kernel import exact
from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.state import HEAD, LEFT, RIGHT, far

SUM_CHUNKS = exact.SUM_CHUNKS
N, ABOVE, BELOW = 2, 3, 4


@compiled
def made() -> Ints:
    """A state that has seen nothing."""
    state = np.zeros(HEAD + SUM_CHUNKS + 2, np.int64)
    state[HEAD:] = exact.accumulator(SUM_CHUNKS)
    return state


@compiled
def total(state: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, averaged: bool, out: Floats) -> Ints:
    """Sum of the values that are there, 0 for none; `averaged`, that over the count, NaN for none.

    Other arguments as in the package's docstring.
    """
    cells = state[HEAD:]
    digits = np.empty(SUM_CHUNKS + 3, np.int64)
    bits = values.view(np.int64)
    left, right, n, above, below = state[LEFT], state[RIGHT], state[N], state[ABOVE], state[BELOW]
    for r in range(len(lo)):
        if far(left, right, lo[r], hi[r]):
            exact.clear(cells)
            left = right = lo[r]
            n = above = below = 0
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
                if not math.isinf(value):
                    exact.add(cells, bits[i - base], step)
                elif value > 0:
                    above += step
                else:
                    below += step
        if above > 0 or below > 0:
            out[r] = math.nan if above > 0 and below > 0 else math.inf if above > 0 else -math.inf
        elif averaged:
            out[r] = exact.read(cells, digits) / n if n > 0 else math.nan
        else:
            out[r] = exact.read(cells, digits)
    state[LEFT], state[RIGHT], state[N], state[ABOVE], state[BELOW] = left, right, n, above, below
    return state
