"""`quantile`: exact, from the window's values in order.

The values stand in buckets of at most `BUCKET`, each sorted, and a directory of the buckets in order: a value enters or
leaves by a search among the buckets and a short move within one. Values are kept as whole numbers that order as the
doubles do.

State: the head, the directory (its first `BUCKETS` entries in use, the others naming free buckets), the size of each
bucket, the buckets.
"""

import math
from typing import Final

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.state import HEAD, LEFT, RIGHT, far

N: Final = 2
BUCKETS: Final = 3
ROOM: Final = 4
BUCKET: Final = 128


@compiled
def made() -> Ints:
    """A state that has seen nothing."""
    state = np.zeros(HEAD + 2 + BUCKET, np.int64)
    _clear(state)
    return state


@compiled
def _clear(state: Ints) -> None:
    state[N] = state[BUCKETS] = state[HEAD] = 0
    state[ROOM] = 1


@compiled
def _doubled(state: Ints) -> Ints:
    room = state[ROOM]
    larger = np.zeros(max(len(state), HEAD + 2 * room * (2 + BUCKET)), np.int64)
    larger[:HEAD] = state[:HEAD]
    larger[ROOM] = 2 * room
    larger[HEAD : HEAD + room] = state[HEAD : HEAD + room]
    for j in range(room, 2 * room):
        larger[HEAD + j] = j
    larger[HEAD + 2 * room : HEAD + 3 * room] = state[HEAD + room : HEAD + 2 * room]
    start = HEAD + 4 * room
    larger[start : start + room * BUCKET] = state[HEAD + 2 * room : HEAD + 2 * room + room * BUCKET]
    if len(larger) == len(state):
        state[:] = larger
        return state
    return larger


@compiled
def _ordered(bits: int) -> int:
    """A whole number that orders as the double of these bits; its own inverse."""
    return bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF)


@compiled
def _bucket_of(state: Ints, value: int) -> int:
    """The last bucket, by its place in the directory, that begins at or below the value; else the first."""
    contents = HEAD + 2 * state[ROOM]
    low, high = 0, state[BUCKETS] - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if state[contents + BUCKET * state[HEAD + middle]] <= value:
            low = middle
        else:
            high = middle - 1
    return low


