"""How long a release takes to answer, against a declared bound: the guard that serving looks at itself.

A test by betting on each call of the model: that more than one in a hundred is slower than the bound. Its capital never
falls below one, so that a release which becomes slow after a good month is noticed as soon as a new one (an e-detector: Shin,
Ramdas and Rinaldo, "E-detectors", 2023). Knows neither the journal nor what follows from it.
"""

import math
from collections import deque
from collections.abc import Callable

import msgspec

ALLOWED, EXPECTED = 0.01, 0.03
"""Shares of slow calls: what the declared quantile allows, and what is bet on."""
NEEDED = math.log(1e9)
"""Capital of an alarm: at the allowed share there is one in so many calls, on average, or fewer."""
KEPT = 1_000
"""Latest calls that the measured quantile is of."""
_SLOW = math.log(EXPECTED / ALLOWED)
_FAST = math.log((1 - EXPECTED) / (1 - ALLOWED))


class Slow(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of the latest calls, in milliseconds."""

    calls: int
    slow: int
    p99_ms: float
    bound_ms: float


class SlownessGuard:
    """Watches every release's calls; one thread. `on_slow(release, measured)` is told once a release.

    >>> told = []
    >>> guard = SlownessGuard(0.020, lambda release, slow: told.append((release, slow.slow)))
    >>> for _ in range(50):
    ...     guard.took("r1", 0.005)
    ...     guard.took("r2", 0.030)
    >>> told
    [('r2', 19)]
    """

    def __init__(self, bound_s: float, on_slow: Callable[[str, Slow], None]) -> None:
        self._bound_s = bound_s
        self._on_slow = on_slow
        self._capital: dict[str, float] = {}
        self._latest: dict[str, deque[float]] = {}

    def took(self, release: str, seconds: float) -> None:
        """One call of a release's model took so long."""
        before = self._capital.get(release, 0.0)
        if before == math.inf:  # told already
            return
        latest = self._latest.setdefault(release, deque(maxlen=KEPT))
        latest.append(seconds)
        capital = self._capital[release] = max(0.0, before + (_SLOW if seconds > self._bound_s else _FAST))
        if capital >= NEEDED:
            self._capital[release] = math.inf
            self._on_slow(release, self._measured(latest))

    def _measured(self, latest: deque[float]) -> Slow:
        in_order = sorted(latest)
        return Slow(
            calls=len(in_order),
            slow=sum(1 for one in in_order if one > self._bound_s),
            p99_ms=round(in_order[math.ceil(0.99 * len(in_order)) - 1] * 1000, 3),
            bound_ms=round(self._bound_s * 1000, 3),
        )

    def keep(self, releases: set[str]) -> None:
        """Forget those that are no longer loaded: loaded again, they begin anew."""
        self._capital = {name: capital for name, capital in self._capital.items() if name in releases}
        self._latest = {name: latest for name, latest in self._latest.items() if name in releases}
