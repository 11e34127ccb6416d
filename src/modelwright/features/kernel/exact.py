"""Exact sums of doubles: a superaccumulator that adds, takes away and rounds once, when read.

The whole range of a double is one fixed-point number, kept as 32-bit chunks in int64 cells, so that 2**31 terms need
no carry. Adding a term and taking it away again leaves no trace, so a sliding window and a fresh scan read the same
bits. The sum of squares is kept the same way, from the exact square of each 53-bit mantissa: the variance is formed
in integers and rounded at the end, and neither overflows nor cancels.

The idea of a small superaccumulator is R. M. Neal's, "Fast exact summation using small and large superaccumulators",
arXiv:1505.05571 (2015).

Layout: cell i weighs 2**(32 i) units; the last two cells hold the lowest and the highest chunk touched.
"""

import math

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, compiled

U = np.uint64
LOW32 = U(0xFFFFFFFF)
FRACTION = U((1 << 52) - 1)
SMALLEST = 1074
"""A unit of the sum is 2**-1074, the smallest double; a unit of the sum of squares 2**-2148."""

SUM_CHUNKS = 70
SQUARE_CHUNKS = 140
"""2,098 bits for one double, 4,196 for a square, and room above both for 2**31 terms and the factor n."""


@compiled
def accumulator(chunks: int) -> Ints:
    """An empty accumulator of that many chunks."""
    cells = np.zeros(chunks + 2, np.int64)
    cells[chunks] = chunks
    cells[chunks + 1] = -1
    return cells


@compiled
def clear(cells: Ints) -> None:
    """Empty it, at the cost of the chunks in use."""
    chunks = len(cells) - 2
    for i in range(cells[chunks], cells[chunks + 1] + 1):
        cells[i] = 0
    cells[chunks] = chunks
    cells[chunks + 1] = -1


@compiled
def add_bits(cells: Ints, whole: np.uint64, position: int, sign: int) -> None:
    """Add `sign * whole * 2**position` units, for whole numbers below 2**60."""
    chunk = position >> 5
    shift = U(position & 31)
    cells[chunk] += sign * np.int64((whole << shift) & LOW32)
    cells[chunk + 1] += sign * np.int64((whole >> (U(32) - shift)) & LOW32)
    cells[chunk + 2] += sign * np.int64((whole >> U(1)) >> (U(63) - shift))
    end = len(cells)
    cells[end - 2] = min(cells[end - 2], chunk)
    cells[end - 1] = max(cells[end - 1], chunk + 2)


@compiled
def mantissa_of(bits: int) -> tuple[np.uint64, int, int]:
    """(mantissa, position, sign) of a finite double given by its bits: it is sign * mantissa * 2**position units."""
    exponent = (bits >> 52) & 0x7FF
    mantissa = U(bits) & FRACTION
    sign = -1 if bits < 0 else 1
    if exponent == 0:
        return mantissa, 0, sign
    return mantissa | (FRACTION + U(1)), exponent - 1, sign


@compiled
def add(cells: Ints, bits: int, sign: int) -> None:
    """Add (`sign` 1) or take away (-1) a finite double, given by its bits."""
    mantissa, position, own = mantissa_of(bits)
    add_bits(cells, mantissa, position, own * sign)


@compiled
def add_square(cells: Ints, bits: int, sign: int) -> None:
    """Add or take away the exact square of a finite double: (a 2**27 + b)**2, term by term."""
    mantissa, position, _ = mantissa_of(bits)
    a = mantissa >> U(27)
    b = mantissa & U((1 << 27) - 1)
    add_bits(cells, b * b, 2 * position, sign)
    add_bits(cells, a * b, 2 * position + 28, sign)
    add_bits(cells, a * a, 2 * position + 54, sign)


