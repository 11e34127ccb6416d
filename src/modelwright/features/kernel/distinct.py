"""`count_distinct`: exact, by a hash table of the values seen and how often each is in the window."""

import math

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled

U = np.uint64
GOLDEN = U(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: multiplying by it spreads nearby bit patterns over the high bits."""


@compiled
def distinct(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """How many different values; equal means equal bits, zero being one value. Signature as in the package's docstring."""
    base = lo[0]
    rows = hi[len(hi) - 1] - base
    width = 2
    while (1 << width) < 2 * rows:
        width += 1
    table = np.full(1 << width, -1, np.int64)
    present = np.zeros(1 << width, np.int64)
    slots = np.empty(max(rows, 1), np.int64)
    bits = values.view(np.int64)
    wrap = (1 << width) - 1
    left = right = base
    n = 0
    for r in range(len(lo)):
        while right < hi[r]:
            slots[right - base] = -1
            if mask[right] and not math.isnan(values[right]):
                mixed = U(bits[right]) ^ (U(bits[right]) >> U(32))
                slot = np.int64((mixed * GOLDEN) >> U(64 - width))
                while table[slot] >= 0 and bits[table[slot]] != bits[right]:
                    slot = (slot + 1) & wrap
                table[slot] = right
                slots[right - base] = slot
                n += present[slot] == 0
                present[slot] += 1
            right += 1
        while left < lo[r]:
            slot = slots[left - base]
            if slot >= 0:
                present[slot] -= 1
                n -= present[slot] == 0
            left += 1
        out[r] = n
