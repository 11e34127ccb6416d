"""The online host's loop: every aggregate of one view for one request, over one key's rows held in memory."""

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.dispatch import CHANGE, LAG, apply
from modelwright.features.kernel.operations import SEES_ALL
from modelwright.features.kernel.position import scan_back
from modelwright.features.kernel.visible import hide


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
def answer(
    steps: Ints, at_us: int, own: Floats,
    times: Ints, values: Floats, masks: Marks, n: int,
    known: Ints, outcome_values: Floats, outcome_masks: Marks, outcomes: int,
    outcome_seq: Ints, following: Ints, corrected: Ints,
    out: Floats,
) -> None:  # fmt: skip
    """Write one answer a step to `out[step's place]`.

    `steps` has a row each of (operation, k, over, is outcome, column or -1, mask, place). `values` and `masks` hold a
    column a row, with room beyond the `n` rows in use. `following` and `corrected` are as `successors` makes them.
    `own` holds the request's own values by column.
    """
    lo = np.empty(1, np.int64)
    hi = np.empty(1, np.int64)
    at = np.full(1, at_us, np.int64)
    mine = np.empty(1, np.float64)
    nothing = np.empty(0, np.float64)
    for s in range(len(steps)):
        op, k, over = steps[s, 0], steps[s, 1], steps[s, 2]
        column, mask, place = steps[s, 4], steps[s, 5], steps[s, 6]
        if steps[s, 3] == 1:
            hi[0] = _first_not_before(known, outcomes, at_us + 1)
            lo[0] = _first_not_before(known, outcomes, at_us - over) if over > 0 else 0
            seen = outcome_values[column, :outcomes] if column >= 0 else nothing
            marks = outcome_masks[mask, :outcomes]
            if len(corrected) > 0:
                marks = marks.copy()
                hidden = np.empty(len(corrected), np.int64)
                hide(marks, outcome_seq, outcome_seq, following, corrected, lo[0], hi[0], SEES_ALL, hidden)
            if op == LAG:
                i = scan_back(seen, marks, lo[0], hi[0], k, False)
                out[place] = seen[i] if i >= 0 else np.nan
                continue
            apply(op, known[:outcomes], seen, marks, lo, hi, at, mine, k, out[place : place + 1])
        else:
            hi[0] = _first_not_before(times, n, at_us)
            lo[0] = _first_not_before(times, n, at_us - over) if over > 0 else 0
            seen = values[column, :n] if column >= 0 else nothing
            mine[0] = own[column] if column >= 0 else np.nan
            if op in (LAG, CHANGE):
                i = scan_back(seen, masks[mask, :n], lo[0], hi[0], 1 if op == CHANGE else k, False)
                out[place] = np.nan
                if i >= 0:
                    value = mine[0] - seen[i] if op == CHANGE else seen[i]
                    if not np.isnan(value):
                        out[place] = value
                continue
            apply(op, times[:n], seen, masks[mask, :n], lo, hi, at, mine, k, out[place : place + 1])
