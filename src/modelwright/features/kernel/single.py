"""The online host's loop: every aggregate of one view for one request, over one key's rows held in memory.

The running states of a key stand in one array, its arena: for each step where its state starts, where the last ends, then
the states. A key with few rows has none: the states of a shared arena are begun anew at each request.

Rows that left every window may be dropped from memory. What they gave to the steps over all history is then in a
second arena, `settled`: the states of those steps over the rows before `base`, from which a state can begin anew. What
they give to windows that begin at whole steps may be in tiles: see `tiles.py`.
"""

import numpy as np

from modelwright.features.kernel import extreme, frequent, tiles
from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.dispatch import (
    DECAY,
    FIRST,
    FREQUENT,
    LAG,
    MAX,
    MIN,
    RATE,
    SINCE,
    apply,
    made,
    take_from,
)
from modelwright.features.kernel.operations import SEES_ALL
from modelwright.features.kernel.state import LEFT, RIGHT, restart
from modelwright.features.kernel.visible import hide
from modelwright.features.kernel.window import far_edge, newest, per_second

OPERATION, OVER, STEP, MOST, OF_OUTCOME, COLUMN, CONDITION, MINUS, OWN, PLACE = range(10)
"""What each column of `steps` holds. COLUMN is a place among the values held, or -1; OWN among the request's; PLACE
among the answers."""


@compiled
def begun(steps: Ints, parameters: Floats) -> Ints:
    """An arena whose states have seen nothing."""
    arena = np.zeros(len(steps) + 1, np.int64)
    arena[:] = len(arena)
    for s in range(len(steps)):
        arena = _with_state(arena, s, made(steps[s, OPERATION], parameters[s]))
    return arena


@compiled
def _with_state(arena: Ints, s: int, state: Ints) -> Ints:
    """The arena with a larger state of step s."""
    start, end = arena[s], arena[s + 1]
    steps = arena[0] - 1
    extra = len(state) - (end - start)
    larger = np.empty(len(arena) + extra, np.int64)
    larger[:start] = arena[:start]
    larger[start : start + len(state)] = state
    larger[end + extra :] = arena[end:]
    for later in range(s + 1, steps + 1):
        larger[later] += extra
    return larger


@compiled
def _moved(
    steps: Ints, parameters: Floats, arena: Ints, s: int, times: Ints, values: Floats, marks: Marks, base: int, lo: int,
    hi: int, at: Ints, out: Floats,
) -> Ints:  # fmt: skip
    """Take the state of step s to the window `lo <= i < hi`; the arena, a larger one where the state had to grow."""
    state = arena[arena[s] : arena[s + 1]]
    column = steps[s, COLUMN]
    seen = values[column] if column >= 0 else np.empty(0, np.float64)
    window_lo, window_hi = np.full(1, lo, np.int64), np.full(1, hi, np.int64)
    after = apply(steps[s, OPERATION], state, times, seen, marks, base, window_lo, window_hi, at, parameters[s], out)
    return arena if len(after) == len(state) else _with_state(arena, s, after)


@compiled
def _first_not_before(times: Ints, n: int, instant: int) -> int:
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < instant:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _goes_back(op: int, state: Ints, hi: int) -> bool:
    """Whether a state over all history can be taken to an earlier row without beginning anew."""
    if op in (LAG, FIRST, SINCE, DECAY):
        return False
    if op in (MIN, MAX):
        return extreme.reaches(state, hi)
    return bool(state[RIGHT] - hi <= hi)


@compiled
def _ready(op: int, arena: Ints, settled: Ints, s: int, kept: bool, over: int, base: int, hi: int) -> Ints:
    """The arena with the state of step s fit to be taken to a window that ends at hi."""
    state = arena[arena[s] : arena[s + 1]]
    if not kept:
        restart(state)
    elif over == 0 and base > 0 and (state[RIGHT] < base or (hi < state[RIGHT] and not _goes_back(op, state, hi))):
        past = settled[settled[s] : settled[s + 1]]
        if len(past) > len(state):
            return _with_state(arena, s, past)
        state[: len(past)] = past
    return arena


@compiled
def _through_tiles(
    steps: Ints, parameters: Floats, arena: Ints, s: int, tiled: Ints, times: Ints, values: Floats, marks: Marks,
    base: int, lo: int, hi: int, at: Ints, out: Floats,
) -> Ints:  # fmt: skip
    """Take the state of step s to where its window begins, among the tiles, so that only rows are left to go through."""
    op = steps[s, OPERATION]
    state = arena[arena[s] : arena[s + 1]]
    if tiles.goes_on(op, state, tiled, lo, hi, base):
        tiles.take_away(op, state, tiled, s, lo)
        return arena
    restart(state)
    arena = _moved(steps, parameters, arena, s, times, values, marks, base, lo, lo, at, out)
    after = tiles.add(op, arena[arena[s] : arena[s + 1]], tiled, s, lo, base)
    return arena if len(after) == arena[s + 1] - arena[s] else _with_state(arena, s, after)


