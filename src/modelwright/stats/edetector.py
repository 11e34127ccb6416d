"""Change of any of many binned columns, noticed under one rate of false alarms however often and however long one looks.

Every bet (`stats.bets`) on every column is a Shiryaev-Roberts e-detector (Shin, Ramdas, Rinaldo, "E-detectors: a
nonparametric framework for sequential change detection", New England J. Statistics in Data Science 2024): capital is put
in all the time, as much as that time is a share of the period in which one false alarm may happen, and each row
multiplies what is there. While nothing changes, capital never grows by more than was put in; so the mean time until it
reaches 1 is at least the period, whatever is looked at when. A weighted mean of e-detectors is one too, whatever depends
on what: bets are staked, and columns weighted by what hangs on them, once and for all of them together.

Besides fixed bets each column has bets that learn: on the latest rows' own distribution, forgotten over `MEMORIES` rows.
A bet rests on earlier rows only, else it were no bet.

Assumed: while nothing changes, rows are independent draws from the distribution that the reference was drawn from. The
reference's own error is allowed for: bets that learn are held to every distribution that it may come from (but for one
reference in 1 / `MISLED`), fixed bets pay for it row by row (`UNSURE`, a normal approximation), so that the rate is one over
references and rows together. Where consecutive rows are alike, the evidence of a row is divided by the column's inflation,
and the rate is that of the normal approximation over so many rows. The smallest bet on a shift is on 0.1 standard
deviations, so that shifts under half of that, which no stream is free of, gain nothing however long they last.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from modelwright.stats.bets import HIGHEST, LOWEST, Bet, guard
from modelwright.stats.predictions import Array

MEMORIES = (150.0, 1_000.0)
"""Half-lives, in rows, of the bets that learn."""
LEARNING = 0.25
"""Of a column's stakes, what is on bets that learn."""
LEARNT = 0.7
"""What a bet that learns believes of the latest rows; the rest of its belief stays with the reference."""
REFRESHED = 200
"""Rows after which a bet that learns has learnt anew."""
MOST, MOST_A_BLOCK = 1e150, 300.0
"""Capital and the logarithm of one block's gain are cut off here, far beyond any alarm, so that nothing overflows."""
UNSURE = 25.0
"""What a row costs a fixed bet, divided by the rows of the reference. The reference's own error makes some bets too good and
others too bad: a bet that grows by s a row against a normal error reaches e^x with chance e^(-x) times
e^(2 x^2 / (s^2 n)) over references of n rows, and e^(-x) again where each row costs x / n. 25 is beyond what any alarm needs."""
MISLED = 0.01
"""The share of references that are further than allowed for from where they were drawn, as bets that learn may find out."""


@dataclass(frozen=True)
class Watched:
    """One column, or pair, or score, that is watched: `counts` [bins] of its reference, what bets there are, the weight of its
    capital among all, and the inflation of its rows."""

    counts: Array
    bets: Sequence[Bet]
    weight: float
    inflation: float = 1.0


@dataclass(frozen=True)
class Evidence:
    """Of one watched column: `capital` of its own bets in units of what an alarm needs were it alone watched; `bet` that won
    most since `since` (as given to `add`), and the logarithm of how much, base 10."""

    capital: float
    bet: str
    since: int
    log10: float


