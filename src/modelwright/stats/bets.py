"""Bets that a column has changed: each says how much more likely every bin is under one change than it was before.

A bet is an e-variable: a table of what one row pays, whose mean over rows of the old distribution is at most 1. The old
distribution itself is unknown; all there is of it is a finite reference. So each table is divided by the largest mean it
can have over the distributions that such a reference may come from (`guard`), and what remains is paid by real change.

References: Shafer, "Testing by betting", JRSS A 2021; Grünwald, de Heide, Koolen, "Safe testing", JRSS B 2024. The guard is
the dual form of a chi-square ball (Namkoong and Duchi, NeurIPS 2016): the supremum of a mean over the ball of radius r is
the mean plus r standard deviations.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from modelwright.stats.predictions import Array

HIGHEST, LOWEST = 20.0, 0.05
"""What one row can pay at most and at least: no single outlier decides, and none undoes what was won before."""
SHIFTS = ((0.1, 0.05), (0.3, 0.3), (0.7, 0.1), (1.5, 0.05))
"""Sizes of a shift in standard deviations of a normal score, and the stake on each, up and down alike."""
SCALES = ((0.6, 0.05), (1.6, 0.05))
MISSING = ((0.1, 0.05), (0.6, 0.05))
"""Missing values become so many more of the present ones."""
TOGETHER = (0.3, 0.8)
"""How strongly two columns begin to go together, or against each other."""
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Bet:
    """`ratio` [bins]: what a row in each bin pays, before the guard. `stake`: the share of its column's capital."""

    name: str
    stake: float
    ratio: Array


def bets_on_number(counts: Array) -> list[Bet]:
    """Shifts and changes of scale of the normal score of a value's rank, and missing values. `counts` [bins + 1]."""
    if not counts[:-1].sum():
        return bets_on_missing(counts)
    low, high = normal_cuts(counts)
    middle, inner = (low + high) / 2, counts[:-1] > 0
    low[0], high[-1] = -math.inf, math.inf

    was = _cdf(high) - _cdf(low)

    def bet(name: str, stake: float, now: Array, at_middle: Array) -> Bet:
        ratio = np.where(inner & (was > 0), now / np.where(was > 0, was, 1.0), at_middle)
        return Bet(name, stake, _clipped(np.append(ratio, 1.0)))

    bets = []
    for size, stake in SHIFTS:
        for by in (size, -size):
            density = np.exp(by * middle - by * by / 2)
            bets.append(bet(f"shift {by:+g}", stake, _cdf(high - by) - _cdf(low - by), density))
    for scale, stake in SCALES:
        density = np.exp(middle * middle * (1 - scale**-2) / 2) / scale
        bets.append(bet(f"scale x{scale:g}", stake, _cdf(high / scale) - _cdf(low / scale), density))
    return bets + bets_on_missing(counts)


def normal_cuts(counts: Array) -> tuple[Array, Array]:
    """[bins] and [bins] between which normal scores each bin of a number lies; the outermost end where a reference of this
    size ends. `counts` [bins + 1]."""
    known = counts[:-1].astype(float)
    total = float(known.sum())
    least = 0.5 / (total + 1)
    upto = np.clip(np.concatenate([[0.0], np.cumsum(known) / max(total, 1.0)]), least, 1 - least)
    cuts = np.array([_NORMAL.inv_cdf(share) for share in upto])
    return cuts[:-1].copy(), cuts[1:].copy()


def bets_on_missing(counts: Array) -> list[Bet]:
    """Some of the values that were there are missing, or those that were missing are there."""
    rows = counts.sum()
    share = float(counts[-1] / rows) if rows else 0.0
    changes = [(f"missing +{more:.0%}", stake, share + more * (1 - share)) for more, stake in MISSING]
    if share > 0:
        changes.append(("missing less", 0.05, share / 2))
    return [
        Bet(name, stake, _clipped(_mixed(len(counts), len(counts) - 1, share, now, rows)))
        for name, stake, now in changes
        if now != share
    ]


def bets_on_text(counts: Array) -> list[Bet]:
    """Texts that were rare or never there become common, and missing values; the rest is for bets that learn."""
    rows = counts.sum()
    share = float(counts[-2] / rows) if rows else 0.0
    bets = [
        Bet(f"other texts +{more:.0%}", 0.05, _clipped(_mixed(len(counts), len(counts) - 2, share, now, rows)))
        for more in (0.1, 0.6)
        if (now := share + more * (1 - share)) != share
    ]
    return bets + bets_on_missing(counts)


def bets_on_pair(counts: Array) -> list[Bet]:
    """Two columns go together, or against each other, more than they did; `counts` [groups * groups]."""
    side = math.isqrt(len(counts))
    score = np.array([-1.0, 0.0, 1.0, *[0.0] * (side - 3)])
    product = np.outer(score, score).ravel()
    share = counts / max(1, counts.sum())
    centred = product - share @ product
    return [
        Bet(f"together {by:+g}", 0.1, _clipped(1 + by * centred / max(1.0, float(np.abs(centred).max()))))
        for size in TOGETHER
        for by in (size, -size)
    ]


def guard(ratio: Array, share: Array, radius: Array, rare: Array) -> Array:
    """[..., bins] the tables divided by the largest mean that they may have.

    `ratio` [..., bins]; `share` [..., bins] of the reference; `radius` [...] of the chi-square ball around it; `rare` [...]:
    what share a bin may have that the reference has never met.
    """
    mean = np.sum(share * ratio, axis=-1)
    spread = np.sqrt(np.maximum(np.sum(share * ratio * ratio, axis=-1) - mean * mean, 0.0))
    largest = mean + radius * spread + rare * (ratio.max(axis=-1) - mean)
    return np.asarray(ratio / largest[..., None])


def _mixed(bins: int, place: int, was: float, now: float, rows: float) -> Array:
    """The ratio where one bin's share becomes `now`, and the others shrink alike."""
    least = 0.5 / (rows + 1)
    ratio = np.full(bins, (1 - now) / max(1 - was, least))
    ratio[place] = now / max(was, least)
    return ratio


def _clipped(ratio: Array) -> Array:
    return np.clip(ratio, LOWEST, HIGHEST)


def _cdf(values: Array) -> Array:
    return np.array([_NORMAL.cdf(value) for value in values])
