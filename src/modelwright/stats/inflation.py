"""How much less a row says where rows resemble those before them: the variance inflation of batch means.

Seasons, and values that change slowly, make consecutive rows alike; the mean of so many of them then varies more than
that of independent rows. The factor by which it does (Fishman's batch means; the design effect of Rao and Scott, JASA
1981, for counts) divides all evidence. It is found over batches of every size up to a quarter of the reference, so
what varies over longer times than that, such as a year's seasons in a month's reference, is not known to be usual.
"""

import numpy as np

from modelwright.stats.bets import normal_cuts
from modelwright.stats.predictions import Array

FINEST = 4
"""Rows of the smallest batch."""
MOST = 65_536
"""Batches, beyond which the smallest has more rows: so fine ones of so many rows say little that the larger ones don't."""
FEWEST = 4
"""Batches that say something about their variance."""
AT_ONCE = 1_024
"""Batches that are added up together: their counts fit a core's cache, and are too few for BLAS to share out among threads, which
costs more here than it gains."""
BEYOND_CHANCE = 4.0
"""Standard errors by which the variance must exceed that of independent rows to count."""


def inflation(codes: Array, scores: Array) -> float:
    """At least 1: the largest inflation of any score over any size of batch that is beyond chance.

    `codes` [n]: bins of consecutive rows. `scores` [bins, k]: what each bin is worth; a score that is constant says nothing.

    >>> slow = np.repeat(np.random.default_rng(1).integers(0, 2, 500), 20)
    >>> 10 < inflation(slow, np.eye(2)) < 30
    True
    >>> inflation(np.random.default_rng(1).integers(0, 2, 10_000), np.eye(2))
    1.0
    """
    size = FINEST
    while len(codes) > size * MOST:
        size *= 2
    batches = len(codes) // size
    if batches < FEWEST:
        return 1.0
    kept = codes[: batches * size]
    bins = len(scores)
    share = np.bincount(kept, minlength=bins) / len(kept)
    variance = share @ scores**2 - (share @ scores) ** 2
    varies = variance > 1e-12
    if not varies.any():
        return 1.0
    scores, variance = scores[:, varies], variance[varies]
    centred = scores - share @ scores
    heaviness = share @ centred**4 / variance**2
    sums = _sums_of_batches(kept, size, centred)
    found = 1.0
    while len(sums) >= FEWEST:
        factors = np.einsum("ij,ij->j", sums, sums) / (len(sums) * size * variance)
        # As chi-square's quantile (Wilson and Hilferty); a sum of rare values has a wider error than a normal one.
        error = (2 + heaviness / size) / (9 * len(sums))
        chance = (1 - error + BEYOND_CHANCE * np.sqrt(error)) ** 3
        # The largest of many estimates is too large, the more so the fewer batches made it: half an error is taken off.
        likely = factors * (1 - error - np.sqrt(error) / 2) ** 3
        found = max(found, float(np.max(np.where(factors > chance, likely, 1.0))))
        even = len(sums) // 2 * 2
        sums, size = sums[:even:2] + sums[1:even:2], 2 * size
    return found


def _sums_of_batches(codes: Array, size: int, scores: Array) -> Array:
    """[batches, k] what the rows of each batch of `size` are worth together. `codes` [batches * size], `scores` [bins, k]."""
    bins = len(scores)
    cells = np.repeat(np.arange(AT_ONCE) * bins, size)
    sums = np.empty((len(codes) // size, scores.shape[1]))
    for begin in range(0, len(sums), AT_ONCE):
        rows = codes[begin * size : (begin + AT_ONCE) * size]
        batches = len(rows) // size
        counts = np.bincount(cells[: len(rows)] + rows, minlength=batches * bins).reshape(batches, bins)
        sums[begin : begin + batches] = counts @ scores
    return sums


def scores_of_number(counts: Array) -> Array:
    """[bins + 1, 3] what a number's bins are worth to `inflation`: where, how far out, and missing."""
    low, high = normal_cuts(counts)
    middle = np.append((low + high) / 2, 0.0)
    missing = np.zeros(len(counts))
    missing[-1] = 1.0
    return np.column_stack([middle, middle**2, missing])
