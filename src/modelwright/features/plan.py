"""A view, compiled: each aggregate as a step that names an operation, a source, a column and a condition by number.

Both hosts run the same plan. Made from a `ViewSpec`, the contract and the label's column; imports neither numba nor
Arrow, so that declaring and checking stay quick.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from modelwright.core.errors import DeclarationError
from modelwright.features.kernel.operations import OPERATIONS
from modelwright.features.mask import Mask
from modelwright.spec.agg import NUMERIC_ONLY, READS_OWN, ZERO_WHEN_EMPTY, Aggregate
from modelwright.spec.contract import Contract, FieldKind
from modelwright.spec.view import ViewSpec

COUNTS: Final = frozenset({"count", "count_distinct"})
Source = Literal["event", "outcome"]
OutputKind = Literal["int", "float", "str"]


class LabelColumn(msgspec.Struct, frozen=True):
    """The outcome's column: its name and the kind of its values."""

    name: str
    kind: FieldKind


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One aggregate, ready to run.

    `operation` is a place in `OPERATIONS`. `column` is the value's place among the contract's fields, the label standing
    after the last, or -1; `own` the place of the request's own value among the fields of the request's contract, or -1.
    `condition` is a place among the masks of its source, 0 being every row. `over_us` is 0 for
    all history; `step_us` and `most` are 0 for none. `text_column` names the dictionary of a string
    answer. `empty` is the answer over no rows.
    """

    name: str
    operation: int
    source: Source
    column: int
    own: int
    condition: int
    over_us: int
    step_us: int
    most: int
    parameter: float
    minus: bool
    output: OutputKind
    text_column: str | None
    empty: float


class Plan:
    """All steps of one view, with the conditions of each source, each condition once.

    `contract` is that of the rows; `asked` that of the requests, another one where the view is over another event.
    """

    def __init__(
        self, contract: Contract, asked: Contract, label: LabelColumn | None, by: tuple[str, ...], steps: tuple[Step, ...],
        masks: dict[Source, tuple[Mask, ...]], reads: frozenset[str], lateness_us: int | None,
        step_us: int | None,
    ) -> None:  # fmt: skip
        self.contract = contract
        self.asked = asked
        self.other: str | None = None if contract.name == asked.name else contract.name
        """The name of the other event whose rows these are; None for the system's own."""
        self.label = label
        self.by = by
        self.steps = steps
        self.masks = masks
        self.reads = reads
        """Columns that any step or condition reads, the label included where one does."""
        self.lateness_us = lateness_us
        self.step_us = step_us
        self.names: tuple[str, ...] = tuple(step.name for step in steps)
        self.output_kinds: tuple[str, ...] = tuple(step.output for step in steps)

    @classmethod
    def of(cls, view: ViewSpec, contract: Contract, label: LabelColumn | None, asked: Contract | None = None) -> "Plan":
        """Compile a view over a contract's events; a column that is not the contract's must be the label's.

        `asked` is the requests' contract where it is another one: the view's key must be of both.

        Raises `DeclarationError` naming the feature.
        """
        columns: dict[str, tuple[int, FieldKind]] = {f.name: (i, f.kind) for i, f in enumerate(contract.fields)}
        if label is not None and label.name not in columns:
            columns[label.name] = (len(contract.fields), label.kind)
        asked = asked or contract
        for name in view.by:
            for each in (contract, asked):
                if name not in each.names:
                    raise DeclarationError(f"FeatureView({contract.name}, by={name!r}): {each.name} has no such field")
        conditions: dict[Source, dict[str, Mask]] = {"event": {}, "outcome": {}}
        steps = []
        for name, aggregate in view.features.items():
            feature = f"FeatureView({contract.name}, {name}=agg.{aggregate.kind})"
            _check(aggregate, columns, contract, asked, feature)
            outcome = not aggregate.columns() <= set(contract.names)
            source: Source = "outcome" if outcome else "event"
            condition = 0
            if aggregate.where is not None:
                masks = conditions[source]
                if aggregate.where not in masks:
                    masks[aggregate.where] = Mask(aggregate.where, columns, feature)
                condition = 1 + list(masks).index(aggregate.where)
            steps.append(_step(name, aggregate, source, columns, condition, asked, view.step_us or 0))
        return cls(
            contract,
            asked,
            label,
            tuple(view.by),
            tuple(steps),
            {source: tuple(masks.values()) for source, masks in conditions.items()},
            frozenset().union(*(aggregate.columns() for aggregate in view.features.values())),
            view.lateness_us,
            view.step_us,
        )


