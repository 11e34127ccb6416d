"""A hash table of the values in a window and how often each is there, inside a running state.

Open addressing over slots of `stride` numbers, the value's bits and its count first; a slot of count -1 was never used.
Its size follows the values in use, not the largest window ever seen, so that a state can go from key to key.
"""

from typing import Final

import numpy as np

from modelwright.features.kernel.compiled import Ints, compiled
from modelwright.features.kernel.state import HEAD

DIFFERENT: Final = 2
VALUES: Final = 3
USED: Final = 4
WIDTH: Final = 5
"""Places in the head: different values, values, slots ever used, and the logarithm of the number of slots."""

NARROWEST: Final = 3
U = np.uint64
GOLDEN = U(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: multiplying by it spreads nearby bit patterns over the high bits."""


@compiled
def clear(state: Ints, stride: int, width: int) -> None:
    """Empty the table and give it `2**width` slots, for which there must be room."""
    state[DIFFERENT] = state[VALUES] = state[USED] = 0
    state[WIDTH] = width
    for slot in range(1 << width):
        state[HEAD + stride * slot + 1] = -1


@compiled
def find(state: Ints, stride: int, bits: int) -> int:
    """The place of a value's slot, or of the free slot where it belongs; equal means equal bits."""
    wrap = (1 << state[WIDTH]) - 1
    mixed = U(bits) ^ (U(bits) >> U(32))
    slot = np.int64((mixed * GOLDEN) >> U(64 - state[WIDTH]))
    place = HEAD + stride * slot
    while state[place + 1] >= 0 and state[place] != bits:
        slot = (slot + 1) & wrap
        place = HEAD + stride * slot
    return int(place)


@compiled
def roomier(state: Ints, stride: int, extra: int) -> Ints:
    """The same values in a table with slots to spare, and `extra` further numbers a slot behind it, which are not kept."""
    width = NARROWEST
    while (1 << width) < 4 * (state[DIFFERENT] + 1):
        width += 1
    made = np.zeros(max(len(state), HEAD + (stride + extra) * (1 << width)), np.int64)
    made[:HEAD] = state[:HEAD]
    clear(made, stride, width)
    for slot in range(1 << state[WIDTH]):
        place = HEAD + stride * slot
        if state[place + 1] > 0:
            into = find(made, stride, state[place])
            made[into : into + stride] = state[place : place + stride]
            made[USED] += 1
    made[DIFFERENT], made[VALUES] = state[DIFFERENT], state[VALUES]
    if len(made) == len(state):
        state[:] = made
        return state
    return made


@compiled
def packed(state: Ints, stride: int, kept: int) -> Ints:
    """The head and the first `kept` numbers of each slot in use, one after the other."""
    made = np.empty(HEAD + kept * state[DIFFERENT], np.int64)
    made[:HEAD] = state[:HEAD]
    end = HEAD
    for slot in range(1 << state[WIDTH]):
        place = HEAD + stride * slot
        if state[place + 1] > 0:
            made[end : end + kept] = state[place : place + kept]
            end += kept
    return made
