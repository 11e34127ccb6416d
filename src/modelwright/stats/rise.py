"""Have losses risen above what they were, whenever that began? A test that may be looked at after every row.

The gamblers of `stats.sequential` bet that the mean is above a bound (Waudby-Smith and Ramdas, "Estimating means of bounded
random variables by betting", JRSS B 2024). What was good for long would hide a rise from one who has bet since the beginning, so
another begins with every so many rows, each with a share of the stakes, 1/2, 1/6, 1/12 and so on. A mean of e-processes that
begin at set times is one too (Shin, Ramdas, Rinaldo, "E-detectors", New England J. Statistics in Data Science 2024), and the
shares sum to 1: by Ville's inequality their wealth ever reaches 1/alpha with probability at most alpha, where nothing has risen.
"""

import math
from statistics import NormalDist

from modelwright.stats.sequential import PairedTest

LONGEST = 10
"""A gambler bets on so many times the rows after which the next one begins; then his wealth counts no more, which only makes
the test slower."""


class RiseTest:
    """Evidence that the mean of losses is above a reference's by more than `drop`.

    `mean`, `variance` and `reference_rows` are the reference's: half of what may go wrong is that it was better than the truth by
    chance (a normal approximation), the other half that the gamblers are lucky. `rows`: after so many another gambler begins;
    nothing is shown before. `most`: what a loss differs from the reference by at most; the rest of it counts no more.

    Assumed: each loss, as those before it let it be expected, is at most the bound where nothing has risen.

    >>> test = RiseTest(mean=0.2, variance=0.16, reference_rows=400, drop=0.1, rows=60)
    >>> for _ in range(60):
    ...     test.add(1.0)
    >>> mean, rows = test.latest
    >>> test.shown, round(mean, 6), rows
    (True, 1.0, 60)
    """

    def __init__(
        self, *, mean: float, variance: float, reference_rows: int, drop: float, rows: int, most: float = 1.0,
        confidence: float = 0.999,
    ) -> None:  # fmt: skip
        half = (1 - confidence) / 2
        error = NormalDist().inv_cdf(1 - half) * math.sqrt(variance / reference_rows)
        self.mean = mean
        self.count = 0
        self._rows = rows
        self._most = most
        self._margin = (drop + error) / most
        self._needed = 1 / half
        self._gamblers: list[tuple[float, PairedTest]] = []

    def add(self, loss: float) -> None:
        """Take in one row's loss."""
        number, place = divmod(self.count, self._rows)
        self.count += 1
        if self._margin >= 1:  # no loss is so large
            return
        if place == 0:
            self._gamblers.append((1 / ((number + 1) * (number + 2)), PairedTest(self._margin, 0.5)))
            del self._gamblers[:-LONGEST]
        for _, gambler in self._gamblers:
            gambler.add((self.mean - loss) / self._most)

    @property
    def evidence(self) -> float:
        """The gamblers' wealth (an e-value)."""
        return sum(stake * gambler.evidence_against for stake, gambler in self._gamblers)

    @property
    def shown(self) -> bool:
        """Shown: risen by more than `drop`."""
        return self.count >= self._rows and self.evidence >= self._needed

    @property
    def latest(self) -> tuple[float, int]:
        """The mean loss over the rows of the gambler who has won most, and how many these are."""
        _, best = max(self._gamblers, key=lambda one: one[0] * one[1].evidence_against)
        return self.mean - best.difference * self._most, best.pairs
