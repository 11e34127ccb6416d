"""Labels read from later events: as a naive reading says, known no sooner than they can be, the same live and in bulk."""

import statistics
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import modelwright as mw
from modelwright import agg
from modelwright.control import ahead
from modelwright.control.ahead import Closing, derive
from modelwright.core.clock import SimulatedClock
from modelwright.features.ahead import INSTANT, outcomes_ahead
from modelwright.ingest.identity import row_digest
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.spec.event import contract_of

OVER = 5


@mw.event(id="id", entity="card", time="at")
class Payment:
    id: str
    at: datetime
    card: str | None
    amount: int | None
    country: str | None


CONTRACT = contract_of(Payment)
WINDOW = f"{OVER}us"
LABELS: dict[str, tuple[Any, Callable[[list[dict[str, Any]]], Any]]] = {
    "again": (mw.Label.ahead(agg.count(over=WINDOW), kind=bool), lambda rows: len(rows) > 0),
    "count": (mw.Label.ahead(agg.count(over=WINDOW, where="amount > 1")), lambda rows: len(_above(rows, 1))),
    "sum": (mw.Label.ahead(agg.sum("amount", over=WINDOW), by=None, kind=int), lambda rows: sum(_amounts(rows))),
    "mean": (mw.Label.ahead(agg.mean("amount", over=WINDOW)), lambda rows: _or_none(statistics.fmean, rows)),
    "median": (
        mw.Label.ahead(agg.quantile("amount", 0.5, over=WINDOW)),
        lambda rows: _or_none(statistics.median, rows),
    ),
    "max": (mw.Label.ahead(agg.max("amount", over=WINDOW)), lambda rows: _or_none(max, rows)),
    "any": (
        mw.Label.ahead(agg.max("amount", over=WINDOW), kind=bool),
        lambda rows: _or_none(lambda a: max(a) > 0, rows),
    ),
    "next": (mw.Label.ahead(agg.first("country", over=WINDOW), kind=str), lambda rows: _named(rows, 0)),
    "last": (mw.Label.ahead(agg.last("country", over=WINDOW), by="card", kind=str), lambda rows: _named(rows, -1)),
    "both": (
        mw.Label.ahead(agg.count_distinct("amount", over=WINDOW), by=("card", "country")),
        lambda rows: len(set(_amounts(rows))),
    ),
}


def _amounts(rows):
    return [row["amount"] for row in rows if row["amount"] is not None]


def _above(rows, least):
    return [amount for amount in _amounts(rows) if amount > least]


def _or_none(figure, rows):
    return figure(_amounts(rows)) if _amounts(rows) else None


def _named(rows, place):
    names = [row["country"] for row in rows if row["country"] is not None]
    return names[place] if names else None


def naive(label, answer, events, upto):
    """What the events say, read one by one: id -> (outcome, when known), for windows that end before `upto`."""
    found = {}
    for event in events:
        if event["at"] + OVER >= upto or any(event[column] is None for column in label.by):
            continue
        rows = [
            other
            for other in sorted(events, key=lambda other: other["at"])
            if event["at"] < other["at"] <= event["at"] + OVER
            and all(other[column] == event[column] for column in label.by)
        ]
        outcome = answer(rows)
        if outcome is not None:
            found[event["id"]] = (outcome, event["at"] + OVER + 1)
    return found


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.integers(0, 30),
            "card": st.sampled_from(["a", "b", None]),
            "amount": st.sampled_from([None, -1, 0, 1, 2, 3]),
            "country": st.sampled_from(["DE", "FR", None]),
        }
    ),
    max_size=25,
).map(lambda events: [{"id": f"p{number}", **event} for number, event in enumerate(events)])


def table_of(events):
    columns = {name: [event[name] for event in events] for name in CONTRACT.names}
    types = {"id": pa.string(), "at": INSTANT, "card": pa.string(), "amount": pa.int64(), "country": pa.string()}
    table = pa.table({name: pa.array(column, types[name]) for name, column in columns.items()})
    return table.append_column("_id", table["id"])