@compiled
def tile_of(
    steps: Ints, parameters: Floats, times: Ints, values: Floats, masks: Marks, base: int, first: int, until: int
) -> Ints:
    """An arena with the states of the windowed steps over some events; of an extreme, the best row alone."""
    arena = np.full(len(steps) + 1, len(steps) + 1)
    at = np.zeros(1, np.int64)
    out = np.empty(1, np.float64)
    for s in range(len(steps)):
        op = steps[s, OPERATION]
        if steps[s, OF_OUTCOME] == 0 and steps[s, OVER] > 0:
            settings = parameters.copy()
            if op in (MIN, MAX):
                settings[s] = 1.0
            arena = _with_state(arena, s, made(op, settings[s]))
            if until > first:
                marks = masks[steps[s, CONDITION]]
                arena = _moved(steps, settings, arena, s, times, values, marks, base, first, until, at, out)
            arena = _with_state(arena, s, tiles.packed(op, arena[arena[s] : arena[s + 1]]))
    return arena


@compiled
def answer(
    steps: Ints, parameters: Floats, arena: Ints, settled: Ints, tiled: Ints, kept: bool, at_us: int, own: Floats,
    times: Ints, values: Floats, masks: Marks, n: int, base: int,
    known: Ints, outcome_values: Floats, outcome_masks: Marks, outcomes: int, outcome_base: int,
    raw_masks: Marks, outcome_seq: Ints, following: Ints, corrected: Ints, latest_correction: int,
    out: Floats,
) -> Ints:  # fmt: skip
    """Write one answer a step to `out[step's place]`; returns the arena, a larger one where a state had to grow.

    `values` and `masks` hold a column a row, with room beyond the `n` rows in use, which are numbered from `base`.
    `outcome_masks` are 0 for outcomes that were corrected, `raw_masks` are not. `following` and `corrected` are as
    `successors` makes them, `latest_correction` the last row that corrects another, or -1. Without `kept` the states
    begin anew. `tiled` holds the tiles, whose number comes first. `own` holds the request's own values by column.
    """
    at = np.full(1, at_us, np.int64)
    mine = np.empty(1, np.float64)
    for s in range(len(steps)):
        over, most, place = steps[s, OVER], steps[s, MOST], steps[s, PLACE]
        edge = far_edge(at_us, over, steps[s, STEP])
        answered = out[place : place + 1]
        if steps[s, OF_OUTCOME] == 1:
            hi = _first_not_before(known, outcomes, at_us + 1)
            lo = _first_not_before(known, outcomes, edge) if over > 0 else 0
            if hi <= latest_correction and _awaits_correction(following, corrected, lo, hi):
                _as_of(
                    steps, parameters, settled, s, known, outcome_values, raw_masks, outcome_base,
                    outcome_seq, following, corrected, lo, hi, at, answered,
                )  # fmt: skip
            else:
                if most > 0:
                    lo = newest(outcome_masks[0], lo, hi, most)
                hi += outcome_base
                lo = lo + outcome_base if over > 0 else 0
                arena = _ready(steps[s, OPERATION], arena, settled, s, kept, over, outcome_base, hi)
                arena = _moved(
                    steps, parameters, arena, s, known, outcome_values, outcome_masks[steps[s, CONDITION]], outcome_base,
                    lo, hi, at, answered,
                )  # fmt: skip
        else:
            hi = base + _first_not_before(times, n, at_us)
            lo = base + _first_not_before(times, n, edge) if over > 0 else 0
            if most > 0:
                lo = max(lo, hi - most)
            arena = _ready(steps[s, OPERATION], arena, settled, s, kept, over, base, hi)
            if over > 0 and tiled[0] > 0:
                lo = tiles.first_row(tiled, edge, base) if lo == base else lo
                if lo < base:
                    arena = _through_tiles(
                        steps, parameters, arena, s, tiled, times, values, masks[steps[s, CONDITION]], base, lo, hi, at,
                        answered,
                    )  # fmt: skip
                elif arena[arena[s] + LEFT] < base:
                    restart(arena[arena[s] : arena[s + 1]])
            arena = _moved(
                steps, parameters, arena, s, times, values, masks[steps[s, CONDITION]], base, lo, hi, at, answered
            )
        if steps[s, OPERATION] == RATE:
            per_second(at, over, steps[s, STEP], answered)
        if steps[s, MINUS] == 1:
            mine[0] = own[steps[s, OWN]]
            take_from(mine, answered)
    return arena


@compiled
def _awaits_correction(following: Ints, corrected: Ints, lo: int, hi: int) -> bool:
    """Whether an outcome in the window is corrected by one that comes after it."""
    awaits = False
    for i in corrected:
        awaits |= lo <= i < hi and following[i] >= hi
    return awaits


