"""`count` and `rate`: rows of the window for which the condition holds, missing values included.

A rate is a count until `window.per_second` divides it.
"""

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.state import LEFT, RIGHT, far

N = 2


@compiled
def count(state: Ints, mask: Marks, base: int, lo: Ints, hi: Ints, out: Floats) -> Ints:
    """How many rows. Arguments as in the package's docstring."""
    left, right, n = state[LEFT], state[RIGHT], state[N]
    for r in range(len(lo)):
        if far(left, right, lo[r], hi[r]):
            left = right = lo[r]
            n = 0
        while right < hi[r]:
            n += mask[right - base]
            right += 1
        while left < lo[r]:
            n -= mask[left - base]
            left += 1
        while right > hi[r]:
            right -= 1
            n -= mask[right - base]
        while left > lo[r]:
            left -= 1
            n += mask[left - base]
        out[r] = n
    state[LEFT], state[RIGHT], state[N] = left, right, n
    return state
