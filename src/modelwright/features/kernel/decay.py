"""`ewm`: the mean with weights 2**(-(t - at) / half_life), exact but for the rounding of each weight.

The weighted mean does not depend on where weights are counted from, so they are counted from a grid of half-lives that
starts at the epoch: a row at `at` weighs `2**(at / half_life)`, a whole number of half-lives and a fraction. The
fraction's power, rounded to 53 bits, is a function of the row's instant alone; the product with the value is exact and
goes into a superaccumulator at the place that the whole part says. So weighted values and weights are added and taken
away without a trace, and the order does not matter.

No accumulator reaches back for ever: half-lives are counted in blocks of 64, and only the block of the newest value of
the window and the block before it count. What is passed over weighs less than 2**-63 of the newest value. Each weight is
within 4e-16 of its true value, relatively; with the roundings when read, the answer is within `1e-15 sum |x|` of the true
weighted mean.

State: the head, then weighted values and weights of the older block, then of the newer one.
"""

import math
from typing import Final

import numpy as np

from modelwright.features.kernel import exact
from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.state import HEAD, LEFT, RIGHT, far

U = np.uint64
VALUE_CHUNKS = 76
WEIGHT_CHUNKS = 8
"""A product of two mantissas and 64 places is 2,216 bits, a weight 117; room above both for 2**31 rows and a block."""

NEWEST, ABOVE, BELOW, OLD_ABOVE, OLD_BELOW = 2, 3, 4, 5, 6
LONG_AGO: Final = -(2**62)
PART = VALUE_CHUNKS + 2 + WEIGHT_CHUNKS + 2
LN2 = 0.6931471805599453
SQRT2 = 1.4142135623730951


@compiled
def made() -> Ints:
    """A state that has seen nothing."""
    state = np.zeros(HEAD + 2 * PART, np.int64)
    state[NEWEST] = LONG_AGO
    for part in range(2):
        start = HEAD + part * PART
        state[start : start + VALUE_CHUNKS + 2] = exact.accumulator(VALUE_CHUNKS)
        state[start + VALUE_CHUNKS + 2 : start + PART] = exact.accumulator(WEIGHT_CHUNKS)
    return state


@compiled
def power_of_two(fraction: float) -> float:
    """`2**fraction` for 0 <= fraction < 1, from additions and multiplications alone: the same bits on every machine."""
    z = (fraction - 0.5) * LN2
    power = 1.0
    for i in range(15, 0, -1):
        power = 1.0 + power * z / i
    return min(max(power * SQRT2, 1.0), 2.0 - 2.0**-52)


@compiled
def _clear(state: Ints, part: int) -> None:
    start = HEAD + part * PART
    exact.clear(state[start : start + VALUE_CHUNKS + 2])
    exact.clear(state[start + VALUE_CHUNKS + 2 : start + PART])


@compiled
def _begin(state: Ints, block: int) -> None:
    """Let a newer block be the newest."""
    if block == state[NEWEST] + 1:
        state[HEAD : HEAD + PART] = state[HEAD + PART :]
        state[OLD_ABOVE], state[OLD_BELOW] = state[ABOVE], state[BELOW]
    else:
        _clear(state, 0)
        state[OLD_ABOVE] = state[OLD_BELOW] = 0
    _clear(state, 1)
    state[ABOVE] = state[BELOW] = 0
    state[NEWEST] = block


@compiled
def _is_empty(state: Ints, part: int) -> bool:
    """Whether a block, 0 the older and 1 the newer, holds no value."""
    digits = np.empty(WEIGHT_CHUNKS + 2, np.int64)
    start = HEAD + part * PART
    finite = exact.normalise(state[start + VALUE_CHUNKS + 2 : start + PART], digits)[2] != 0
    infinite = state[ABOVE] + state[BELOW] if part == 1 else state[OLD_ABOVE] + state[OLD_BELOW]
    return not finite and infinite == 0


@compiled
def _put(state: Ints, part: int, bits: int, weight: np.uint64, position: int, sign: int) -> None:
    """Add or take away the exact product of a finite double with a weight, and the weight."""
    start = HEAD + part * PART
    cells = state[start : start + VALUE_CHUNKS + 2]
    mantissa, place, own = exact.mantissa_of(bits)
    low = U((1 << 27) - 1)
    a, b = mantissa >> U(27), mantissa & low
    c, d = weight >> U(27), weight & low
    exact.add_bits(cells, b * d, place + position, own * sign)
    exact.add_bits(cells, a * d + b * c, place + position + 27, own * sign)
    exact.add_bits(cells, a * c, place + position + 54, own * sign)
    exact.add_bits(state[start + VALUE_CHUNKS + 2 : start + PART], weight, position, sign)


