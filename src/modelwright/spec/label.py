"""`Label`: what is predicted, of what kind, and how long after the event it is known.

`mw.Label("is_fraud", bool, delay="7d")` is told to the system: by a column of the history, by `POST /outcomes`.
`mw.Label.ahead(agg.count(over="30d"), by="customer_id", ...)` is read from later events, and nobody tells it: the
aggregate of an event's key over the rows with `t < at <= t + over`. It is known when that window has closed.
"""

from datetime import timedelta
from typing import Any, Final, Literal

import msgspec

from modelwright.core.durations import duration_text, duration_us
from modelwright.core.errors import DeclarationError
from modelwright.spec.agg import Aggregate
from modelwright.spec.contract import Contract
from modelwright.spec.view import ENTITY

LabelKind = Literal["bool", "str", "int", "float"]
_KIND: dict[Any, LabelKind] = {bool: "bool", str: "str", int: "int", float: "float"}

_COUNTS: Final = frozenset({"count", "count_distinct"})
_FIGURES: Final = frozenset({"rate", "mean", "std", "distinct_ratio", "quantile"})
_VALUES: Final = frozenset({"sum", "min", "max", "first", "last", "top_k"})
"""Kinds whose answer is of the column's own kind."""


class LabelSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A label as data: the outcome's name and kind, and the delay in microseconds until it is known.

    `ahead` is the aggregate over later events that it is read from, of the key columns `by`; None where it is told.
    """

    name: str
    kind: LabelKind
    delay_us: int
    ahead: Aggregate | None = None
    by: tuple[str, ...] = ()

    @property
    def task(self) -> Literal["classification", "regression"]:
        """Booleans and strings are classes, numbers are amounts."""
        return "classification" if self.kind in ("bool", "str") else "regression"

    @property
    def known_after(self) -> str:
        """How long after its event an outcome is known, as people write it."""
        over_us = None if self.ahead is None else self.ahead.over_us
        return duration_text(self.delay_us if over_us is None else over_us)

    @property
    def described(self) -> str:
        """How the outcome comes to be known, in words.

        >>> Label.ahead(Aggregate(kind="count", over_us=86_400_000_000), by="card", kind=bool).described
        'whether count is above 0 over the 1d after the event, by card'
        """
        if self.ahead is None:
            return f"told, {self.known_after} after the event"
        column = f"({self.ahead.column})" if self.ahead.column else ""
        where = f" where {self.ahead.where}" if self.ahead.where else ""
        by = f", by {', '.join(self.by)}" if self.by else ", of all events"
        what = f"whether {self.ahead.kind}{column} is above 0" if self.kind == "bool" else f"{self.ahead.kind}{column}"
        return f"{what} over the {self.known_after} after the event{where}{by}"

    def of(self, contract: Contract) -> "LabelSpec":
        """The label of that event: checked against its columns, the key filled in.

        Raises `DeclarationError` for a label read from later events that these events cannot give.
        """
        if self.ahead is None:
            return self
        by = ((contract.entity,) if contract.entity else ()) if self.by == (ENTITY,) else self.by
        where = f"Label.ahead({self.name})"
        for column in (*by, *sorted(self.ahead.columns())):
            if column not in contract.names:
                raise DeclarationError(
                    f"{where}: {contract.name} has no field {column!r}; its fields are {', '.join(contract.names)}"
                )
        if contract.time in by:
            raise DeclarationError(f"{where}: no later event has the same {contract.time}; take it out of by=")
        if self.ahead.column is not None:
            self._check_kind(contract.field(self.ahead.column).kind, where)
        return msgspec.structs.replace(self, by=by)

    def _check_kind(self, column: str, where: str) -> None:
        assert self.ahead is not None
        kind, name = self.ahead.kind, self.ahead.column
        if column == "time":
            raise DeclarationError(f"{where}: agg.{kind} of {name}: a time is no outcome; choose another column")
        if kind in _VALUES and column == "str":
            if kind in ("sum", "min", "max"):
                raise DeclarationError(f"{where}: agg.{kind} needs a number, and {name} is a str")
            if self.kind != "str":
                raise DeclarationError(f"{where}: {name} is a str, so the label is one too; say kind=str")
        elif kind in _FIGURES - {"rate", "distinct_ratio"} and column == "str":
            raise DeclarationError(f"{where}: agg.{kind} needs a number, and {name} is a str")
        elif self.kind == "str" or (self.kind == "int" and kind in _VALUES and column == "float"):
            raise DeclarationError(f"{where}: agg.{kind} of {name}, a {column}, is no {self.kind}; say kind=float")


class _Declare:
    """Declares the outcome to predict: `mw.Label(name, kind, delay=...)`, or `mw.Label.ahead(aggregate, ...)`."""

    def __call__(self, name: str, kind: type, *, delay: str | timedelta) -> LabelSpec:
        """An outcome that is told.

        `name` is the column of the history (and names the outcome in past-outcome features); `kind` is `bool`, `str`
        (classes), `int` or `float` (amounts); `delay` is how long after its event the outcome is known. A file's
        outcomes become history, and training material, at `time + delay`.

        >>> Label("is_fraud", bool, delay="7d").task
        'classification'
        """
        _check_name(name, "Label")
        if not isinstance(kind, type) or kind not in _KIND:
            raise DeclarationError(f"Label({name!r}, {kind!r}): the kind is one of bool, str, int, float")
        return LabelSpec(name=name, kind=_KIND[kind], delay_us=duration_us(delay, f"Label({name!r}, delay=)"))

    def ahead(
        self,
        aggregate: Aggregate,
        *,
        by: str | tuple[str, ...] | None = ENTITY,
        name: str = "ahead",
        kind: type | None = None,
    ) -> LabelSpec:
        """An outcome that is read from later events: the aggregate of the event's key over what comes after it.

        An event at *t* has the rows with `t < at <= t + over`: never itself, never one at the same instant. It is known
        a microsecond after that window ends, and has no outcome where a part of the key is missing. `by` is a column,
        several, or None for all events; it defaults to the event's entity. `kind` defaults to int for counts, else to
        float; with `kind=bool` the outcome is whether the aggregate is above 0.

        >>> from modelwright.spec import agg
        >>> Label.ahead(agg.count(over="30d"), by="customer", name="buys_again", kind=bool).kind
        'bool'
        """
        _check_name(name, "Label.ahead")
        if not isinstance(aggregate, Aggregate):
            raise DeclarationError(f'Label.ahead({name}): {aggregate!r} is no aggregate; use agg.count(over="30d")')
        known = _COUNTS | _FIGURES | _VALUES
        if aggregate.kind not in known:
            raise DeclarationError(
                f"Label.ahead({name}): agg.{aggregate.kind} looks back from a request, so it says nothing of what comes "
                f"after; use one of {', '.join(f'agg.{kind}' for kind in sorted(known))}"
            )
        if aggregate.over_us is None:
            raise DeclarationError(
                f"Label.ahead({name}): agg.{aggregate.kind}() has no window, so its outcome would never be known; give "
                'it one, such as over="30d"'
            )
        if not (by is None or isinstance(by, (str, tuple, list))):
            raise DeclarationError(f"Label.ahead({name}, by={by!r}): name a field, several, or None")
        columns = () if by is None else (by,) if isinstance(by, str) else tuple(by)
        kind_name = _kind_ahead(name, aggregate, kind)
        return LabelSpec(name=name, kind=kind_name, delay_us=aggregate.over_us + 1, ahead=aggregate, by=columns)


Label: Final = _Declare()


def _kind_ahead(name: str, aggregate: Aggregate, kind: type | None) -> LabelKind:
    counts, values = aggregate.kind in _COUNTS, aggregate.kind in _VALUES
    if kind is None:
        return "int" if counts else "float"
    fitting = [bool, float, *([int] if counts or values else []), *([str] if values else [])]
    if kind not in fitting:
        shown = ", ".join(sorted(known.__name__ for known in fitting))
        raise DeclarationError(f"Label.ahead({name}, kind={kind!r}): agg.{aggregate.kind} gives one of {shown}")
    return _KIND[kind]


def _check_name(name: Any, where: str) -> None:
    if not (isinstance(name, str) and name.isidentifier() and not name.startswith("_")):
        raise DeclarationError(f"{where}({name!r}): the name must be a Python identifier without a leading underscore")
