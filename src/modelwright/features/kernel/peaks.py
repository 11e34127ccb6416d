"""`min` and `max` over several windows of whole keys: from one queue of the rows that no later one has beaten.

The offline host's way. `extreme` keeps such a queue for each window and lets rows leave it by their age; here none does,
and each window looks up the first of the queue's rows that it holds.
"""

import math

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.dispatch import MIN


@compiled
def peaks(
    operations: Ints, windows: Ints, parameters: Floats, values: Floats, mask: Marks, unit: int, starts: Ints,
    request_starts: Ints, first: int, end: int, whole: Marks, lo: Ints, hi: Ints, out: Floats,
) -> None:  # fmt: skip
    """Arguments as those of `prefix.totals`; the operations are all the same."""
    sign = -1.0 if operations[0] == MIN else 1.0
    queue = np.empty(0, np.int64)
    for g in range(first, end):
        c, d = request_starts[g], request_starts[g + 1]
        if c == d or not whole[g]:
            continue
        right, a = lo[:, c].min(), starts[g]
        if hi[d - 1] - right > len(queue):
            queue = np.empty(max(hi[d - 1] - right, 2 * len(queue)), np.int64)
        held = 0
        for r in range(c, d):
            while right < hi[r]:
                value = values[a + right]
                if mask[a + right] and not math.isnan(value):
                    while held > 0 and sign * values[a + queue[held - 1]] <= sign * value:
                        held -= 1
                    queue[held] = right
                    held += 1
                right += 1
            for s in range(len(operations)):
                place = np.searchsorted(queue[:held], lo[windows[s], r])
                out[s, r] = values[a + queue[place]] if place < held else math.nan
