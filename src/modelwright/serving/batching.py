"""How long a batch may wait for company: not at all, unless it is asked for.

Requests that are there together are worked off together in any case. Waiting for more pays where a model takes much less
time for n rows at once than for n rows one by one, as neural networks do, and costs every request the wait.
"""

import math
from typing import Annotated, Literal

import msgspec

Closed = Literal["full", "waited", "idle"]
"""Why a batch was closed: it held its rows; it had waited its time; or nothing more was there, nor expected in time."""
SMOOTHING = 0.1
"""The weight of the newest distance between two requests in what is expected."""


class Batching(msgspec.Struct, frozen=True, kw_only=True):
    """A batch is closed at so many rows, or when its first request has waited so long. Without a wait it is closed as soon
    as nothing more is there, whatever its size."""

    wait_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    rows: Annotated[int, msgspec.Meta(ge=1)] = 64


AT_ONCE = Batching()
"""That which holds where nothing is said."""


class Arrivals:
    """The usual distance between two requests: what a wait can be expected to bring."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._gap_s = math.inf

    def note(self, now: float) -> None:
        """A request came."""
        gap_s, self._last = now - self._last, now
        self._gap_s = gap_s if self._gap_s == math.inf else self._gap_s + SMOOTHING * (gap_s - self._gap_s)

    def expected(self, now: float, within_s: float) -> bool:
        """Whether another one usually comes in so many seconds.

        >>> arrivals = Arrivals()
        >>> for number in range(100):
        ...     arrivals.note(number * 0.001)
        >>> arrivals.expected(0.0995, 0.002), arrivals.expected(0.0995, 0.0001), arrivals.expected(5.0, 0.002)
        (True, False, False)
        """
        return max(self._gap_s, now - self._last) <= within_s
