"""Tables in, tables out: the forms columns may come in, and what is refused. Values are the property tests' matter."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modelwright.core.errors import DataError
from modelwright.features.offline import compute
from modelwright.features.plan import LabelColumn
from modelwright.spec import agg
from modelwright.spec.event import contract_of, event
from modelwright.spec.view import FeatureView


@event(id="id", entity="card", time="at")
class Payment:
    id: int
    at: datetime
    card: int
    amount: float
    shop: str


CONTRACT = contract_of(Payment)
VIEW = FeatureView(
    Payment,
    n=agg.count(),
    total=agg.sum("amount", over="2s"),
    last_shop=agg.last("shop"),
    bad=agg.sum("bad"),
    up=agg.change("amount"),
).spec()
AT = [datetime(2024, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(4)]
EVENTS = pa.table(
    {
        "id": [1, 2, 3, 4],
        "at": pa.array(AT, pa.timestamp("us", "UTC")),
        "card": [7, 7, 8, 7],
        "amount": [1.0, 2.0, 4.0, 8.0],
        "shop": ["x", "y", "x", None],
    }
)
OUTCOMES = pa.table({"_id": [1, 99, 2], "bad": [True, True, True], "_known_at": pa.array([AT[1], AT[1], AT[0]])})
EXPECTED = {
    "n": [0, 1, 0, 2], "total": [0.0, 1.0, 0.0, 2.0], "last_shop": [None, "x", None, "y"], "bad": [0.0, 1.0, 0.0, 2.0],
    "up": [None, 1.0, None, 6.0],
}  # fmt: skip


def run(events: pa.Table = EVENTS, requests: pa.Table | None = None, outcomes: pa.Table | None = OUTCOMES) -> pa.Table:
    label = LabelColumn("bad", "bool")
    return compute([VIEW], CONTRACT, label, events, events if requests is None else requests, outcomes)


def plain(answers: pa.Table) -> dict[str, list[Any]]:
    return {
        name: [None if repr(value) == "nan" else value for value in values]
        for name, values in answers.to_pydict().items()
    }


def test_values_and_types() -> None:
    answers = run()
    assert plain(answers) == EXPECTED
    assert [str(kind) for kind in answers.schema.types] == [
        "int64", "double", "dictionary<values=string, indices=int32, ordered=0>", "double", "double",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("at", pa.timestamp("ns", "UTC")), ("at", pa.timestamp("us")), ("at", pa.timestamp("ms", "Europe/Berlin")),
        ("shop", pa.large_string()), ("shop", pa.dictionary(pa.int8(), pa.string())), ("amount", pa.int32()),
        ("amount", pa.float32()), ("card", pa.int16()),
    ],
)  # fmt: skip
def test_columns_may_come_in_other_forms(column: str, kind: pa.DataType) -> None:
    events = EVENTS.set_column(EVENTS.column_names.index(column), column, EVENTS[column].cast(kind))
    assert plain(run(events)) == EXPECTED
    assert plain(run(events, EVENTS)) == EXPECTED
    assert plain(run(pa.concat_tables([events.slice(0, 2), events.slice(2)]))) == EXPECTED


def test_requests_need_only_key_time_and_what_change_reads() -> None:
    assert plain(run(requests=EVENTS.select(["at", "card", "amount"]))) == EXPECTED


def test_nothing_in_nothing_out() -> None:
    assert run(requests=EVENTS.slice(0, 0)).num_rows == 0
    empty = plain(run(events=EVENTS.slice(0, 0), requests=EVENTS))
    assert empty["n"] == [0] * 4
    assert empty["last_shop"] == [None] * 4
    assert plain(run(outcomes=None))["bad"] == [0.0] * 4


def test_an_outcome_is_never_known_before_its_event() -> None:
    """The file says event 2 was known at second 0, before it happened at second 1: no request up to then sees it."""
    requests = pa.table(
        {"at": pa.array([AT[0], AT[1], AT[2]], pa.timestamp("us", "UTC")), "card": [7] * 3, "amount": [0.0] * 3}
    )
    assert run(requests=requests)["bad"].to_pylist() == [0.0, 1.0, 2.0]


def test_large_whole_keys_are_not_rounded() -> None:
    events = EVENTS.set_column(2, "card", pa.array([2**60, 2**60 + 1, 2**60, 2**60 + 1]))
    assert run(events)["n"].to_pylist() == [0, 0, 1, 1]


@pytest.mark.parametrize("column", ["amount", "at", "card"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(DataError, match=f"no column '{column}'"):
        run(EVENTS.drop_columns([column]))


def test_columns_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(DataError, match="must hold strings"):
        run(EVENTS.set_column(4, "shop", pa.array([1, 2, 3, 4])))
    with pytest.raises(DataError, match="must hold timestamps"):
        run(EVENTS.set_column(1, "at", pa.array([1, 2, 3, 4])))
    with pytest.raises(DataError, match="cannot be read as float"):
        run(EVENTS.set_column(3, "amount", pa.array(["1", "2", "x", "4"])))
    with pytest.raises(DataError, match="missing in 1 rows"):
        run(EVENTS.set_column(1, "at", pa.array([*AT[:3], None], pa.timestamp("us", "UTC"))))


def test_many_keys_with_few_rows_each() -> None:
    n = 5000
    events = pa.table(
        {
            "id": np.arange(n), "at": pa.array(np.arange(n), pa.timestamp("us")), "card": np.arange(n) % 1000,
            "amount": np.ones(n), "shop": pa.array(["x"] * n),
        }
    )  # fmt: skip
    assert run(events, outcomes=None)["n"].to_pylist() == [i // 1000 for i in range(n)]
