"""Work on shares of the keys, on several threads: how the offline host uses every core."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SHARES: Final = 4
"""Shares of the keys for each thread: a popular key makes one larger than the others."""


class Each:
    """Work on several threads. The kernel holds no lock, so that they run side by side."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int) -> None:
        self._pool = pool
        self._threads = threads

    def of(self, work: Sequence[Callable[[], Any]]) -> list[Any]:
        """The results of all, in order."""
        return list(self._pool.map(lambda one: one(), work))

    def share(self, starts: NDArray[np.int64], work: Callable[[int, int], object], shares: int = SHARES) -> None:
        """Call `work(first, end)` on shares of the keys."""
        self.of([partial(work, first, end) for first, end in self.shares(starts, shares)])

    def shares(self, starts: NDArray[np.int64], shares: int = SHARES) -> list[tuple[int, int]]:
        """Ranges of keys with about as many rows each, so many for each thread."""
        keys = len(starts) - 1
        ends = np.searchsorted(starts, np.linspace(0, starts[-1], 1 + shares * self._threads))
        bounds = np.unique([0, *np.minimum(ends[1:-1], keys), keys]).tolist()
        return list(pairwise(bounds))
