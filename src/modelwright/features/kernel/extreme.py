"""`min` and `max`: a queue of the rows that could still become the extreme, best first.

A row leaves the queue when a later one is at least as good, or when the window has passed it: constant time a row.
"""

import math

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled


@compiled
def _slide(values: Floats, mask: Marks, lo: Ints, hi: Ints, sign: float, out: Floats) -> None:
    queue = np.empty(max(hi[len(hi) - 1] - lo[0], 1), np.int64)
    head = tail = 0
    right = lo[0]
    for r in range(len(lo)):
        right = max(right, lo[r])
        while right < hi[r]:
            value = sign * values[right]
            if mask[right] and not math.isnan(value):
                while tail > head and sign * values[queue[tail - 1]] <= value:
                    tail -= 1
                queue[tail] = right
                tail += 1
            right += 1
        while head < tail and queue[head] < lo[r]:
            head += 1
        out[r] = values[queue[head]] if head < tail else math.nan


@compiled
def minimum(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """The smallest value; NaN for none. Signature as in the package's docstring."""
    _slide(values, mask, lo, hi, -1.0, out)


@compiled
def maximum(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """The largest value; NaN for none. Signature as in the package's docstring."""
    _slide(values, mask, lo, hi, 1.0, out)
