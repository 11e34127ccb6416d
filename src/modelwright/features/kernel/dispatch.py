"""From an operation's number to its kernel and its first state: the one place both hosts go through."""

import numpy as np

from modelwright.features.kernel import decay, deviation, distinct, extreme, frequent, position, quantile, total
from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.count import count
from modelwright.features.kernel.operations import OPERATIONS
from modelwright.features.kernel.state import HEAD

COUNT, RATE, SUM, MEAN, MIN, MAX, STD, LAG, FIRST, SINCE, DISTINCT, RATIO, QUANTILE, FREQUENT, DECAY = range(
    len(OPERATIONS)
)


@compiled
def made(op: int, parameter: float) -> Ints:
    """The state of an aggregate that has seen nothing, at the empty window before the first row."""
    if op in (SUM, MEAN):
        return total.made()
    if op == STD:
        return deviation.made()
    if op in (MIN, MAX):
        return extreme.made()
    if op == LAG:
        return position.made(int(parameter))
    if op == SINCE:
        return position.made(1)
    if op in (DISTINCT, RATIO):
        return distinct.made()
    if op == FREQUENT:
        return frequent.made()
    if op == QUANTILE:
        return quantile.made()
    if op == DECAY:
        return decay.made()
    return np.zeros(HEAD, np.int64)


@compiled
def apply(
    op: int, state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints,
    parameter: float, out: Floats,
) -> Ints:  # fmt: skip
    """Answer requests of one key; at least one. Signature as in the package's docstring, after the operation."""
    if op in (COUNT, RATE):
        return count(state, mask, base, lo, hi, out)
    if op in (SUM, MEAN):
        return total.total(state, values, mask, base, lo, hi, op == MEAN, out)
    if op in (MIN, MAX):
        return extreme.extreme(state, values, mask, base, lo, hi, -1.0 if op == MIN else 1.0, parameter > 0.0, out)
    if op == STD:
        return deviation.deviation(state, times, values, mask, base, lo, hi, at, parameter, out)
    if op == LAG:
        return position.lag(state, times, values, mask, base, lo, hi, at, parameter, out)
    if op == FIRST:
        return position.first(state, times, values, mask, base, lo, hi, at, parameter, out)
    if op == SINCE:
        return position.since(state, times, values, mask, base, lo, hi, at, parameter, out)
    if op in (DISTINCT, RATIO):
        return distinct.distinct(state, values, mask, base, lo, hi, op == RATIO, out)
    if op == QUANTILE:
        return quantile.quantile(state, times, values, mask, base, lo, hi, at, parameter, out)
    if op == FREQUENT:
        return frequent.most_frequent(state, times, values, mask, base, lo, hi, at, parameter, out)
    return decay.decayed_mean(state, times, values, mask, base, lo, hi, at, parameter, out)


@compiled
def take_from(own: Floats, out: Floats) -> None:
    """Turn each answer into the request's own value less it; NaN where either is missing."""
    for r in range(len(out)):
        difference = own[r] - out[r]
        out[r] = np.nan if np.isnan(difference) else difference
