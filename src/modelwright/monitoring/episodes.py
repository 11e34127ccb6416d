"""A binned stream that leaves what its reference knows, and comes back: when each began, how sure that is, when it ended.

It leaves by the bets of `stats.edetector`, under its share of the one rate of false alarms. It has come back when the latest
rows have grown a thousand times likelier under the reference than under what they had changed to (the CUSUM of Page,
Biometrika 1954, between the two); then the bets begin anew. Memory does not grow with the stream.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Literal

import numpy as np

from modelwright.stats.bets import HIGHEST, LOWEST, Bet
from modelwright.stats.edetector import EDetector, Watched
from modelwright.stats.predictions import Array

BLOCKS = 500
"""The newest ones, of which a change is described."""
BACK = math.log(1_000)
"""How much likelier, as a logarithm, makes it sure that a stream has come back."""
DOUBT = 20.0
"""Rows' worth of the reference in what is believed of a change: it may have been drawn from few."""

Turn = Literal["raised", "cleared"]


class Episodes:
    """One stream. State: its bets, the newest blocks, and while it is `raised` the evidence that it has come back.

    `counts` [bins] of the reference, `bets` on it, `inflation` of its rows, `share` of all false alarms.
    """

    def __init__(self, counts: Sequence[int], bets: list[Bet], inflation: float, share: float) -> None:
        self._watched = Watched(np.asarray(counts), bets, 1.0, inflation)
        self._share = share
        self._was = (np.asarray(counts) + 0.5) / (sum(counts) + 0.5 * len(counts))
        self._detector = EDetector([self._watched])
        self._blocks: deque[tuple[int, Array]] = deque(maxlen=BLOCKS)
        self._changed = self._was
        self._back = 0.0
        self._back_us = 0
        self.raised = False
        self.since_us = 0
        self.log10 = 0.0

    def add(self, counts: Array, exposure: float, begin_us: int) -> Turn | None:
        """A block of rows [bins] that began then; `exposure`: its share of the time in which one false alarm may happen."""
        self._blocks.append((begin_us, counts))
        if self.raised:
            return self._coming_back(counts, begin_us)
        self._detector.add(counts[None, :], exposure * self._share, begin_us)
        if self._detector.capital < 1.0:
            return None
        (evidence,) = self._detector.evidence()
        self.raised, self.since_us, self.log10 = True, evidence.since, evidence.log10
        self._back = 0.0
        return "raised"

    @property
    def changed(self) -> Array:
        """[bins] the newest rows since the change, or since it ended."""
        return np.asarray(np.sum([counts for begin_us, counts in self._blocks if begin_us >= self.since_us], axis=0))

    def _coming_back(self, counts: Array, begin_us: int) -> Turn | None:
        if self._back <= 0.0:
            now = self.changed - counts + DOUBT * self._was
            self._changed, self._back, self._back_us = now / now.sum(), 0.0, begin_us
        ratio = np.clip(self._was / self._changed, LOWEST, HIGHEST)
        self._back += float(counts @ np.log(ratio)) / max(1.0, self._watched.inflation)
        if self._back < BACK:
            return None
        self.raised, self.since_us = False, self._back_us
        self._detector = EDetector([self._watched])
        return "cleared"