def told(outcomes, label):
    """The table as the naive reading has it."""
    known = outcomes["_known_at"].cast(pa.int64()).to_pylist()
    assert known == sorted(known)
    return dict(
        zip(outcomes["_id"].to_pylist(), zip(outcomes[label.name].to_pylist(), known, strict=True), strict=True)
    )


def head_of(events):
    return max((event["at"] for event in events), default=0)


@pytest.mark.parametrize("name", LABELS)
@settings(deadline=None)
@given(events=EVENTS)
def test_outcomes_are_what_comes_after(name, events):
    declared, answer = LABELS[name]
    label = declared.of(CONTRACT)
    outcomes = outcomes_ahead(table_of(events), CONTRACT, label)
    assert told(outcomes, label) == naive(label, answer, events, head_of(events))


@settings(deadline=None)
@given(events=EVENTS, moment=st.integers(0, 30), name=st.sampled_from(list(LABELS)))
def test_what_is_known_at_a_moment_depends_on_nothing_after_it(events, moment, name):
    label = LABELS[name][0].of(CONTRACT)
    so_far = [event for event in events if event["at"] <= moment]
    known = told(outcomes_ahead(table_of(so_far), CONTRACT, label), label)
    in_the_end = told(outcomes_ahead(table_of(events), CONTRACT, label), label)
    assert known == {id: found for id, found in in_the_end.items() if found[1] <= head_of(so_far)}


def system_of(label):
    class Model:
        def fit(self, x, y): ...

        def predict(self, x): ...

    return mw.System(name="s", event=Payment, label=label, model=Model(), inputs=["amount"])


def write(log, event):
    values = [event[name] for name in CONTRACT.names]
    with log.write() as writer:
        writer.event(event["id"], event["at"], values, digest=row_digest(values))


def latest(log, label):
    """The latest outcome of each event in the log, and when it became known."""
    outcomes = log.outcomes()
    known = outcomes["_known_at"].cast(pa.int64()).to_pylist()
    return dict(
        zip(outcomes["_id"].to_pylist(), zip(outcomes[label.name].to_pylist(), known, strict=True), strict=True)
    )


STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.integers(0, 20), st.sampled_from(["a", "a", "a", "b", None]), st.integers(0, 3))] * 5,
        st.integers(1, 9),
        st.integers(1, 9),
        st.just("restart"),
    ),
    min_size=10,
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(
    steps=STEPS,
    name=st.sampled_from(["again", "count", "sum", "both"]),
    most=st.sampled_from([1, 3, 1_000]),
    many=st.sampled_from([0, 2, 1_000]),
)
def test_windows_closed_live_end_as_they_do_in_bulk(steps, name, most, many):
    """Events in any order, the clock passing, restarts between: what is derived is what the whole log says."""
    declared, answer = LABELS[name]
    system = system_of(declared)
    label = system.label
    written, now = [], 0
    schema = LogSchema(CONTRACT, label.name, label.kind)
    with (
        patch.object(ahead, "MANY", many),
        TemporaryDirectory() as folder,
        Log.open(Workspace(Path(folder)), schema, SimulatedClock(0)) as log,
    ):
        closing = Closing(system, log, since_us=-1)
        for step in steps:
            if step == "restart":
                closing = Closing(system, log, since_us=-1)
            elif isinstance(step, int):
                now += step
                closing.step(now, most)
                assert all(known <= max(now, head_of(written)) for _, known in latest(log, label).values())
            else:
                at, card, amount = step
                event = {"id": f"p{len(written)}", "at": at, "card": card, "amount": amount, "country": "DE"}
                written.append(event)
                write(log, event)
        now = max(now, head_of(written))
        while closing.step(now, most):
            pass
        assert latest(log, label) == naive(label, answer, written, now)
        assert derive(log, system).added == 0
