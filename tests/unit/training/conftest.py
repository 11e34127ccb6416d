"""A log of payments in Arrow tables, as the lake would give it."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from modelwright.spec import agg
from modelwright.spec.contract import Contract
from modelwright.spec.event import contract_of, event
from modelwright.spec.label import LabelSpec
from modelwright.spec.view import FeatureView
from modelwright.training.examples import Examples, build_examples

DAY = 86_400_000_000
T0 = 1_700_000_000_000_000
INSTANT = pa.timestamp("us", tz="UTC")


@event(id="id", entity="card", time="at")
class Payment:
    id: str
    card: str
    at: datetime
    amount: float | None
    country: str | None


VIEW = FeatureView(
    Payment,
    n=agg.count(over="3d"),
    spent=agg.sum("amount", over="5d"),
    frauds=agg.sum("fraud", over="9d"),
    last_country=agg.last("country"),
    jump=agg.change("amount"),
)
INPUTS = ("amount", "country", *VIEW.features)


class Ledger:
    """Events and outcomes to be; `tables()` gives them in the log's form."""

    def __init__(self, kind: str = "bool", delay_us: int = 2 * DAY) -> None:
        self.contract: Contract = contract_of(Payment)
        self.label = LabelSpec(name="fraud", kind=kind, delay_us=delay_us)  # type: ignore[arg-type]
        self.events: list[dict] = []
        self.outcomes: list[dict] = []

    def event(self, at_us, card="c", amount=1.0, country="DE", seq=None, live=False):
        seq = len(self.events) + len(self.outcomes) + 1 if seq is None else seq
        row = {
            "_seq": seq,
            "_id": f"p{seq}",
            "_live": live,
            "id": f"p{seq}",
            "card": card,
            "at": at_us,
            "amount": amount,
        }
        self.events.append(row | {"country": country})
        return seq

    def outcome(self, event_seq, value, known_us=None):
        at_us = next(row["at"] for row in self.events if row["_seq"] == event_seq)
        known_us = at_us + self.label.delay_us if known_us is None else known_us
        seq = len(self.events) + len(self.outcomes) + 1
        row = {"_seq": seq, "_event_seq": event_seq, "_id": f"p{event_seq}", "fraud": value, "_known_at": known_us}
        self.outcomes.append(row | {"_live": False})

    def tables(self):
        kinds = {"bool": pa.bool_(), "str": pa.string(), "float": pa.float64(), "int": pa.int64()}
        text, number = pa.string(), pa.int64()
        events = pa.schema(
            [("_seq", number), ("_id", text), ("_live", pa.bool_()), ("id", text), ("card", text), ("at", INSTANT),
             ("amount", pa.float64()), ("country", text)]
        )  # fmt: skip
        outcomes = pa.schema(
            [("_seq", number), ("_event_seq", number), ("_id", text), ("fraud", kinds[self.label.kind]),
             ("_known_at", INSTANT), ("_live", pa.bool_())]
        )  # fmt: skip
        return pa.Table.from_pylist(self.events, events), pa.Table.from_pylist(self.outcomes, outcomes)

    def examples(self) -> Examples:
        events, outcomes = self.tables()
        views = [VIEW.spec()] if self.label.kind in ("bool", "float", "int") else []
        inputs = INPUTS if views else INPUTS[:2]
        return build_examples(events, outcomes, self.contract, self.label, views, inputs)


@pytest.fixture
def ledger() -> type[Ledger]:
    return Ledger


@pytest.fixture
def history() -> Ledger:
    """200 payments over 50 days, a quarter of a day apart, each with its outcome two days later."""
    book, random = Ledger(), np.random.default_rng(1)
    for i in range(200):
        book.event(
            T0 + i * DAY // 4, f"c{random.integers(3)}", float(random.normal()), str(random.choice(["DE", "FR"]))
        )
    for seq in range(1, 201):
        book.outcome(seq, bool(random.random() < 0.4))
    return book