@compiled
def _as_of(
    steps: Ints, parameters: Floats, settled: Ints, s: int, known: Ints, values: Floats, masks: Marks, base: int,
    seq: Ints, following: Ints, corrected: Ints, lo: int, hi: int, at: Ints, out: Floats,
) -> None:  # fmt: skip
    """Answer a request that comes before a correction of what it reads, with states of its own."""
    marks = masks[steps[s, CONDITION]].copy()
    hidden = np.empty(len(corrected), np.int64)
    hiding = hide(marks, seq, seq, following, corrected, lo, hi, SEES_ALL, hidden)
    op, over, column = steps[s, OPERATION], steps[s, OVER], steps[s, COLUMN]
    if steps[s, MOST] > 0:
        shown = masks[0].copy()
        shown[hidden[:hiding]] = 0
        lo = newest(shown, lo, hi, steps[s, MOST])
    state = made(op, parameters[s])
    if base > 0 and over == 0:
        state = settled[settled[s] : settled[s + 1]].copy()
    seen = values[column] if column >= 0 else np.empty(0, np.float64)
    window_lo, window_hi = np.full(1, base + lo if over > 0 else 0, np.int64), np.full(1, base + hi, np.int64)
    apply(op, state, known, seen, marks, base, window_lo, window_hi, at, parameters[s], out)


@compiled
def begin_anew(steps: Ints, arena: Ints, of_outcome: bool) -> None:
    """Let the states over one source begin anew."""
    for s in range(len(steps)):
        if (steps[s, OF_OUTCOME] == 1) == of_outcome:
            restart(arena[arena[s] : arena[s + 1]])


@compiled
def inserted(
    steps: Ints, parameters: Floats, arena: Ints, of_outcome: bool, times: Ints, values: Floats, masks: Marks, base: int,
    row: int,
) -> Ints:  # fmt: skip
    """Tell the states that a row now stands among those they have seen; returns the arena.

    Sums, tallies and queues take it in; what looks for one row begins anew.
    """
    at = np.zeros(1, np.int64)
    out = np.empty(1, np.float64)
    for s in range(len(steps)):
        if (steps[s, OF_OUTCOME] == 1) != of_outcome:
            continue
        state = arena[arena[s] : arena[s + 1]]
        left, right, op = state[LEFT], state[RIGHT], steps[s, OPERATION]
        if row >= right:
            continue
        if op in (LAG, FIRST, SINCE):
            restart(state)
            continue
        if op in (MIN, MAX):
            there = row >= left and masks[steps[s, CONDITION], row - base]
            value = values[steps[s, COLUMN], row - base] if there else np.nan
            after = extreme.insert(state, row, value, -1.0 if op == MIN else 1.0, parameters[s] > 0.0)
            after[LEFT], after[RIGHT] = left + (row < left), right + 1
            if len(after) > len(state):
                arena = _with_state(arena, s, after)
            continue
        if op == FREQUENT:
            frequent.make_way(state, row)
        if row < left:
            state[LEFT], state[RIGHT] = left + 1, right + 1
        else:
            state[LEFT] = state[RIGHT] = row
            arena = _moved(
                steps, parameters, arena, s, times, values, masks[steps[s, CONDITION]], base, row, row + 1, at, out
            )
            state = arena[arena[s] : arena[s + 1]]
            state[LEFT], state[RIGHT] = left, right + 1
    return arena


@compiled
def settle(
    steps: Ints, parameters: Floats, arena: Ints, settled: Ints, of_outcome: bool, times: Ints, values: Floats,
    masks: Marks, base: int, until: int, in_tiles: bool,
) -> tuple[Ints, Ints]:  # fmt: skip
    """Make the states independent of the rows before `until`, of which there may be tiles; returns (arena, settled)."""
    at = np.zeros(1, np.int64)
    out = np.empty(1, np.float64)
    for s in range(len(steps)):
        if (steps[s, OF_OUTCOME] == 1) != of_outcome:
            continue
        marks = masks[steps[s, CONDITION]]
        if steps[s, OVER] == 0:
            first = settled[settled[s] + LEFT]
            settled = _moved(steps, parameters, settled, s, times, values, marks, base, first, until, at, out)
            continue
        state = arena[arena[s] : arena[s + 1]]
        if in_tiles:
            if state[RIGHT] < until or steps[s, OPERATION] in (
                MIN,
                MAX,
            ):  # a queue may hold more rows than there are tiles
                restart(state)
        elif state[RIGHT] <= until or state[LEFT] < base:
            restart(state)
        elif state[LEFT] < until:
            right = state[RIGHT]
            arena = _moved(steps, parameters, arena, s, times, values, marks, base, until, right, at, out)
    return arena, settled
