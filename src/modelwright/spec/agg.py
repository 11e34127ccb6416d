"""The aggregates a `FeatureView` is made of: what each is called, what it takes and what it gives.

Only declarations stand here; `modelwright.features` computes them. A window `over="1h"` at a request at *t* holds the
rows with `t - 1h <= at < t`: never the event itself, never one at the same instant. Without `over` the window is all
history. `where=` keeps the rows for which a Python expression over the event's columns is true
(`where="amount > 100 and country != 'DE'"`). A missing value enters no aggregate but `count`.

An empty window gives 0 for `count`, `count_distinct` and `sum`, and missing for every other aggregate.

>>> from modelwright import agg
>>> agg.sum("amount", over="1h")
Aggregate(kind='sum', column='amount', over_us=3600000000, where=None, k=1)
"""

from datetime import timedelta
from typing import Literal

import msgspec

from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError
from modelwright.spec.condition import Condition

Kind = Literal[
    "count", "sum", "mean", "min", "max", "std", "last", "first", "count_distinct", "time_since_last", "lag", "change"
]
Window = str | timedelta | None

NUMERIC_ONLY = frozenset({"sum", "mean", "min", "max", "std", "change"})
"""Kinds that need a number (booleans count as 0 and 1); the others take strings too."""

ZERO_WHEN_EMPTY = frozenset({"count", "count_distinct", "sum"})
"""Kinds that are 0 over an empty window; every other is missing."""


class Aggregate(msgspec.Struct, frozen=True, kw_only=True):
    """One aggregate of one view: the kind, the column it reads, its window in microseconds and its condition."""

    kind: Kind
    column: str | None = None
    over_us: int | None = None
    where: str | None = None
    k: int = 1

    def columns(self) -> frozenset[str]:
        """Every column it reads, the condition's included."""
        read = Condition(self.where).names if self.where else frozenset()
        return read | {self.column} if self.column else read


def _aggregate(kind: Kind, column: str | None, over: Window, where: str | None, k: int = 1) -> Aggregate:
    if kind not in ("count", "time_since_last") and not (isinstance(column, str) and column):
        raise DeclarationError(f"agg.{kind}({column!r}): name the event's column as a string")
    if where is not None:
        Condition(where)
    over_us = None if over is None else duration_us(over, f"agg.{kind}(over=)")
    return Aggregate(kind=kind, column=column, over_us=over_us, where=where, k=k)


def count(*, over: Window = None, where: str | None = None) -> Aggregate:
    """How many rows the window holds."""
    return _aggregate("count", None, over, where)


def sum(column: str, *, over: Window = None, where: str | None = None) -> Aggregate:
    """Sum of the column, correctly rounded from the exact sum. Booleans count as 0 and 1."""
    return _aggregate("sum", column, over, where)


def mean(column: str, *, over: Window = None, where: str | None = None) -> Aggregate:
    """Arithmetic mean of the column: the exact sum, rounded, over the count."""
    return _aggregate("mean", column, over, where)


def min(column: str, *, over: Window = None, where: str | None = None) -> Aggregate:
    """Smallest value of the column."""
    return _aggregate("min", column, over, where)


def max(column: str, *, over: Window = None, where: str | None = None) -> Aggregate:
    """Largest value of the column."""
    return _aggregate("max", column, over, where)


def std(column: str, *, over: Window = None, where: str | None = None) -> Aggregate:
    """Sample standard deviation (n - 1 in the denominator); missing with fewer than two values."""
    return _aggregate("std", column, over, where)


def last(column: str, *, over: Window = None, where: str | None = None) -> Aggregate:
    """The latest value of the column that is not missing."""
    return _aggregate("last", column, over, where)


def first(column: str, *, over: Window = None, where: str | None = None) -> Aggregate:
    """The earliest value of the column in the window that is not missing."""
    return _aggregate("first", column, over, where)


def count_distinct(column: str, *, over: Window = None, where: str | None = None) -> Aggregate:
    """How many different values of the column the window holds, exactly."""
    return _aggregate("count_distinct", column, over, where)


def time_since_last(*, over: Window = None, where: str | None = None) -> Aggregate:
    """Seconds between the latest row in the window and the request."""
    return _aggregate("time_since_last", None, over, where)


def lag(column: str, k: int = 1, *, over: Window = None, where: str | None = None) -> Aggregate:
    """The k-th last value of the column that is not missing; `lag(column, 1)` is `last(column)`."""
    if not (isinstance(k, int) and k >= 1) or isinstance(k, bool):
        raise DeclarationError(f"agg.lag({column!r}, {k!r}): the lag is a whole number from 1 up")
    return _aggregate("lag", column, over, where, k)


def change(column: str, *, over: Window = None, where: str | None = None) -> Aggregate:
    """The request's own value of the column minus the last one; missing where either is."""
    return _aggregate("change", column, over, where)