@compiled
def normalise(cells: Ints, digits: Ints) -> tuple[int, int, int]:
    """Write the magnitude as chunks of 32 bits to `digits`; returns (lowest, highest chunk, sign), sign 0 for zero."""
    end = len(cells)
    first = cells[end - 2]
    last = cells[end - 1]
    if last < first:
        return 0, -1, 0
    sign = 1
    carry = 0
    for i in range(first, last + 1):
        total = cells[i] + carry
        digits[i] = total & 0xFFFFFFFF
        carry = total >> 32
    if carry < 0:
        sign = -1
        carry = 0
        for i in range(first, last + 1):
            total = carry - cells[i]
            digits[i] = total & 0xFFFFFFFF
            carry = total >> 32
    digits[last + 1] = carry
    top = last + 1
    while top >= first and digits[top] == 0:
        top -= 1
    return first, top, sign if top >= first else 0


@compiled
def round_digits(digits: Ints, first: int, top: int) -> tuple[float, int]:
    """The 53-bit whole number and the power of two nearest to a magnitude above zero; ties go to the even one."""
    head = rest = U(digits[top])
    length = 0
    while rest != U(0):  # written so, it compiles to one instruction
        rest >>= U(1)
        length += 1
    second = U(digits[top - 1]) if top - 1 >= first else U(0)
    third = U(digits[top - 2]) if top - 2 >= first else U(0)
    shift = U(32 - length)
    leading = (((head << U(32)) | second) << shift) | (third >> (U(32) - shift))
    beyond = (third & ((U(1) << (U(32) - shift)) - U(1))) != U(0)
    i = top - 3
    while not beyond and i >= first:
        beyond = digits[i] != 0
        i -= 1
    return nearest(leading, beyond), 32 * top + length - 53


@compiled
def nearest(leading: np.uint64, beyond: bool) -> float:
    """The 53-bit whole number nearest to 64 leading bits, more following them if `beyond`; ties go to the even one."""
    whole = leading >> U(11)
    cut = leading & U(0x7FF)
    if cut > U(0x400) or (cut == U(0x400) and (beyond or (whole & U(1)) != U(0))):
        whole += U(1)
    return float(whole)


@compiled
def read(cells: Ints, digits: Ints) -> float:
    """The sum, correctly rounded; `digits` is room for one chunk more than the accumulator has."""
    first, top, sign = normalise(cells, digits)
    if sign == 0:
        return 0.0
    whole, position = round_digits(digits, first, top)
    return sign * math.ldexp(whole, position - SMALLEST)


@compiled
def read_deviation(sums: Ints, squares: Ints, n: int, digits: Ints, more: Ints, difference: Ints) -> float:
    """The sample standard deviation of n > 1 finite values, from n S2 - S1**2 formed exactly."""
    clear(difference)
    first, top, _ = normalise(squares, more)
    end = len(difference)
    difference[end - 2] = 0
    difference[end - 1] = -1
    for i in range(first, top + 1):
        product = U(more[i]) * U(n)
        difference[i] += np.int64(product & LOW32)
        difference[i + 1] += np.int64(product >> U(32))
    highest = top + 1
    lowest = first
    first, top, _ = normalise(sums, digits)
    for i in range(first, top + 1):
        if digits[i] == 0:
            continue
        for j in range(first, top + 1):
            product = U(digits[i]) * U(digits[j])
            difference[i + j] -= np.int64(product & LOW32)
            difference[i + j + 1] -= np.int64(product >> U(32))
    if top >= first:
        highest = max(highest, 2 * top + 1)
        lowest = min(lowest, 2 * first)
    difference[end - 2] = lowest
    difference[end - 1] = highest
    first, top, sign = normalise(difference, more)
    if sign <= 0:
        return 0.0
    whole, position = round_digits(more, first, top)
    return root(whole, position - 2 * SMALLEST, n)


@compiled
def root(whole: float, power: int, n: int) -> float:
    """The sample standard deviation of n values, from n S2 - S1**2 rounded to `whole * 2**power`."""
    if power & 1:
        whole *= 2.0
        power -= 1
    pairs = float(n) * float(n - 1)
    return math.ldexp(math.sqrt(whole / pairs), power >> 1)


@compiled
def sum_of(values: Floats) -> float:
    """The exact sum of finite doubles, rounded once."""
    cells = accumulator(SUM_CHUNKS)
    bits = values.view(np.int64)
    for i in range(len(values)):
        add(cells, bits[i], 1)
    return read(cells, np.empty(SUM_CHUNKS + 3, np.int64))
