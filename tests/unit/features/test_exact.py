"""The superaccumulator against fractions: every rounding, sign, subnormal and overflow."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.features.kernel import exact
from modelwright.features.kernel.deviation import deviation
from modelwright.features.kernel.deviation import made as deviation_made
from modelwright.features.kernel.total import made as total_made
from modelwright.features.kernel.total import total

FINITE = st.floats(allow_nan=False, allow_infinity=False)
WIDE = st.one_of(FINITE, st.sampled_from([1e308, -1e308, 5e-324, -5e-324, 2.0**-1022, 1.0, 2.0**53, 1e12, 1e-6]))


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def answer(kernel: object, values: list[float], windows: list[tuple[int, int]]) -> list[float]:
    n = len(values)
    lo, hi = (np.array(ends, np.int64) for ends in zip(*windows, strict=True))
    out = np.empty(len(windows))
    rows = (np.arange(n, dtype=np.int64), np.array(values, np.float64), np.ones(n, np.uint8))
    if kernel is deviation:
        deviation(deviation_made(), *rows, 0, lo, hi, np.zeros(len(lo), np.int64), 0.0, out)
    else:
        total(total_made(), *rows[1:], 0, lo, hi, False, out)
    return list(out.tolist())


@settings(max_examples=max(300, settings.default.max_examples), deadline=None)
@given(st.lists(WIDE, max_size=30))
def test_sums_round_once(values: list[float]) -> None:
    assert exact.sum_of(np.array(values, np.float64)) == rounded(sum(map(Fraction, values), Fraction(0)))


@settings(max_examples=max(200, settings.default.max_examples), deadline=None)
@given(st.integers(0, 2**53), st.integers(-1074, 900), st.booleans(), st.integers(1, 120))
def test_ties_go_to_even(whole: int, power: int, exactly: bool, below: int) -> None:
    """A half unit beside a 53-bit number, alone or with a bit far below it."""
    value = math.ldexp(float(whole), power)
    half = math.ulp(value) / 2
    values = [value, half] + ([] if exactly else [math.ldexp(half, -below)])
    assert exact.sum_of(np.array(values)) == rounded(sum(map(Fraction, values), Fraction(0)))


@settings(max_examples=max(100, settings.default.max_examples), deadline=None)
@given(st.lists(WIDE, min_size=1, max_size=30), st.data())
def test_what_left_the_window_leaves_nothing(values: list[float], data: st.DataObject) -> None:
    n = len(values)
    ends = sorted(data.draw(st.lists(st.integers(0, n), min_size=1, max_size=8)))
    starts = sorted(data.draw(st.integers(0, end)) for end in ends)
    windows = [(min(start, end), end) for start, end in zip(starts, ends, strict=True)]
    windows = [(max(lo for lo, _ in windows[: i + 1]), hi) for i, (_, hi) in enumerate(windows)]
    for kernel in (total, deviation):
        alone = [answer(kernel, values, [window])[0] for window in windows]
        assert repr(answer(kernel, values, windows)) == repr(alone)


def test_deviation_neither_overflows_nor_cancels() -> None:
    for values in ([1e200, -1e200], [3e-200, 1e-200], [1e12, 1e12 + 1e-4], [5e-324, 0.0], [1e308, -1e308, 1e-308]):
        exact_values = [Fraction(value) for value in values]
        mean = sum(exact_values, Fraction(0)) / len(values)
        variance = sum(((value - mean) ** 2 for value in exact_values), Fraction(0)) / (len(values) - 1)
        got = answer(deviation, values, [(0, len(values))])[0]
        if math.isinf(got):
            assert variance > Fraction(1.7e308) ** 2
        else:
            assert abs(Fraction(got) ** 2 - variance) <= variance / 10**15 + Fraction(5e-324) ** 2 * 2


@pytest.mark.slow
def test_deviation_after_a_million_additions_and_evictions() -> None:
    """A window of 50 rows slides over 500,000, with amounts of 1e12 beside 1e-6: each addition and eviction but the last
    must leave nothing behind. Against a deviation in two passes of fractions."""
    random = np.random.default_rng(3)
    values = (random.normal(size=500_000) * 10.0 ** random.integers(-6, 13, 500_000)).tolist()
    windows = [(max(0, end - 50), end) for end in range(2, len(values) + 1)]
    got = answer(deviation, values, windows)
    for place in [*range(0, len(windows), 4_999), len(windows) - 1]:
        lo, hi = windows[place]
        held = [Fraction(value) for value in values[lo:hi]]
        mean = sum(held) / len(held)
        variance = sum((value - mean) ** 2 for value in held) / (len(held) - 1)
        assert abs(Fraction(got[place]) ** 2 - variance) <= variance / 10**15


def test_equal_values_have_no_deviation() -> None:
    assert answer(deviation, [0.1] * 7, [(0, 7)]) == [0.0]


def test_infinities_follow_ieee_and_leave_with_the_window() -> None:
    values = [1.0, math.inf, -math.inf, 2.0, 3.0]
    windows = [(0, 1), (0, 2), (0, 3), (2, 4), (3, 5)]
    assert repr(answer(total, values, windows)) == "[1.0, inf, nan, -inf, 5.0]"
    assert repr(answer(deviation, values, windows)[:4]) == "[nan, nan, nan, nan]"
    assert answer(deviation, values, windows)[4] == math.sqrt(0.5)
