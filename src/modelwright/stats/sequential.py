"""A paired test that may be looked at after every row: is the challenger not worse than the champion?

Testing by betting (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024):
a gambler bets against "the challenger is worse by more than the margin"; under that hypothesis the wealth is a
supermartingale, so by Ville's inequality it ever reaches 1/alpha with probability at most alpha, no matter when or how
often one looks. A second gambler bets the other way, so that a bad challenger is sent home early.
"""

import math


class PairedTest:
    """Evidence about the mean of d = champion's loss - challenger's loss, d in [-1, 1]; positive favours the challenger.

    `margin`: how much worse is still accepted. `confidence`: 1 - alpha of each verdict.

    >>> test = PairedTest(margin=0.01, confidence=0.9)
    >>> for _ in range(60):
    ...     test.add(0.2)
    >>> test.not_worse, test.worse
    (True, False)
    """

    def __init__(self, margin: float, confidence: float) -> None:
        self.margin = margin
        self.confidence = confidence
        self.pairs = 0
        self._sum = 0.0
        self._squares = 0.25  # one pseudo-observation of a modest variance, so that the first bets are small
        self._log_for = 0.0
        self._log_against = 0.0
        self._needed = -math.log(1 - confidence)

    def add(self, difference: float) -> None:
        """Take in one pair."""
        shifted = min(1.0, max(-1.0, difference)) + self.margin
        # The bet may use only what came before, else the wealth is no martingale.
        mean = self._sum / (self.pairs + 1)
        bet = mean / (self._squares / (self.pairs + 1))
        self._log_for += math.log1p(min(0.5, max(0.0, bet)) * shifted)
        self._log_against += math.log1p(-min(0.5, max(0.0, -bet)) * shifted)
        self.pairs += 1
        self._sum += shifted
        self._squares += shifted * shifted

    @property
    def difference(self) -> float:
        """Mean of the differences so far; 0 before the first."""
        return self._sum / self.pairs - self.margin if self.pairs else 0.0

    @property
    def evidence(self) -> float:
        """The first gambler's wealth (an e-value); a verdict needs 1 / (1 - confidence)."""
        return math.exp(min(self._log_for, 700.0))

    @property
    def evidence_against(self) -> float:
        """The second gambler's wealth."""
        return math.exp(min(self._log_against, 700.0))

    @property
    def not_worse(self) -> bool:
        """Shown: not worse by more than the margin."""
        return self._log_for >= self._needed

    @property
    def worse(self) -> bool:
        """Shown: worse by more than the margin."""
        return self._log_against >= self._needed
