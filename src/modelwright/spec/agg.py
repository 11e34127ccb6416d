"""The aggregates a `FeatureView` is made of: what each is called, what it takes and what it gives.

Only declarations stand here; `modelwright.features` computes them. A window `over="1h"` at a request at *t* holds the
rows with `t - 1h <= at < t`: never the event itself, never one at the same instant. Without `over` the window is all
history. `where=` keeps the rows for which a Python expression over the event's columns is true
(`where="amount > 100 and country != 'DE'"`). A missing value enters no aggregate but `count`.
Numbers are doubles: whole numbers beyond 2**53 count as the nearest one, so two that round alike are one value.

An empty window gives 0 for `count`, `rate`, `count_distinct` and `sum`, and missing for every other aggregate.

`count_distinct`, `distinct_ratio`, `quantile` and `top_k` have to hold every different value, so they need an `over`;
every other keeps a state of fixed size over all history. `most=` bounds them for the busiest keys: the window is then at
most the newest so many rows that the request sees in it, before `where` and missing values leave any out.

>>> from modelwright import agg
>>> agg.sum("amount", over="1h")
Aggregate(kind='sum', column='amount', over_us=3600000000)
"""

from datetime import timedelta
from typing import Final, Literal

import msgspec

from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError
from modelwright.spec.condition import Condition

Kind = Literal[
    "count", "rate", "sum", "mean", "min", "max", "std", "last", "first", "count_distinct", "distinct_ratio", "quantile",
    "top_k", "ewm", "time_since_last", "lag", "change", "delta",
]  # fmt: skip
Window = str | timedelta | None

NUMERIC_ONLY: Final = frozenset({"sum", "mean", "min", "max", "std", "quantile", "ewm", "change", "delta"})
"""Kinds that need a number (booleans count as 0 and 1); the others take strings too."""

ZERO_WHEN_EMPTY: Final = frozenset({"count", "rate", "count_distinct", "sum"})
"""Kinds that are 0 over an empty window; every other is missing."""

GIVES_VALUE: Final = frozenset({"last", "first", "lag", "top_k"})
"""Kinds whose answer is one of the column's own values, a text of texts."""

READS_OWN: Final = frozenset({"change", "delta"})
"""Kinds that read the request's own value of their column."""

COMPARABLE: Final = frozenset({"mean", "min", "max", "last", "first", "lag", "quantile", "top_k", "ewm"})
"""Kinds whose answer is a value the column could have, so that a request's own value can be compared with it."""


MOST: Final = 2**31
"""No window holds more rows."""


class Aggregate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """One aggregate of one view: the kind, the column it reads, its window in microseconds and its condition.

    `most` is how many of the newest rows the window holds at most, where that is bounded. `k` is a lag's, `q` a quantile's,
    `half_life_us` a decayed mean's; `of` is the kind a delta compares with, whose settings stand in the same places.
    """

    kind: Kind
    column: str | None = None
    over_us: int | None = None
    where: str | None = None
    most: int | None = None
    k: int = 1
    q: float | None = None
    half_life_us: int | None = None
    of: Kind | None = None

    def columns(self) -> frozenset[str]:
        """Every column it reads, the condition's included."""
        read = Condition(self.where).names if self.where else frozenset()
        return read | {self.column} if self.column else read


def _aggregate(
    kind: Kind, column: str | None, over: Window, where: str | None, k: int = 1, q: float | None = None,
    half_life_us: int | None = None,
) -> Aggregate:  # fmt: skip
    if kind not in ("count", "rate", "time_since_last") and not (isinstance(column, str) and column):
        raise DeclarationError(f"agg.{kind}({column!r}): name the event's column as a string")
    if where is not None:
        Condition(where)
    over_us = None if over is None else duration_us(over, f"agg.{kind}(over=)")
    return Aggregate(kind=kind, column=column, over_us=over_us, where=where, k=k, q=q, half_life_us=half_life_us)


