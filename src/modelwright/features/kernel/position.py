"""`last`, `lag`, `first`, `change` and `time_since_last`: the value or the time of one row of the window.

For a single request the scan goes back from the end until k rows are found, so a lag over all history costs the rows it
passes and no more; following requests only look at the rows that came in between.
"""

import math

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled


@compiled
def scan_back(values: Floats, mask: Marks, lo: int, hi: int, k: int, any_value: bool) -> int:
    """Index of the k-th last row that counts, or -1."""
    for i in range(hi - 1, lo - 1, -1):
        if mask[i] and (any_value or not math.isnan(values[i])):
            k -= 1
            if k == 0:
                return i
    return -1


@compiled
def _kth_last(values: Floats, mask: Marks, lo: Ints, hi: Ints, k: int, any_value: bool, found: Ints) -> None:
    """`found[r]`: index of the k-th last row that counts, or -1. `any_value` lets rows with a missing value count."""
    if len(lo) == 1:  # serving's case: no room is needed
        found[0] = scan_back(values, mask, lo[0], hi[0], k, any_value)
        return
    end = hi[len(hi) - 1]
    kept = np.empty(max(min(end - lo[0], k + end - hi[0]), 1), np.int64)
    n = 0
    right = hi[0]
    i = hi[0] - 1
    while i >= lo[0] and n < k:
        if mask[i] and (any_value or not math.isnan(values[i])):
            kept[n] = i
            n += 1
        i -= 1
    kept[:n] = kept[:n][::-1].copy()
    for r in range(len(lo)):
        while right < hi[r]:
            if mask[right] and (any_value or not math.isnan(values[right])):
                kept[n] = right
                n += 1
            right += 1
        found[r] = kept[n - k] if n >= k and kept[n - k] >= lo[r] else -1


@compiled
def lag(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """The k-th last value that is there; NaN for none. Signature as in the package's docstring."""
    found = np.empty(len(lo), np.int64)
    _kth_last(values, mask, lo, hi, k, False, found)
    for r in range(len(lo)):
        out[r] = values[found[r]] if found[r] >= 0 else math.nan


@compiled
def change(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """The request's own value minus the last one; NaN where either is missing. Signature as in the package's docstring."""
    lag(times, values, mask, lo, hi, at, own, 1, out)
    for r in range(len(lo)):
        difference = own[r] - out[r]
        out[r] = math.nan if math.isnan(difference) else difference


@compiled
def since(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """Seconds since the last row; NaN for none. Signature as in the package's docstring."""
    found = np.empty(len(lo), np.int64)
    _kth_last(values, mask, lo, hi, 1, True, found)
    for r in range(len(lo)):
        out[r] = (at[r] - times[found[r]]) / 1e6 if found[r] >= 0 else math.nan


@compiled
def first(
    times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """The earliest value that is there; NaN for none. Signature as in the package's docstring."""
    i = lo[0]
    for r in range(len(lo)):
        i = max(i, lo[r])
        while i < hi[r] and not (mask[i] and not math.isnan(values[i])):
            i += 1
        out[r] = values[i] if i < hi[r] else math.nan
