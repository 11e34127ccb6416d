"""`count`, `rate`, `sum`, `mean` and `std` over several windows of whole keys: exact running totals, and differences of two.

The offline host's way for a column whose values lie within 2**`SPREAD` of each other, as most do: then a total is a
whole number of 128 bits of the column's smallest unit, a total of squares one of 256, and what a window holds is the
total before its end less the total before its start, exactly. A row costs the same however many windows read it. The
number is then rounded as `exact` rounds its own, so the answers are those of the sliding sums to the last bit.
"""

import math
from typing import Final

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, Words, compiled
from modelwright.features.kernel.dispatch import STD, SUM
from modelwright.features.kernel.exact import LOW32, SMALLEST, U, mantissa_of, nearest, root

SPREAD: Final = 50
"""Binary orders between a column's values: 53 + 50 bits, and room for 2**24 rows in 127."""
MOST_ROWS: Final = 2**24
WORDS: Final = 8
"""A total: how many values, two words of their sum, four of their squares; a cache line."""
ONE, ZERO, WORD = U(1), U(0), U(64)


@compiled
def lowest_unit(values: Floats) -> int:
    """The position of the column's smallest unit, as `exact` counts them; -1 where the totals would not hold it."""
    lowest, highest = 1 << 20, -1
    for value in values.view(np.int64):
        exponent = (value >> 52) & 0x7FF
        if exponent == 0x7FF:
            if (U(value) << U(12)) == ZERO:
                return -1  # infinite
            continue
        mantissa, position, _ = mantissa_of(value)
        if mantissa != ZERO:
            lowest, highest = min(lowest, position), max(highest, position)
    if highest - lowest > SPREAD:
        return -1
    return max(0, min(lowest, highest))


@compiled
def _product(one: np.uint64, other: np.uint64) -> tuple[np.uint64, np.uint64]:
    """(high, low) words of a product."""
    a, b, c, d = one >> U(32), one & LOW32, other >> U(32), other & LOW32
    low, first, second = b * d, a * d, b * c
    middle = (low >> U(32)) + (first & LOW32) + (second & LOW32)
    return a * c + (first >> U(32)) + (second >> U(32)) + (middle >> U(32)), (middle << U(32)) | (low & LOW32)


@compiled
def _accumulate(bits: Ints, mask: Marks, unit: int, squared: bool, totals: Words) -> None:
    """Totals before each row and after the last."""
    n = s = t = a = b = c = d = ZERO
    for i in range(len(mask) + 1):
        totals[i, 0], totals[i, 1], totals[i, 2] = n, s, t
        if squared:
            totals[i, 3], totals[i, 4], totals[i, 5], totals[i, 6] = a, b, c, d
        if i == len(mask):
            break
        value = bits[i]
        if not mask[i] or (value & 0x7FFFFFFFFFFFFFFF) > 0x7FF0000000000000:
            continue
        n += ONE
        mantissa, position, sign = mantissa_of(value)
        if mantissa == ZERO:
            continue
        shift = U(position - unit)
        low, high = mantissa << shift, (mantissa >> ONE) >> (U(63) - shift)
        if sign > 0:
            s += low
            t += high + (ONE if s < low else ZERO)
        else:
            t -= high + (ONE if s < low else ZERO)
            s -= low
        if squared:
            high, low = _product(mantissa, mantissa)
            shift += shift
            skip = shift >= WORD
            shift &= U(63)
            back = U(63) - shift
            w0 = low << shift
            w1 = (high << shift) | ((low >> ONE) >> back)
            w2 = (high >> ONE) >> back
            if not skip:
                a += w0
                carry = ONE if a < w0 else ZERO
                b += carry
                carry = ONE if b < carry else ZERO
                b += w1
                carry += ONE if b < w1 else ZERO
                c += carry
                carry = ONE if c < carry else ZERO
                c += w2
                d += carry + (ONE if c < w2 else ZERO)
            else:
                b += w0
                carry = ONE if b < w0 else ZERO
                c += carry
                carry = ONE if c < carry else ZERO
                c += w1
                carry += ONE if c < w1 else ZERO
                d += carry + w2


@compiled
def _magnitude(low: np.uint64, high: np.uint64) -> tuple[np.uint64, np.uint64, float]:
    """(low, high, sign) of a number of two words in two's complement."""
    if high >> U(63):
        low = ~low + ONE
        return low, ~high + (ONE if low == ZERO else ZERO), -1.0
    return low, high, 1.0


@compiled
def _rounded(words: Words) -> tuple[float, int]:
    """The 53-bit whole number and the power of two nearest to a magnitude, (0, 0) for none."""
    top = len(words) - 1
    while top >= 0 and words[top] == ZERO:
        top -= 1
    if top < 0:
        return 0.0, 0
    rest = words[top]
    length = 0
    while rest != ZERO:  # written so, it compiles to one instruction
        rest >>= ONE
        length += 1
    second = words[top - 1] if top > 0 else ZERO
    shift = U(64 - length)
    beyond = (second << shift) != ZERO
    for i in range(top - 1):
        beyond |= words[i] != ZERO
    return nearest((words[top] << shift) | ((second >> ONE) >> (U(63) - shift)), beyond), 64 * top + length - 53