@compiled
def _move(state: Ints, at: int, bits: int, value: float, half_life: int, sign: int) -> None:
    """Add or take away one row."""
    halves = at // half_life
    block = halves >> 6
    if block > state[NEWEST] or (sign > 0 and block < state[NEWEST] and _is_empty(state, 0) and _is_empty(state, 1)):
        _begin(state, block)
    if block < state[NEWEST] - 1:
        return
    old = block < state[NEWEST]
    if math.isinf(value):
        state[(OLD_ABOVE if old else ABOVE) if value > 0 else (OLD_BELOW if old else BELOW)] += sign
        return
    weight = power_of_two((at - halves * half_life) / half_life)
    _put(state, 0 if old else 1, bits, U(weight * 4503599627370496.0), halves & 63, sign)


@compiled
def _joined(old: Ints, new: Ints, sum: Ints) -> None:
    """Write the sum of two blocks' accumulators, in units of the older one: 64 places are two chunks."""
    exact.clear(sum)
    end, place = len(sum), len(old)
    for i in range(old[place - 2], old[place - 1] + 1):
        sum[i] += old[i]
    for i in range(new[place - 2], new[place - 1] + 1):
        sum[i + 2] += new[i]
    sum[end - 2] = min(old[place - 2], new[place - 2] + 2)
    sum[end - 1] = max(old[place - 1], new[place - 1] + 2 if new[place - 1] >= 0 else -1)


@compiled
def _read(state: Ints, sum: Ints, weights: Ints, digits: Ints) -> float:
    above, below = state[ABOVE] + state[OLD_ABOVE], state[BELOW] + state[OLD_BELOW]
    if above > 0 or below > 0:
        return math.nan if above > 0 and below > 0 else math.inf if above > 0 else -math.inf
    split = HEAD + VALUE_CHUNKS + 2
    _joined(state[split : HEAD + PART], state[split + PART :], weights)
    first, top, sign = exact.normalise(weights, digits)
    if sign == 0:
        return math.nan
    weight, weight_position = exact.round_digits(digits, first, top)
    _joined(state[HEAD:split], state[HEAD + PART : split + PART], sum)
    first, top, sign = exact.normalise(sum, digits)
    if sign == 0:
        return 0.0
    whole, position = exact.round_digits(digits, first, top)
    return sign * math.ldexp(whole / weight, position - weight_position - exact.SMALLEST)


@compiled
def decayed_mean(
    state: Ints, times: Ints, values: Floats, mask: Marks, base: int, lo: Ints, hi: Ints, at: Ints, parameter: float,
    out: Floats,
) -> Ints:  # fmt: skip
    """The decayed mean with a half-life of `parameter` microseconds; NaN for none."""
    sum = exact.accumulator(VALUE_CHUNKS + 3)
    weights = exact.accumulator(WEIGHT_CHUNKS + 3)
    digits = np.empty(VALUE_CHUNKS + 6, np.int64)
    bits = values.view(np.int64)
    half_life = int(parameter)
    left, right = state[LEFT], state[RIGHT]
    for r in range(len(lo)):
        if hi[r] < right and right - hi[r] + abs(left - lo[r]) < hi[r] - lo[r]:
            while right > hi[r]:
                right -= 1
                if mask[right - base] and not math.isnan(values[right - base]):
                    _move(state, times[right - base], bits[right - base], values[right - base], half_life, -1)
            if _is_empty(state, 1):
                right = -1  # the block before the older one is wanted, and gone
            while right >= 0 and left > lo[r]:
                left -= 1
                if mask[left - base] and not math.isnan(values[left - base]):
                    _move(state, times[left - base], bits[left - base], values[left - base], half_life, 1)
        if lo[r] < left or hi[r] < right or far(left, right, lo[r], hi[r]):
            _clear(state, 0)
            _clear(state, 1)
            state[NEWEST] = LONG_AGO
            state[ABOVE] = state[BELOW] = state[OLD_ABOVE] = state[OLD_BELOW] = 0
            left = right = lo[r]
        while left < lo[r] or right < hi[r]:
            entering = right < hi[r]
            i = right if entering else left
            if entering:
                right += 1
            else:
                left += 1
            if mask[i - base] and not math.isnan(values[i - base]):
                _move(state, times[i - base], bits[i - base], values[i - base], half_life, 1 if entering else -1)
        out[r] = _read(state, sum, weights, digits)
    state[LEFT], state[RIGHT] = left, right
    return state
