"""`top_k`: the most frequent value, of several the one seen last.

A tally whose slots also stand in a heap, the most frequent and then most recent first: logarithmic time a row.
"""

import math

import numpy as np

from modelwright.features.kernel import tally
from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.state import HEAD, LEFT, RIGHT, far

STRIDE = 4
"""A slot holds the value's bits, its count, the row it was last seen in and its place in the heap."""
PACKED = 3


@compiled
def made() -> Ints:
    """A state that has seen nothing."""
    state = np.zeros(HEAD + (STRIDE + 1) * (1 << tally.NARROWEST), np.int64)
    tally.clear(state, STRIDE, tally.NARROWEST)
    return state


@compiled
def _before(state: Ints, one: int, other: int) -> bool:
    """Whether the slot at one place ranks before that at the other."""
    if state[one + 1] != state[other + 1]:
        return bool(state[one + 1] > state[other + 1])
    return bool(state[one + 2] > state[other + 2])


@compiled
def _settle(state: Ints, place: int) -> None:
    """Move a slot whose rank has changed up or down the heap."""
    heap = state[HEAD + STRIDE * (1 << state[tally.WIDTH]) :]
    size = state[tally.USED]
    j = state[place + 3]
    while j > 0 and _before(state, place, heap[(j - 1) >> 1]):
        heap[j] = heap[(j - 1) >> 1]
        state[heap[j] + 3] = j
        j = (j - 1) >> 1
    while 2 * j + 1 < size:
        child = 2 * j + 1
        if child + 1 < size and _before(state, heap[child + 1], heap[child]):
            child += 1
        if not _before(state, heap[child], place):
            break
        heap[j] = heap[child]
        state[heap[j] + 3] = j
        j = child
    heap[j] = place
    state[place + 3] = j


@compiled
def _enter(state: Ints, place: int) -> None:
    """Put a slot that is new to the tally at the end of the heap."""
    heap = HEAD + STRIDE * (1 << state[tally.WIDTH])
    state[place + 3] = state[tally.USED]
    state[heap + state[tally.USED]] = place
    state[tally.USED] += 1


@compiled
def _row_before(bits: Ints, mask: Marks, base: int, row: int) -> int:
    """The last row before one that holds the same value; there is one."""
    i = row - 1
    while not (mask[i - base] and bits[i - base] == bits[row - base]):
        i -= 1
    return i


@compiled
def make_way(state: Ints, row: int) -> None:
    """Let rows from one on count one higher."""
    for slot in range(1 << state[tally.WIDTH]):
        place = HEAD + STRIDE * slot
        state[place + 2] += state[place + 1] >= 0 and state[place + 2] >= row


@compiled
def _roomier(state: Ints) -> Ints:
    state = tally.roomier(state, STRIDE, 1)
    state[tally.USED] = 0
    for slot in range(1 << state[tally.WIDTH]):
        place = HEAD + STRIDE * slot
        if state[place + 1] > 0:
            _enter(state, place)
            _settle(state, place)
    return state


@compiled
def _go(state: Ints, bits: Ints, values: Floats, mask: Marks, base: int, lo: int, hi: int) -> bool:
    """Go row by row towards a window; False where the table has to grow on the way, which is left to the caller."""
    left, right = state[LEFT], state[RIGHT]
    roomy = True
    while left != lo or right != hi:
        if 2 * state[tally.USED] >= (1 << state[tally.WIDTH]):
            roomy = False
            break
        newest = False
        if right < hi:
            i = right
            right += 1
            entering = True
        elif left < lo:
            i = left
            left += 1
            entering = False
        elif right > hi:
            right -= 1
            i = right
            entering = False
            newest = True
        else:
            left -= 1
            i = left
            entering = True
        if not mask[i - base] or math.isnan(values[i - base]):
            continue
        place = tally.find(state, STRIDE, bits[i - base])
        if state[place + 1] < 0:
            state[place] = bits[i - base]
            state[place + 1] = 0
            _enter(state, place)
        if entering:
            state[place + 2] = max(state[place + 2], i) if state[place + 1] > 0 else i
            state[place + 1] += 1
            state[tally.DIFFERENT] += state[place + 1] == 1
        else:
            state[place + 1] -= 1
            state[tally.DIFFERENT] -= state[place + 1] == 0
            if newest and state[place + 1] > 0:
                state[place + 2] = _row_before(bits, mask, base, i)
        _settle(state, place)
    state[LEFT], state[RIGHT] = left, right
    return roomy


@compiled
def most_frequent(
    state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints, parameter: float,
    out: Floats,
) -> Ints:  # fmt: skip
    """The value seen most often, ties to the one seen last; NaN for none. Signature as in the package's docstring."""
    bits = values.view(np.int64)
    for r in range(len(lo)):
        if far(state[LEFT], state[RIGHT], lo[r], hi[r]):
            tally.clear(state, STRIDE, tally.NARROWEST)
            state[LEFT] = state[RIGHT] = lo[r]
        while not _go(state, bits, values, mask, base, lo[r], hi[r]):
            state = _roomier(state)
        if state[tally.DIFFERENT] > 0:
            best = state[HEAD + STRIDE * (1 << state[tally.WIDTH])]
            out[r] = state[best : best + 1].view(np.float64)[0]
        else:
            out[r] = math.nan
    return state


@compiled
def packed(state: Ints) -> Ints:
    """The values, their counts and where each was last seen without the table, for `merged`."""
    return tally.packed(state, STRIDE, PACKED)


@compiled
def merged(state: Ints, other: Ints, sign: int) -> Ints:
    """Add the values of a later packed tally, or take those of an earlier one away, which needs no room."""
    for source in range(HEAD, len(other), PACKED):
        if sign > 0 and 2 * state[tally.USED] >= (1 << state[tally.WIDTH]):
            state = _roomier(state)
        place = tally.find(state, STRIDE, other[source])
        if state[place + 1] < 0:
            state[place] = other[source]
            state[place + 1] = 0
            _enter(state, place)
        if sign > 0:
            state[place + 2] = other[source + 2]
        state[tally.DIFFERENT] -= state[place + 1] > 0
        state[place + 1] += sign * other[source + 1]
        state[tally.DIFFERENT] += state[place + 1] > 0
        _settle(state, place)
    return state
