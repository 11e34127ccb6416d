"""What a parameter may be, for `mw.tune`: `space.integer(8, 256, log=True)`, `space.real(0.01, 0.3)`, `space.choice([...])`."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelwright.core.errors import DeclarationError


@dataclass(frozen=True)
class Integer:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class Real:
    """Numbers from `low` to `high`."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of these, of any type."""

    options: tuple[Any, ...]


Dimension = Integer | Real | Choice


def integer(low: int, high: int, *, log: bool = False) -> Integer:
    """Whole numbers from `low` to `high`, both included; with `log`, 10 to 100 is as wide as 100 to 1000.

    >>> integer(8, 256, log=True)
    Integer(low=8, high=256, log=True)
    """
    if not all(isinstance(end, int) and not isinstance(end, bool) for end in (low, high)):
        raise DeclarationError(f"space.integer({low!r}, {high!r}): two whole numbers; use space.real for others")
    _check_ends("integer", low, high, log=log)
    return Integer(low, high, log)


def real(low: float, high: float, *, log: bool = False) -> Real:
    """Numbers from `low` to `high`; with `log`, 0.01 to 0.1 is as wide as 0.1 to 1.

    >>> real(0.01, 0.3, log=True)
    Real(low=0.01, high=0.3, log=True)
    """
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high)):
        raise DeclarationError(f"space.real({low!r}, {high!r}): two numbers")
    _check_ends("real", low, high, log=log)
    return Real(float(low), float(high), log)


def choice(options: Iterable[Any]) -> Choice:
    """One of several values, which have no order.

    >>> choice(["gbdt", "dart"])
    Choice(options=('gbdt', 'dart'))
    """
    if isinstance(options, str) or not isinstance(options, Iterable):
        raise DeclarationError(f"space.choice({options!r}): give a list, [...]")
    kept = tuple(options)
    if len(kept) < 2:
        raise DeclarationError(f"space.choice({list(kept)!r}): nothing to choose from; give two or more")
    return Choice(kept)


def _check_ends(kind: str, low: float, high: float, *, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DeclarationError(f"space.{kind}({low!r}, {high!r}): from the smaller to the larger, both finite")
    if log and low <= 0:
        raise DeclarationError(f"space.{kind}({low!r}, {high!r}, log=True): a logarithm needs {low!r} to be above 0")
