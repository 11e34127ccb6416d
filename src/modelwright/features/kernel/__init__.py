"""The feature kernel: one file an aggregate family, one function an aggregate, all with one signature.

A kernel is `f(times, values, mask, lo, hi, at, own, k, out)` over the rows of one key sorted by (time, sequence):
`times` int64 microseconds, `values` float64 with NaN for missing, `mask` uint8 (1: the condition holds). Request *r* at
the instant `at[r]`, whose own value is `own[r]`, reads the rows `lo[r] <= i < hi[r]`; `lo` and `hi` never fall, so a
kernel slides. `out[r]` is the answer. The answer depends on the rows of the window alone, never on how the window was
reached: that is what makes a sliding history and a single request agree to the last bit.
"""
