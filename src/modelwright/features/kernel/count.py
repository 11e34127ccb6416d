"""`count`: rows of the window for which the condition holds, missing values included."""

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled


@compiled
def count(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """How many rows; signature as in the package's docstring."""
    left = right = lo[0]
    n = 0
    for r in range(len(lo)):
        if lo[r] >= right:
            left = right = lo[r]
            n = 0
        while left < lo[r]:
            n -= mask[left]
            left += 1
        while right < hi[r]:
            n += mask[right]
            right += 1
        out[r] = n
