"""`FeatureView`: named aggregates over the history of one key of one event."""

import difflib
from datetime import timedelta
from typing import Any, Final

import msgspec

from modelwright.core.durations import duration_text, duration_us
from modelwright.core.errors import DeclarationError
from modelwright.spec.agg import GIVES_VALUE, NUMERIC_ONLY, READS_OWN, Aggregate
from modelwright.spec.contract import Contract
from modelwright.spec.event import contract_of

ENTITY: Final = "(the event's entity)"


class ViewSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A view as data: what a release stores and the feature hosts compile.

    `by` holds the key columns; empty means one global history. `lateness_us` is how far behind its key's newest event a
    live event may be and still count; None is no limit. `step_us` is what far edges of windows are rounded down to.
    """

    event: str
    by: tuple[str, ...]
    features: dict[str, Aggregate]
    lateness_us: int | None = None
    step_us: int | None = None


class FeatureView:
    """History of one key, as named features.

    A view over another event than the system's is read by the columns of its key that both have.

    `by` is a column or a tuple of columns of the event; it defaults to the event's entity. An event without an entity,
    and `by=None`, have one global history. A column that is not the event's is the label's: outcomes become history
    from the moment they are known.

    With `lateness="1h"` a live event that is more than an hour older than the newest event of its key, among the rows
    the log held before it, is logged and never counts, in serving and in training; a prediction asked for it is
    refused. Rows of history files are taken as sorted: none of them is late. An outcome counts from when it is known,
    however late its event was.

    With `step="1d"` the far edge of every window is rounded down to a whole day since the epoch: `over="90d"` holds 90
    days and what has passed of the earliest, so that rows leave it a day at a time and a busy key is held as one state
    a day. Each `over` is then a multiple of the step.

    Raises `DeclarationError` naming the event, the feature and the remedy.
    """

    def __init__(
        self, event: Any, *, by: str | tuple[str, ...] | None = ENTITY, lateness: str | timedelta | None = None,
        step: str | timedelta | None = None, **features: Aggregate,
    ) -> None:  # fmt: skip
        self.contract = contract_of(event)
        if by == ENTITY:
            by = self.contract.entity
        if not (by is None or isinstance(by, (str, tuple, list))):
            raise DeclarationError(f"FeatureView({self.contract.name}, by={by!r}): name a field, several, or None")
        self.by: tuple[str, ...] = () if by is None else (by,) if isinstance(by, str) else tuple(by)
        self._check_key()
        what = f"FeatureView({self.contract.name}, "
        self.lateness_us = None if lateness is None else duration_us(lateness, f"{what}lateness)")
        self.step_us = None if step is None else duration_us(step, f"{what}step)")
        if not features:
            raise DeclarationError(f"FeatureView({self.contract.name}) has no features: add one, name=agg.count()")
        for name, aggregate in features.items():
            self._check_feature(name, aggregate)
        self.features = dict(features)

    def _check_key(self) -> None:
        name = self.contract.name
        for column in self.by:
            if column not in self.contract.names:
                raise DeclarationError(
                    f"FeatureView({name}, by={column!r}): {name} has no such field; its fields are "
                    f"{', '.join(self.contract.names)}"
                )
            if self.by.count(column) > 1:
                raise DeclarationError(f"FeatureView({name}, by={self.by!r}): {column!r} stands twice; name it once")
        if self.contract.time is None:
            raise DeclarationError(
                f"FeatureView({name}): history needs a time, and {name} declares none; name its time field in "
                "@mw.event(time=...) (plain tables without a time come with a later version)"
            )

    def _check_feature(self, name: str, aggregate: Any) -> None:
        where = f"FeatureView({self.contract.name}, {name}=)"
        if not isinstance(aggregate, Aggregate):
            raise DeclarationError(
                f"{where}: {aggregate!r} is no aggregate; use agg.count(), agg.sum(...) and the like"
            )
        if name in self.contract.names or name.startswith("_"):
            raise DeclarationError(f"{where}: the name is taken by a column of {self.contract.name}; choose another")
        if self.step_us is not None and (aggregate.over_us or 0) % self.step_us:
            raise DeclarationError(
                f'{where}: over="{duration_text(aggregate.over_us or 0)}" is no multiple of the view\'s '
                f'step="{duration_text(self.step_us)}"; make it one, or give the feature a view of its own'
            )
        column = aggregate.column
        if column in self.contract.names:
            field = self.contract.field(column)
            kind = field.kind
            if field.text and aggregate.kind in GIVES_VALUE:
                raise DeclarationError(
                    f"{where}: {column} is free text, and agg.{aggregate.kind} of it would be another one; count it, or "
                    "leave text=True out if its texts are categories"
                )
            if kind == "time" or (kind == "str" and aggregate.kind in NUMERIC_ONLY):
                raise DeclarationError(f"{where}: agg.{aggregate.kind} needs a number, and {column} is a {kind}")

    def outcome_columns(self) -> frozenset[str]:
        """Columns that are not the event's, so must be the label."""
        read = frozenset().union(*(aggregate.columns() for aggregate in self.features.values()))
        return read - set(self.contract.names)

    def check_label(self, label: str | None, kind: str | None = None) -> None:
        """Raise `DeclarationError` for a column that is neither the event's nor the label, and for an aggregate that
        does not fit the label's kind."""
        for name, aggregate in self.features.items():
            for column in sorted(aggregate.columns() - set(self.contract.names) - {label}):
                known = [*self.contract.names, *([label] if label else [])]
                near = difflib.get_close_matches(column, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"its columns are {', '.join(known)}"
                raise DeclarationError(
                    f"FeatureView({self.contract.name}, {name}=agg.{aggregate.kind}): {column!r} is neither a column "
                    f"of {self.contract.name} nor the label; {hint}"
                )
            if aggregate.column == label and kind == "str" and aggregate.kind in NUMERIC_ONLY:
                raise DeclarationError(
                    f"FeatureView({self.contract.name}, {name}=agg.{aggregate.kind}): agg.{aggregate.kind} needs a "
                    f"number, and the label {label} is a str; count it, for instance with where="
                )
            if aggregate.kind in READS_OWN and aggregate.column == label:
                raise DeclarationError(
                    f"FeatureView({self.contract.name}, {name}=agg.{aggregate.kind}): a request does not bring its outcome"
                )

    def check_asked(self, asked: Contract, label: str) -> None:
        """Raise `DeclarationError` where this view cannot be read for the event of a system that is another than its own:
        the key, and what a feature reads of the request itself, must be columns of both."""
        name = self.contract.name
        if name == asked.name:
            raise DeclarationError(f"FeatureView({name}): the system's event is another class of that name; rename one")
        for column in self.by:
            where = f"FeatureView({name}, by={column!r})"
            self._check_shared(column, asked, where, f"a request is one {asked.name}: name a column of both")
        for feature, aggregate in self.features.items():
            where = f"FeatureView({name}, {feature}=agg.{aggregate.kind})"
            if label in aggregate.columns() - set(self.contract.names):
                raise DeclarationError(
                    f"{where}: {label!r} is the outcome of {asked.name}; read it in a FeatureView({asked.name}, ...)"
                )
            if aggregate.kind in READS_OWN and aggregate.column in self.contract.names:
                self._check_shared(
                    aggregate.column, asked, where, "it reads the request's own value: use a column of both"
                )
        self.check_label(None)

    def _check_shared(self, column: str, asked: Contract, where: str, remedy: str) -> None:
        if column not in asked.names:
            raise DeclarationError(f"{where}: {asked.name} has no field {column!r}; {remedy}")
        theirs, ours = asked.field(column).kind, self.contract.field(column).kind
        if theirs != ours:
            raise DeclarationError(
                f"{where}: {column} is {ours} in {self.contract.name} and {theirs} in {asked.name}; give it one type"
            )

    def spec(self) -> ViewSpec:
        """The view as data."""
        return ViewSpec(
            event=self.contract.name, by=self.by, features=self.features, lateness_us=self.lateness_us,
            step_us=self.step_us,
        )  # fmt: skip
