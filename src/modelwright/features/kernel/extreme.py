"""`min` and `max`: a queue of the rows that could still become the extreme, best first.

A row leaves the queue when a later one is at least as good, or when the window has passed it: constant time a row. The
queue is a ring of (row, value) pairs, so that it outlives the rows.
"""

import math

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.state import HEAD, LEFT, RIGHT, far

FIRST, HELD = 2, 3
ROOM = 8


@compiled
def made() -> Ints:
    """A state that has seen nothing."""
    return np.zeros(HEAD + 2 * ROOM, np.int64)


@compiled
def _grown(state: Ints, first: int, held: int) -> Ints:
    room = (len(state) - HEAD) // 2
    larger = np.zeros(HEAD + 4 * room, np.int64)
    larger[:HEAD] = state[:HEAD]
    for j in range(held):
        place = HEAD + 2 * ((first + j) & (room - 1))
        larger[HEAD + 2 * j] = state[place]
        larger[HEAD + 2 * j + 1] = state[place + 1]
    return larger


@compiled
def _slide(
    state: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, sign: float, out: Floats
) -> Ints:
    queue = state.view(np.float64)
    wrap = (len(state) - HEAD) // 2 - 1
    left, right, first, held = state[LEFT], state[RIGHT], state[FIRST], state[HELD]
    for r in range(len(lo)):
        if lo[r] < left or hi[r] < right or far(left, right, lo[r], hi[r]):
            right = lo[r]
            first = held = 0
        left = lo[r]
        while right < hi[r]:
            value = values[right - base]
            if mask[right - base] and not math.isnan(value):
                while held > 0 and sign * queue[HEAD + 2 * ((first + held - 1) & wrap) + 1] <= sign * value:
                    held -= 1
                if held > wrap:
                    state = _grown(state, first, held)
                    queue = state.view(np.float64)
                    wrap = 2 * wrap + 1
                    first = 0
                place = HEAD + 2 * ((first + held) & wrap)
                state[place] = right
                queue[place + 1] = value
                held += 1
            right += 1
        while held > 0 and state[HEAD + 2 * (first & wrap)] < left:
            first = (first + 1) & wrap
            held -= 1
        out[r] = queue[HEAD + 2 * (first & wrap) + 1] if held > 0 else math.nan
    state[LEFT], state[RIGHT], state[FIRST], state[HELD] = left, right, first, held
    return state


@compiled
def minimum(
    state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints, parameter: float,
    out: Floats,
) -> Ints:  # fmt: skip
    """The smallest value; NaN for none. Signature as in the package's docstring."""
    return _slide(state, values, mask, base, lo, hi, -1.0, out)


@compiled
def maximum(
    state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints, parameter: float,
    out: Floats,
) -> Ints:  # fmt: skip
    """The largest value; NaN for none. Signature as in the package's docstring."""
    return _slide(state, values, mask, base, lo, hi, 1.0, out)
