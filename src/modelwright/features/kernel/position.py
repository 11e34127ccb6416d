"""`last`, `lag`, `first` and `time_since_last`: the value or the time of one row of the window.

The last rows are kept in a ring of (row, value or time) pairs, so that they outlive the rows. For a window begun anew
the scan goes back from its end until k rows are found, so a lag over all history costs the rows it passes and no more;
following windows only look at the rows that came in between.
"""

import math

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.state import HEAD, LEFT, RIGHT, far

N = 2
FOUND, ROW, VALUE, SCANNED = 2, 3, 4, 5


@compiled
def made(k: int) -> Ints:
    """A state that has seen nothing; `k` is how many rows back it will be asked for."""
    return np.zeros(HEAD + 2 * k, np.int64)


@compiled
def _keep_last(
    state: Ints, kept: Ints, values: Floats, mask: Marks, base: int, lo: int, hi: int, k: int, any_value: bool
) -> int:
    """Take the state to a window; returns the place of its k-th last row in the state, or -1.

    `kept` is what is kept of each row: its value's bits, or its time. `any_value` lets rows with a missing value count.
    """
    n, right = state[N], state[RIGHT]
    if lo < state[LEFT] or hi < right or far(state[LEFT], right, lo, hi):
        n = 0
        i = hi - 1
        while i >= lo and n < k:
            if mask[i - base] and (any_value or not math.isnan(values[i - base])):
                n += 1
                state[HEAD + 2 * (k - n)] = i
                state[HEAD + 2 * (k - n) + 1] = kept[i - base]
            i -= 1
        # The n rows found stand at the end of the ring; count as if those before them had been passed.
        found = n
        n = k
        for j in range(k - found):
            state[HEAD + 2 * j] = -1
        right = hi
    while right < hi:
        if mask[right - base] and (any_value or not math.isnan(values[right - base])):
            state[HEAD + 2 * (n % k)] = right
            state[HEAD + 2 * (n % k) + 1] = kept[right - base]
            n += 1
        right += 1
    state[LEFT], state[RIGHT], state[N] = lo, right, n
    place = HEAD + 2 * (n % k)
    return place if n >= k and state[place] >= lo else -1


@compiled
def lag(
    state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints, parameter: float,
    out: Floats,
) -> Ints:  # fmt: skip
    """The k-th last value that is there; NaN for none; k is the parameter. Signature as in the package's docstring."""
    kept = values.view(np.int64)
    held = state.view(np.float64)
    for r in range(len(lo)):
        place = _keep_last(state, kept, values, mask, base, lo[r], hi[r], int(parameter), False)
        out[r] = held[place + 1] if place >= 0 else math.nan
    return state


@compiled
def since(
    state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints, parameter: float,
    out: Floats,
) -> Ints:  # fmt: skip
    """Seconds since the last row; NaN for none. Signature as in the package's docstring."""
    for r in range(len(lo)):
        place = _keep_last(state, times, values, mask, base, lo[r], hi[r], 1, True)
        out[r] = (at[r] - state[place + 1]) / 1e6 if place >= 0 else math.nan
    return state


@compiled
def first(
    state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints, parameter: float,
    out: Floats,
) -> Ints:  # fmt: skip
    """The earliest value that is there; NaN for none. Signature as in the package's docstring."""
    bits = values.view(np.int64)
    held = state.view(np.float64)
    for r in range(len(lo)):
        if lo[r] < state[LEFT] or hi[r] < state[RIGHT] or far(state[LEFT], state[RIGHT], lo[r], hi[r]):
            state[FOUND] = 0
            state[SCANNED] = lo[r]
        if state[FOUND] == 1 and state[ROW] < lo[r]:
            state[FOUND] = 0
        if state[FOUND] == 0:
            i = max(state[SCANNED], lo[r])
            while i < hi[r] and not (mask[i - base] and not math.isnan(values[i - base])):
                i += 1
            state[SCANNED] = i
            if i < hi[r]:
                state[FOUND] = 1
                state[ROW] = i
                state[VALUE] = bits[i - base]
                state[SCANNED] = i + 1
        state[LEFT], state[RIGHT] = lo[r], hi[r]
        out[r] = held[VALUE] if state[FOUND] == 1 else math.nan
    return state


@compiled
def join_last(state: Ints, later: Ints) -> None:
    """Let the last rows of a later state follow."""
    k = (len(state) - HEAD) // 2
    for j in range(max(later[N] - k, 0), later[N]):
        source = HEAD + 2 * (j % k)
        if later[source] >= 0:
            place = HEAD + 2 * (state[N] % k)
            state[place : place + 2] = later[source : source + 2]
            state[N] += 1


@compiled
def join_first(state: Ints, later: Ints, scanned: int) -> None:
    """Take the first row of a later state where there is none yet; rows before `scanned` are not looked at again."""
    if state[FOUND] == 0 and later[FOUND] == 1:
        state[FOUND : VALUE + 1] = later[FOUND : VALUE + 1]
    state[SCANNED] = scanned
