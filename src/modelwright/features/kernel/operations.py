"""The kernel's operations by number, and what its callers need without numba.

Stands among the kernels, so that a change of order changes the name of the cache.
"""

from typing import Final

OPERATIONS: Final = (
    "count", "sum", "mean", "min", "max", "std", "lag", "first", "count_distinct", "time_since_last", "change",
)  # fmt: skip
"""A step's number is its place here. `last` is `lag` with k = 1."""

SEES_ALL: Final = 2**63 - 1
"""The sequence limit of a request that is not live: it sees rows by their time alone."""