def plans_by_key(
    views: Sequence[ViewSpec], contract: Contract, label: LabelColumn | None, others: Iterable[Contract] = ()
) -> tuple[list[Plan], tuple[str, ...]]:
    """One plan for each different key of each event, so that views on one key share its rows; and all names in order of
    the views. `others` are the contracts of the events that views are over besides the system's own.

    Views that differ in which rows count have plans of their own.

    Raises `DeclarationError` where two views give one name, or a view's event is none of these.
    """
    contracts = {other.name: other for other in others} | {contract.name: contract}
    names = tuple(name for view in views for name in view.features)
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"FeatureView({contract.name}): two features are called {name!r}; rename one")
    merged: dict[tuple[Any, ...], ViewSpec] = {}
    for view in views:
        if view.event not in contracts:
            raise DeclarationError(f"FeatureView({view.event}): it is no event of {', '.join(contracts)}")
        alike = (view.event, tuple(view.by), view.lateness_us, view.step_us)
        features = {**merged[alike].features, **view.features} if alike in merged else view.features
        merged[alike] = msgspec.structs.replace(view, features=features)
    return [
        Plan.of(view, contracts[view.event], label if view.event == contract.name else None, contract)
        for view in merged.values()
    ], names


def _check(
    aggregate: Aggregate, columns: dict[str, tuple[int, FieldKind]], contract: Contract, asked: Contract, feature: str
) -> None:
    for name in sorted(aggregate.columns()):
        if name not in columns:
            raise DeclarationError(f"{feature}: {name!r} is neither a column of {contract.name} nor the label")
    if aggregate.column is None:
        return
    kind = columns[aggregate.column][1]
    if kind == "time" or (kind == "str" and aggregate.kind in NUMERIC_ONLY):
        raise DeclarationError(f"{feature}: agg.{aggregate.kind} needs a number, and {aggregate.column} is a {kind}")
    if aggregate.kind in READS_OWN and aggregate.column not in contract.names:
        raise DeclarationError(f"{feature}: a request does not bring its outcome")
    if aggregate.kind in READS_OWN and aggregate.column not in asked.names:
        raise DeclarationError(f"{feature}: a request is one {asked.name}, which has no {aggregate.column!r}")


def _step(
    name: str, aggregate: Aggregate, source: Source, columns: dict[str, tuple[int, FieldKind]], condition: int,
    asked: Contract,
    step_us: int,
) -> Step:  # fmt: skip
    column, kind = (-1, None) if aggregate.column is None else columns[aggregate.column]
    operation = _operation(aggregate)
    text = kind == "str" and aggregate.kind not in (*COUNTS, "distinct_ratio")
    return Step(
        name=name,
        operation=OPERATIONS.index(operation),
        source=source,
        column=column,
        own=asked.names.index(aggregate.column) if aggregate.kind in READS_OWN and aggregate.column else -1,
        condition=condition,
        over_us=aggregate.over_us or 0,
        step_us=step_us if aggregate.over_us else 0,
        most=aggregate.most or 0,
        parameter=_parameter(operation, aggregate),
        minus=aggregate.kind in READS_OWN,
        output="int" if aggregate.kind in COUNTS else "str" if text else "float",
        text_column=aggregate.column if text else None,
        empty=0.0 if aggregate.kind in ZERO_WHEN_EMPTY else float("nan"),
    )


def _operation(aggregate: Aggregate) -> str:
    kind = "last" if aggregate.kind == "change" else aggregate.of or aggregate.kind
    return "lag" if kind == "last" else kind


def _parameter(operation: str, aggregate: Aggregate) -> float:
    for_ever = aggregate.over_us is None
    parameters = {
        "lag": aggregate.k, "quantile": aggregate.q, "ewm": aggregate.half_life_us,
        "min": for_ever, "max": for_ever,
    }  # fmt: skip
    return float(parameters.get(operation) or 0)
