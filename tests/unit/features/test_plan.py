"""Compiling a view: sources, kinds, and declarations that cannot be."""

import subprocess
import sys
from datetime import datetime

import pytest

from modelwright.core.errors import DeclarationError
from modelwright.features.plan import LabelColumn, Plan, plans_by_key
from modelwright.spec import agg
from modelwright.spec.event import contract_of, event
from modelwright.spec.view import FeatureView, ViewSpec


@event(entity="card", time="at")
class Payment:
    at: datetime
    card: str
    amount: float
    country: str


CONTRACT = contract_of(Payment)
FRAUD = LabelColumn("fraud", "bool")


def plan(label: LabelColumn | None = FRAUD, **features: agg.Aggregate) -> Plan:
    return Plan.of(ViewSpec(event="Payment", by=("card",), features=features), CONTRACT, label)


def test_steps_know_their_source_and_output() -> None:
    made = plan(
        n=agg.count(where="fraud and amount > 1"), s=agg.sum("amount", where="country == 'DE'", over="1h"),
        c=agg.last("country", where="country == 'DE'"), d=agg.count_distinct("country", over="1d"), f=agg.mean("fraud"),
    )  # fmt: skip
    assert made.names == ("n", "s", "c", "d", "f")
    assert made.output_kinds == ("int", "float", "str", "int", "float")
    assert [step.source for step in made.steps] == ["outcome", "event", "event", "event", "outcome"]
    assert [step.condition for step in made.steps] == [1, 1, 1, 0, 0]
    assert made.steps[1].over_us == 3_600_000_000
    assert made.steps[4].column == len(CONTRACT.fields)
    assert made.reads == {"fraud", "amount", "country"}


@pytest.mark.parametrize(
    "aggregate",
    [
        agg.sum("country"), agg.mean("at"), agg.sum("nothing"), agg.count(where="nothing > 1"), agg.change("fraud"),
        agg.count(where="country > 'A'"), agg.sum("label"),
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_be_names_its_feature(aggregate: agg.Aggregate) -> None:
    with pytest.raises(DeclarationError, match=r"FeatureView\(Payment, wrong="):
        plan(wrong=aggregate)


def test_without_a_label_no_column_but_the_events() -> None:
    with pytest.raises(DeclarationError, match="neither a column of Payment nor the label"):
        plan(label=None, wrong=agg.sum("fraud"))


def test_views_on_one_key_share_a_plan_and_names_are_unique() -> None:
    views = [
        FeatureView(Payment, a=agg.count()).spec(),
        FeatureView(Payment, by=None, b=agg.count()).spec(),
        FeatureView(Payment, c=agg.count()).spec(),
    ]
    plans, names = plans_by_key(views, CONTRACT, None)
    assert names == ("a", "b", "c")
    assert [plan.names for plan in plans] == [("a", "c"), ("b",)]
    with pytest.raises(DeclarationError, match="two features are called 'a'"):
        plans_by_key([views[0], views[0]], CONTRACT, None)


def test_compiling_a_plan_imports_neither_numba_nor_arrow() -> None:
    code = (
        "import sys, modelwright.features.plan, modelwright.features.strings, modelwright.features.encode\n"
        "import modelwright.features.online\n"
        "assert not {'numba', 'pyarrow'} & set(sys.modules), sorted({'numba', 'pyarrow'} & set(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
