"""The kernel's operations by number, and what its callers need without numba.

Stands among the kernels, so that a change of order changes the name of the cache.
"""

from typing import Final

OPERATIONS: Final = (
    "count", "rate", "sum", "mean", "min", "max", "std", "lag", "first", "time_since_last", "count_distinct",
    "distinct_ratio", "quantile", "top_k", "ewm",
)  # fmt: skip
"""A step's number is its place here. `last` is `lag` of 1; `change` and `delta` are an operation taken from the request's
own value."""

SEES_ALL: Final = 2**63 - 1
"""The sequence limit of a request that is not live: it sees rows by their time alone."""