@compiled
def _sum(before: Words, after: Words, unit: int, words: Words) -> float:
    low = after[1] - before[1]
    high = after[2] - before[2] - (ONE if after[1] < before[1] else ZERO)
    low, high, sign = _magnitude(low, high)
    words[0], words[1] = low, high
    whole, position = _rounded(words[:2])
    return sign * math.ldexp(whole, position + unit - SMALLEST) if whole > 0.0 else 0.0


@compiled
def _deviation(before: Words, after: Words, n: int, unit: int, words: Words) -> float:
    """The sample standard deviation of n > 1 values, from n S2 - S1**2 formed exactly."""
    low = after[1] - before[1]
    high = after[2] - before[2] - (ONE if after[1] < before[1] else ZERO)
    low, high, _ = _magnitude(low, high)
    borrow = carry = ZERO
    for i in range(4):  # n S2
        square = after[3 + i] - before[3 + i]
        less = ONE if after[3 + i] < before[3 + i] else ZERO
        less += ONE if square < borrow else ZERO
        square -= borrow
        borrow = less
        above, word = _product(square, U(n))
        word += carry
        carry = above + (ONE if word < carry else ZERO)
        words[i] = word
    words[4] = carry
    above, word = _product(low, low)
    borrow = _take(words, 0, word, ZERO)
    borrow = _take(words, 1, above, borrow)
    above, word = _product(high, high)
    borrow = _take(words, 2, word, borrow)
    borrow = _take(words, 3, above, borrow)
    words[4] -= borrow
    above, word = _product(low, high)
    borrow = _take(words, 1, word << ONE, ZERO)
    borrow = _take(words, 2, (above << ONE) | (word >> U(63)), borrow)
    borrow = _take(words, 3, above >> U(63), borrow)
    words[4] -= borrow
    whole, position = _rounded(words)
    return root(whole, position + 2 * unit - 2 * SMALLEST, n) if whole > 0.0 else 0.0


@compiled
def _take(words: Words, i: int, less: np.uint64, borrow: np.uint64) -> np.uint64:
    """Take a word and a borrow from one of the words; the new borrow."""
    had = words[i]
    words[i] = had - less - borrow
    return ONE if had < less or (had == less and borrow != ZERO) else ZERO


@compiled
def totals(
    operations: Ints, windows: Ints, parameters: Floats, values: Floats, mask: Marks, unit: int, starts: Ints,
    request_starts: Ints, first: int, end: int, whole: Marks, lo: Ints, hi: Ints, out: Floats,
) -> None:  # fmt: skip
    """Answer `operations[s]` over `windows[s]` into `out[s]`, for the keys `first <= g < end` that are `whole`.

    `lo[w]` and `hi` are the windows of each request, counted from its key's first row. `unit` is as `lowest_unit` says.
    Steps of one window stand together.
    """
    squared = False
    for op in operations:
        squared |= op == STD
    room = np.empty((0, WORDS), np.uint64)
    words = np.zeros(5, np.uint64)
    bits = values.view(np.int64)
    for g in range(first, end):
        c, d = request_starts[g], request_starts[g + 1]
        if c == d or not whole[g]:
            continue
        begin, stop = lo[:, c].min(), hi[d - 1]
        if stop - begin >= len(room):
            room = np.empty((max(stop - begin + 1, 2 * len(room)), WORDS), np.uint64)
        a, b = starts[g] + begin, starts[g] + stop
        _accumulate(bits[a:b], mask[a:b], unit, squared, room)
        for r in range(c, d):
            after = room[hi[r] - begin]
            summed, total = -1, 0.0
            for s in range(len(operations)):
                op = operations[s]
                before = room[lo[windows[s], r] - begin]
                n = int(after[0] - before[0])
                if op == STD:
                    out[s, r] = _deviation(before, after, n, unit, words) if n > 1 else math.nan
                    continue
                if summed != windows[s]:
                    summed, total = windows[s], _sum(before, after, unit, words)
                if op == SUM:
                    out[s, r] = total
                else:
                    out[s, r] = total / n if n > 0 else math.nan


@compiled
def counts(
    operations: Ints, windows: Ints, parameters: Floats, values: Floats, mask: Marks, unit: int, starts: Ints,
    request_starts: Ints, first: int, end: int, whole: Marks, lo: Ints, hi: Ints, out: Floats,
) -> None:  # fmt: skip
    """The same for `count`, and for `rate` until `window.per_second` divides it."""
    room = np.empty(0, np.int64)
    for g in range(first, end):
        c, d = request_starts[g], request_starts[g + 1]
        if c == d or not whole[g]:
            continue
        begin, stop = lo[:, c].min(), hi[d - 1]
        if stop - begin >= len(room):
            room = np.empty(max(stop - begin + 1, 2 * len(room)), np.int64)
        n = 0
        for i in range(begin, stop):
            room[i - begin] = n
            n += mask[starts[g] + i]
        room[stop - begin] = n
        for s in range(len(operations)):
            for r in range(c, d):
                out[s, r] = room[hi[r] - begin] - room[lo[windows[s], r] - begin]