@compiled
def _place_in(state: Ints, start: int, size: int, value: int) -> int:
    """How many of a bucket's values are below this one."""
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if state[start + middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _open(state: Ints, j: int) -> int:
    """Take a free bucket into the directory at place j; its number."""
    bucket = state[HEAD + state[BUCKETS]]
    for i in range(state[BUCKETS], j, -1):
        state[HEAD + i] = state[HEAD + i - 1]
    state[HEAD + j] = bucket
    state[BUCKETS] += 1
    return int(bucket)


@compiled
def _close(state: Ints, j: int) -> None:
    """Give the bucket at place j of the directory back."""
    bucket = state[HEAD + j]
    state[BUCKETS] -= 1
    for i in range(j, state[BUCKETS]):
        state[HEAD + i] = state[HEAD + i + 1]
    state[HEAD + state[BUCKETS]] = bucket


@compiled
def _add(state: Ints, value: int) -> Ints:
    state[N] += 1
    if state[BUCKETS] == 0:
        state[HEAD + state[ROOM] + _open(state, 0)] = 0
    j = _bucket_of(state, value)
    bucket = state[HEAD + j]
    if state[HEAD + state[ROOM] + bucket] == BUCKET:
        if state[BUCKETS] == state[ROOM]:
            state = _doubled(state)
        upper = _open(state, j + 1)
        sizes = HEAD + state[ROOM]
        contents = sizes + state[ROOM]
        half = BUCKET // 2
        for i in range(half):
            state[contents + BUCKET * upper + i] = state[contents + BUCKET * bucket + half + i]
        state[sizes + bucket] = state[sizes + upper] = half
        if value >= state[contents + BUCKET * upper]:
            bucket = upper
    sizes = HEAD + state[ROOM]
    start = sizes + state[ROOM] + BUCKET * bucket
    place = _place_in(state, start, state[sizes + bucket], value)
    for i in range(start + state[sizes + bucket], start + place, -1):
        state[i] = state[i - 1]
    state[start + place] = value
    state[sizes + bucket] += 1
    return state


@compiled
def _remove(state: Ints, value: int) -> None:
    state[N] -= 1
    sizes = HEAD + state[ROOM]
    contents = sizes + state[ROOM]
    j = _bucket_of(state, value)
    bucket = state[HEAD + j]
    start = contents + BUCKET * bucket
    place = _place_in(state, start, state[sizes + bucket], value)
    state[sizes + bucket] -= 1
    for i in range(start + place, start + state[sizes + bucket]):
        state[i] = state[i + 1]
    if state[sizes + bucket] == 0:
        _close(state, j)
    elif j + 1 < state[BUCKETS]:
        following = state[HEAD + j + 1]
        size, more = state[sizes + bucket], state[sizes + following]
        if size + more <= BUCKET // 2:
            for i in range(more):
                state[start + size + i] = state[contents + BUCKET * following + i]
            state[sizes + bucket] = size + more
            _close(state, j + 1)


@compiled
def _at(state: Ints, rank: int) -> float:
    """The value of a rank, from 0."""
    sizes = HEAD + state[ROOM]
    j = 0
    while rank >= state[sizes + state[HEAD + j]]:
        rank -= state[sizes + state[HEAD + j]]
        j += 1
    found = np.empty(1, np.int64)
    found[0] = _ordered(state[sizes + state[ROOM] + BUCKET * state[HEAD + j] + rank])
    return float(found.view(np.float64)[0])


@compiled
def _read(state: Ints, q: float) -> float:
    """The q-quantile, between two values by the line from one to the other, with numpy's arithmetic."""
    if state[N] == 0:
        return math.nan
    position = float(state[N] - 1) * q
    rank = math.floor(position)
    share = position - rank
    low = _at(state, rank)
    if share == 0.0:
        return low
    high = _at(state, rank + 1)
    if low == high:
        return low
    step = high - low
    if math.isinf(step):
        return low * (1.0 - share) + high * share
    return low + step * share if share < 0.5 else high - step * (1.0 - share)


@compiled
def quantile(
    state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints, parameter: float,
    out: Floats,
) -> Ints:  # fmt: skip
    """The quantile of that parameter; NaN for no values. Signature as in the package's docstring."""
    bits = values.view(np.int64)
    left, right = state[LEFT], state[RIGHT]
    for r in range(len(lo)):
        if far(left, right, lo[r], hi[r]):
            _clear(state)
            left = right = lo[r]
        while left != lo[r] or right != hi[r]:
            if right < hi[r]:
                i = right
                right += 1
                entering = True
            elif left < lo[r]:
                i = left
                left += 1
                entering = False
            elif right > hi[r]:
                right -= 1
                i = right
                entering = False
            else:
                left -= 1
                i = left
                entering = True
            if mask[i - base] and not math.isnan(values[i - base]):
                value = _ordered(bits[i - base])
                if entering:
                    state = _add(state, value)
                else:
                    _remove(state, value)
        out[r] = _read(state, parameter)
    state[LEFT], state[RIGHT] = left, right
    return state


@compiled
def merged(state: Ints, other: Ints, sign: int) -> Ints:
    """Add the values of another state or take them away."""
    sizes = HEAD + other[ROOM]
    for j in range(other[BUCKETS]):
        bucket = other[HEAD + j]
        start = sizes + other[ROOM] + BUCKET * bucket
        for i in range(start, start + other[sizes + bucket]):
            if sign > 0:
                state = _add(state, other[i])
            else:
                _remove(state, other[i])
    return state
