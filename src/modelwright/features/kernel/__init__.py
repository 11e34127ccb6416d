"""The feature kernel: one file and one function an aggregate family, all with one signature.

A kernel is `f(state, times, values, mask, base, lo, hi, at, parameter, out) -> state` over the rows of one key sorted by
(time, sequence): `times` int64 microseconds, `values` float64 with NaN for missing, `mask` uint8 (1: the condition
holds). Rows are numbered from `base`: row *i* stands at `values[i - base]`. Request *r* at the instant `at[r]` reads the
rows `lo[r] <= i < hi[r]`; `lo` and `hi` never fall. `out[r]` is the answer. A family that reads no times leaves them out,
and takes what tells its members apart in place of the parameter.

`state` is the running state of one aggregate over one key, as `dispatch.made` begins it: a kernel takes it from the
window it is at to the next and returns it, a larger one where it had to grow. The answer depends on the rows of the
window alone, never on how the window was reached: that is what makes a sliding history and a single request agree to
the last bit.
"""