def _of_a_set(
    kind: Kind, column: str, over: Window, where: str | None, most: int | None, q: float | None = None
) -> Aggregate:
    """An aggregate that holds every different value of its window."""
    made = _aggregate(kind, column, over, where, q=q)
    if most is not None and (isinstance(most, bool) or not (isinstance(most, int) and 1 <= most <= MOST)):
        raise DeclarationError(f"agg.{kind}({column!r}, most={most!r}): most is a whole number from 1 up, of events")
    if over is None:
        raise DeclarationError(
            f"agg.{kind}({column!r}): it holds every different value, so over all history it would grow without end; "
            f'give it a window, such as over="30d"'
        )
    return msgspec.structs.replace(made, most=most)


def count(*, over: Window = None, where: str | None = None) -> Aggregate:
    """How many rows the window holds."""
    return _aggregate("count", None, over, where)


def rate(*, over: Window, where: str | None = None) -> Aggregate:
    """How many rows the window holds for each second of its length."""
    if over is None:
        raise DeclarationError('agg.rate(): a rate is counted over a time; give it a window, such as over="1h"')
    return _aggregate("rate", None, over, where)


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


def count_distinct(column: str, *, over: Window = None, where: str | None = None, most: int | None = None) -> Aggregate:
    """How many different values of the column the window holds, exactly. Needs `over`; `most` bounds it."""
    return _of_a_set("count_distinct", column, over, where, most)


def distinct_ratio(column: str, *, over: Window = None, where: str | None = None, most: int | None = None) -> Aggregate:
    """Different values of the column over its values that are not missing: 1 where none repeats.

    Needs `over`; `most` bounds it.
    """
    return _of_a_set("distinct_ratio", column, over, where, most)


def quantile(
    column: str, q: float, *, over: Window = None, where: str | None = None, most: int | None = None
) -> Aggregate:
    """The exact q-quantile of the window's values, 0 <= q <= 1. Needs `over`; `most` bounds it.

    Between two values by linear interpolation, as numpy's default: R. J. Hyndman and Y. Fan's type 7, "Sample Quantiles
    in Statistical Packages", The American Statistician 50 (1996).
    """
    if isinstance(q, bool) or not (isinstance(q, int | float) and 0 <= q <= 1):
        raise DeclarationError(f"agg.quantile({column!r}, {q!r}): q is a number from 0 to 1; the median is 0.5")
    return _of_a_set("quantile", column, over, where, most, float(q))


def top_k(
    column: str, k: int = 1, *, over: Window = None, where: str | None = None, most: int | None = None
) -> Aggregate:
    """The most frequent value of the window; of several, the one seen last. Needs `over`; `most` bounds it.

    Only `k=1` is built: a model's input holds one value, not a list.
    """
    if isinstance(k, bool) or not (isinstance(k, int) and k >= 1):
        raise DeclarationError(f"agg.top_k({column!r}, {k!r}): k is a whole number from 1 up")
    if k > 1:
        raise DeclarationError(
            f"agg.top_k({column!r}, {k}): a list of values cannot reach a model, so k above 1 is not built yet; use k=1"
        )
    return _of_a_set("top_k", column, over, where, most)


def ewm(column: str, *, half_life: str | timedelta, over: Window = None, where: str | None = None) -> Aggregate:
    """The time-decayed mean of the column: a value's weight halves with every `half_life` between it and the request.

    Within `1e-15 * sum(|x|)` of the true weighted mean. Values at least 64 half-lives older than the newest in the window,
    with weights below 2**-63 of its weight, may be passed over.
    """
    half_life_us = duration_us(half_life, f"agg.ewm({column!r}, half_life=)")
    return _aggregate("ewm", column, over, where, half_life_us=half_life_us)


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


def delta(aggregate: Aggregate) -> Aggregate:
    """The request's own value of the column minus an aggregate of it; missing where either is.

    >>> delta(mean("amount", over="1h"))
    Aggregate(kind='delta', column='amount', over_us=3600000000, of='mean')
    """
    if not isinstance(aggregate, Aggregate):
        raise DeclarationError(
            f'agg.delta({aggregate!r}): give it an aggregate, such as agg.delta(agg.mean("amount", over="30d"))'
        )
    if aggregate.kind not in COMPARABLE:
        raise DeclarationError(
            f"agg.delta(agg.{aggregate.kind}): agg.{aggregate.kind} is no value of a column; compare with one of "
            f"{', '.join(f'agg.{kind}' for kind in sorted(COMPARABLE))}"
        )
    return msgspec.structs.replace(aggregate, kind="delta", of=aggregate.kind)