class EDetector:
    """State: each bet's capital, the latest rows' counts for bets that learn, and since when each bet wins.

    Of constant size: [columns, bets] and [memories, columns, bins] floats.
    """

    def __init__(self, watched: Sequence[Watched]) -> None:
        columns, bins = len(watched), max((len(one.counts) for one in watched), default=1)
        fixed = max((len(one.bets) for one in watched), default=0)
        self._names = [
            [*(bet.name for bet in one.bets), *[""] * (fixed - len(one.bets)), *("other values",) * len(MEMORIES)]
            for one in watched
        ]
        counts, ratio = np.zeros((columns, bins)), np.ones((columns, fixed, bins))
        stakes = np.zeros((columns, fixed + len(MEMORIES)))
        for place, one in enumerate(watched):
            counts[place, : len(one.counts)] = one.counts
            staked = sum(bet.stake for bet in one.bets)
            learning = LEARNING if staked else 1.0
            stakes[place, fixed:] = learning / len(MEMORIES)
            for number, bet in enumerate(one.bets):
                ratio[place, number, : len(bet.ratio)] = bet.ratio
                stakes[place, number] = (1 - learning) * bet.stake / staked
        weights = np.array([max(0.0, one.weight) for one in watched])
        self._stakes = stakes
        self._weights = weights / max(float(weights.sum()), 1e-300)
        self._per_row = 1 / np.array([max(1.0, one.inflation) for one in watched]).reshape(columns, 1)
        rows = np.maximum(counts.sum(axis=1) * self._per_row[:, 0], 1.0)
        used = np.array([len(one.counts) for one in watched])
        sure = NormalDist().inv_cdf(1 - MISLED / max(1, columns * (fixed + 1)))
        self._share = counts / np.maximum(counts.sum(axis=1), 1.0)[:, None]
        self._rare = sure * sure / 2 / rows
        self._radius = np.sqrt(_chi_square(used - 1.0, sure) / rows)
        none = np.zeros((columns, 1))
        fixed_pays = (
            np.log(guard(ratio, self._share[:, None], none, self._rare[:, None])) - UNSURE / rows[:, None, None]
        )
        self._least = np.maximum(self._share, self._rare[:, None])
        self._prior = np.array(MEMORIES)[:, None, None] / 4 * self._share
        self._memory = np.zeros((len(MEMORIES), columns, bins))
        self._fresh = np.zeros((columns, bins))
        self._fixed = fixed
        self._pays = np.zeros((columns, bins, fixed + len(MEMORIES)))
        self._pays[:, :, :fixed] = fixed_pays.transpose(0, 2, 1)
        self._learn()
        self._capital = np.zeros((columns, fixed + len(MEMORIES)))
        self._won = np.zeros((columns, fixed + len(MEMORIES)))
        self._since = np.zeros((columns, fixed + len(MEMORIES)), dtype=np.int64)

    def add(self, counts: Array, exposure: float, at: int) -> None:
        """A block of rows: `counts` [columns, bins]; `exposure`, its share of the period in which one false alarm may happen;
        `at`, when it began, in any unit. Blocks end where rows are so many, or at set times: not where their values say."""
        rows = counts.astype(np.float64)
        gain = np.matmul(rows[:, None, :], self._pays)[:, 0, :] * self._per_row
        np.clip(gain, -MOST_A_BLOCK, MOST_A_BLOCK, out=gain)
        self._capital += exposure
        self._capital *= np.exp(gain)
        np.minimum(self._capital, MOST, out=self._capital)
        begins = self._won <= 0
        self._since[begins] = at
        self._won[begins] = 0.0
        self._won += gain
        self._fresh += rows
        if self._fresh[:1].sum() >= REFRESHED:
            self._learn()

    @property
    def capital(self) -> float:
        """Of all bets on all columns that still count; an alarm is due at 1."""
        return float(self._weights @ self._of_columns())

    def raise_alarm(self) -> list[int]:
        """The columns that make the capital reach 1, those with the most evidence first; none where it does not. They count
        no more from then on: the same change alarms once."""
        if self.capital < 1.0:
            return []
        own = self._of_columns()
        first = int(np.argmax(self._weights * own))
        raised = np.flatnonzero((self._weights > 0) & (own >= 1.0)).tolist()
        raised = sorted({first, *raised}, key=lambda place: (-own[place], place))
        self.silence(raised)
        return raised

    def silence(self, places: Sequence[int]) -> None:
        """What these columns say counts no more."""
        self._weights[list(places)] = 0.0

    def evidence(self) -> list[Evidence]:
        """Of each column."""
        own = self._of_columns()
        best = np.argmax(np.where(self._stakes > 0, self._won, -np.inf), axis=1)
        return [
            Evidence(
                capital=float(own[place]),
                bet=self._names[place][bet],
                since=int(self._since[place, bet]),
                log10=max(0.0, float(self._won[place, bet])) / math.log(10),
            )
            for place, bet in enumerate(best.tolist())
        ]

    def _of_columns(self) -> Array:
        """[columns] each column's capital, were it alone watched."""
        return np.asarray((self._stakes * self._capital).sum(axis=1))

    def _learn(self) -> None:
        """Stake what learns on the latest rows going on."""
        fading = 0.5 ** (self._fresh[:1].sum() / np.array(MEMORIES))
        self._memory = self._memory * fading[:, None, None] + self._fresh
        self._fresh = np.zeros_like(self._fresh)
        seen = self._memory + self._prior
        latest = seen / np.maximum(seen.sum(axis=2, keepdims=True), 1e-300)
        ratio = np.clip(1 - LEARNT + LEARNT * latest / self._least, LOWEST, HIGHEST)
        guarded = guard(ratio, self._share, self._radius, self._rare)
        self._pays[:, :, self._fixed :] = np.log(guarded).transpose(1, 2, 0)


def _chi_square(freedom: Array, sure: float) -> Array:
    """Quantile of the chi-square distribution where the normal one has its quantile `sure` (Wilson and Hilferty 1931)."""
    freedom = np.maximum(freedom, 1.0)
    return np.asarray(freedom * (1 - 2 / (9 * freedom) + sure * np.sqrt(2 / (9 * freedom))) ** 3)
