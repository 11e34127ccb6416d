"""`count_distinct` and `distinct_ratio` over several windows of whole keys: by each value's place before and after.

The offline host's way. One hash table a key finds, once for all windows, the row before and the row after that hold the
same value. A row that enters a window brings a new value where the one before it stands outside; a row that leaves
takes one away where the one after it does.
"""

import math
from typing import Final

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.dispatch import RATIO
from modelwright.features.kernel.tally import GOLDEN, U

NARROWEST: Final = 4
NO_VALUE: Final = -2
"""The link of a row that counts for nothing; -1 and the number of rows are the links of the first and the last."""


@compiled
def _slot(table: Ints, width: int, bits: int) -> int:
    """The place of a value among (bits, last row) pairs, or the free one (row -1) where it belongs."""
    mixed = U(bits) ^ (U(bits) >> U(32))
    slot = np.int64((mixed * GOLDEN) >> U(64 - width))
    while table[2 * slot + 1] >= 0 and table[2 * slot] != bits:
        slot = (slot + 1) & ((1 << width) - 1)
    return int(2 * slot)


@compiled
def _link(bits: Ints, values: Floats, mask: Marks, table: Ints, before: Ints, after: Ints) -> Ints:
    """Write the links of one key's rows; returns the table, a larger one where it had to grow."""
    width = NARROWEST
    used = 0
    table[: 2 << width] = -1
    n = len(values)
    for i in range(n):
        if not mask[i] or math.isnan(values[i]):
            before[i] = NO_VALUE
            continue
        place = _slot(table, width, bits[i])
        if table[place + 1] < 0:
            used += 1
            table[place] = bits[i]
            before[i] = -1
        else:
            before[i] = table[place + 1]
            after[before[i]] = i
        table[place + 1] = i
        after[i] = n
        if 2 * used > (1 << width):
            wider = table
            if len(table) < (4 << width):
                wider = np.empty(8 << width, np.int64)
            kept = table[: 2 << width].copy()
            width += 1
            wider[: 2 << width] = -1
            for old in range(0, len(kept), 2):
                if kept[old + 1] >= 0:
                    into = _slot(wider, width, kept[old])
                    wider[into], wider[into + 1] = kept[old], kept[old + 1]
            table = wider
    return table


@compiled
def distincts(
    operations: Ints, windows: Ints, parameters: Floats, values: Floats, mask: Marks, unit: int, starts: Ints,
    request_starts: Ints, first: int, end: int, whole: Marks, lo: Ints, hi: Ints, out: Floats,
) -> None:  # fmt: skip
    """Arguments as those of `prefix.totals`."""
    bits = values.view(np.int64)
    table = np.empty(2 << NARROWEST, np.int64)
    before = after = np.empty(0, np.int64)
    for g in range(first, end):
        c, d = request_starts[g], request_starts[g + 1]
        if c == d or not whole[g]:
            continue
        begin, stop = lo[:, c].min(), hi[d - 1]
        if stop - begin > len(before):
            room = max(stop - begin, 2 * len(before))
            before, after = np.empty(room, np.int64), np.empty(room, np.int64)
        a, b = starts[g] + begin, starts[g] + stop
        table = _link(bits[a:b], values[a:b], mask[a:b], table, before, after)
        for s in range(len(operations)):
            ratio = operations[s] == RATIO
            left = right = lo[windows[s], c] - begin
            different = n = 0
            for r in range(c, d):
                low, high = lo[windows[s], r] - begin, hi[r] - begin
                if low > right:
                    left = right = low
                    different = n = 0
                while right < high:
                    different += NO_VALUE < before[right] < left
                    n += before[right] != NO_VALUE
                    right += 1
                while left < low:
                    different -= before[left] != NO_VALUE and after[left] >= right
                    n -= before[left] != NO_VALUE
                    left += 1
                if not ratio:
                    out[s, r] = different
                else:
                    out[s, r] = different / n if n > 0 else math.nan
