"""`count_distinct` and `distinct_ratio`: exact, by a tally of the values in the window."""

import math

import numpy as np

from modelwright.features.kernel import tally
from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.state import HEAD, LEFT, RIGHT, far

STRIDE = 2


@compiled
def made() -> Ints:
    """A state that has seen nothing."""
    state = np.zeros(HEAD + STRIDE * (1 << tally.NARROWEST), np.int64)
    tally.clear(state, STRIDE, tally.NARROWEST)
    return state


@compiled
def _go(state: Ints, bits: Ints, values: Floats, mask: Marks, base: int, lo: int, hi: int) -> bool:
    """Go row by row towards a window; False where the table has to grow on the way.

    That is left to the caller: a state that may change is counted as held anew at each row, which takes longer than all
    the rest.
    """
    left, right = state[LEFT], state[RIGHT]
    roomy = True
    while left != lo or right != hi:
        if 2 * state[tally.USED] >= (1 << state[tally.WIDTH]):
            roomy = False
            break
        if right < hi:
            i = right
            right += 1
            step = 1
        elif left < lo:
            i = left
            left += 1
            step = -1
        elif right > hi:
            right -= 1
            i = right
            step = -1
        else:
            left -= 1
            i = left
            step = 1
        if not mask[i - base] or math.isnan(values[i - base]):
            continue
        place = tally.find(state, STRIDE, bits[i - base])
        if state[place + 1] < 0:
            state[place] = bits[i - base]
            state[place + 1] = 0
            state[tally.USED] += 1
        if step > 0:
            state[tally.DIFFERENT] += state[place + 1] == 0
        state[place + 1] += step
        if step < 0:
            state[tally.DIFFERENT] -= state[place + 1] == 0
        state[tally.VALUES] += step
    state[LEFT], state[RIGHT] = left, right
    return roomy


@compiled
def distinct(
    state: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, in_ratio: bool, out: Floats
) -> Ints:
    """How many different values, equal meaning equal bits; `in_ratio`, that over the values, NaN for none.

    Other arguments as in the package's docstring.
    """
    bits = values.view(np.int64)
    for r in range(len(lo)):
        if far(state[LEFT], state[RIGHT], lo[r], hi[r]):
            tally.clear(state, STRIDE, tally.NARROWEST)
            state[LEFT] = state[RIGHT] = lo[r]
        while not _go(state, bits, values, mask, base, lo[r], hi[r]):
            state = tally.roomier(state, STRIDE, 0)
        if not in_ratio:
            out[r] = state[tally.DIFFERENT]
        elif state[tally.VALUES] > 0:
            out[r] = state[tally.DIFFERENT] / state[tally.VALUES]
        else:
            out[r] = math.nan
    return state


@compiled
def packed(state: Ints) -> Ints:
    """The values and their counts without the table, for `merged`."""
    return tally.packed(state, STRIDE, STRIDE)


@compiled
def merged(state: Ints, other: Ints, sign: int) -> Ints:
    """Add the values of a packed tally, or take them away, which needs no room."""
    for source in range(HEAD, len(other), STRIDE):
        if sign > 0 and 2 * state[tally.USED] >= (1 << state[tally.WIDTH]):
            state = tally.roomier(state, STRIDE, 0)
        place = tally.find(state, STRIDE, other[source])
        if state[place + 1] < 0:
            state[place] = other[source]
            state[place + 1] = 0
            state[tally.USED] += 1
        state[tally.DIFFERENT] -= state[place + 1] > 0
        state[place + 1] += sign * other[source + 1]
        state[tally.DIFFERENT] += state[place + 1] > 0
        state[tally.VALUES] += sign * other[source + 1]
    return state
