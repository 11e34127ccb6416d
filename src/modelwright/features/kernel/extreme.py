"""`min` and `max`: a queue of the rows that could still become the extreme, best first.

A row leaves the queue when a later one is at least as good, or when the window has passed it: constant time a row. The
queue is a ring of (row, value) pairs, so that it outlives the rows. Where no row ever leaves the window only
the best is held. A window that lies back a little is answered from the queue as it stands, where its best row is there.
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
def _enter(
    state: Ints, values: Floats, mask: Marks, base: int, right: int, hi: int, first: int, held: int, sign: float,
    best_only: bool,
) -> tuple[int, int]:  # fmt: skip
    """Take in rows up to `hi`, or for as long as there is room; returns (the row reached, how many are held).

    It does not grow the queue itself: a state that may change is counted as held anew at each row, which takes longer
    than all the rest.
    """
    queue = state.view(np.float64)
    wrap = (len(state) - HEAD) // 2 - 1
    while right < hi:
        value = values[right - base]
        if mask[right - base] and not math.isnan(value):
            while held > 0 and sign * queue[HEAD + 2 * ((first + held - 1) & wrap) + 1] <= sign * value:
                held -= 1
            if held > wrap:
                break
            if not (best_only and held > 0):
                place = HEAD + 2 * ((first + held) & wrap)
                state[place] = right
                queue[place + 1] = value
                held += 1
        right += 1
    return right, held


@compiled
def extreme(
    state: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, sign: float, best_only: bool, out: Floats
) -> Ints:
    """The largest value (`sign` 1) or the smallest (-1), NaN for none; `best_only` where no row ever leaves the window.

    Other arguments as in the package's docstring.
    """
    queue = state.view(np.float64)
    wrap = (len(state) - HEAD) // 2 - 1
    left, right, first, held = state[LEFT], state[RIGHT], state[FIRST], state[HELD]
    for r in range(len(lo)):
        if hi[r] < right or (lo[r] < left and hi[r] == right):
            j = 0
            while j < held and state[HEAD + 2 * ((first + j) & wrap)] < lo[r]:
                j += 1
            if j < held and state[HEAD + 2 * ((first + j) & wrap)] < hi[r] and left - lo[r] < hi[r] - lo[r]:
                best = queue[HEAD + 2 * ((first + j) & wrap) + 1]
                for i in range(lo[r], left):
                    value = values[i - base]
                    if mask[i - base] and sign * value > sign * best:
                        best = value
                out[r] = best
                continue
        if lo[r] < left or hi[r] < right or far(left, right, lo[r], hi[r]):
            right = lo[r]
            first = held = 0
        left = lo[r]
        while True:
            right, held = _enter(state, values, mask, base, right, hi[r], first, held, sign, best_only)
            if right == hi[r]:
                break
            state = _grown(state, first, held)
            queue = state.view(np.float64)
            wrap = 2 * wrap + 1
            first = 0
        while held > 0 and state[HEAD + 2 * (first & wrap)] < left:
            first = (first + 1) & wrap
            held -= 1
        out[r] = queue[HEAD + 2 * (first & wrap) + 1] if held > 0 else math.nan
    state[LEFT], state[RIGHT], state[FIRST], state[HELD] = left, right, first, held
    return state


@compiled
def reaches(state: Ints, end: int) -> bool:
    """Whether the best row stands before a row."""
    wrap = (len(state) - HEAD) // 2 - 1
    return bool(state[HELD] > 0 and state[HEAD + 2 * (state[FIRST] & wrap)] < end)


@compiled
def insert(state: Ints, row: int, value: float, sign: float, best_only: bool) -> Ints:
    """Let a row, which may be missing (NaN), stand among those in the window; rows from there on count one higher."""
    queue = state.view(np.float64)
    wrap = (len(state) - HEAD) // 2 - 1
    first, held = state[FIRST], state[HELD]
    before = 0
    for j in range(held):
        place = HEAD + 2 * ((first + j) & wrap)
        if state[place] < row:
            before = j + 1
        else:
            state[place] += 1
    beaten = before < held and sign * queue[HEAD + 2 * ((first + before) & wrap) + 1] >= sign * value
    if math.isnan(value) or beaten:
        return state
    kept = before
    while kept > 0 and sign * queue[HEAD + 2 * ((first + kept - 1) & wrap) + 1] <= sign * value:
        kept -= 1
    if best_only and kept > 0:
        return state
    if kept == before and held > wrap:
        state = _grown(state, first, held)
        queue = state.view(np.float64)
        wrap = 2 * wrap + 1
        first = 0
    after = 0 if best_only else held - before
    for step in range(after):
        j = after - 1 - step if kept == before else step
        source = HEAD + 2 * ((first + before + j) & wrap)
        target = HEAD + 2 * ((first + kept + 1 + j) & wrap)
        state[target] = state[source]
        state[target + 1] = state[source + 1]
    place = HEAD + 2 * ((first + kept) & wrap)
    state[place] = row
    queue[place + 1] = value
    state[FIRST], state[HELD] = first, kept + 1 + after
    return state


@compiled
def joined(state: Ints, later: Ints, sign: float) -> Ints:
    """The queue with the best row of a later one behind it, of which no more is held; a larger one where it had to grow."""
    if later[HELD] == 0:
        return state
    source = HEAD + 2 * (later[FIRST] & ((len(later) - HEAD) // 2 - 1))
    value = later.view(np.float64)[source + 1]
    queue = state.view(np.float64)
    wrap = (len(state) - HEAD) // 2 - 1
    first, held = state[FIRST], state[HELD]
    while held > 0 and sign * queue[HEAD + 2 * ((first + held - 1) & wrap) + 1] <= sign * value:
        held -= 1
    if held > wrap:
        state = _grown(state, first, held)
        wrap = 2 * wrap + 1
        first = 0
    place = HEAD + 2 * ((first + held) & wrap)
    state[place] = later[source]
    state[place + 1] = later[source + 1]
    state[FIRST], state[HELD] = first, held + 1
    return state
