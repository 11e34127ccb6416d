"""The online host's own matters: what it loads, skips and forgets. Its values are the property tests' matter."""

import math
from datetime import datetime
from typing import Any

import numpy as np

from modelwright.features.online import EVENT_ROW, OUTCOME_ROW, OnlineHost
from modelwright.features.plan import LabelColumn
from modelwright.features.strings import MemoryStrings
from modelwright.spec import agg
from modelwright.spec.event import contract_of, event
from modelwright.spec.view import FeatureView


@event(id="id", entity="card", time="at")
class Payment:
    id: str
    at: datetime
    card: str | None
    amount: float
    shop: str | None


CONTRACT = contract_of(Payment)
VIEW = FeatureView(
    Payment, n=agg.count(), total=agg.sum("amount"), last_shop=agg.last("shop"), bad=agg.sum("bad"), spread=agg.std("amount")
).spec()  # fmt: skip


class OneKey:
    """A history of a single event, 'a' at 5; counts how often it is asked."""

    def __init__(self) -> None:
        self.loads: list[Any] = []

    def load(self, by: tuple[str, ...], key: tuple[object, ...]) -> tuple[np.ndarray, np.ndarray]:
        self.loads.append((by, key))
        rows = [(5, 1, (math.nan, math.nan, math.nan, 2.0, math.nan))] if key == ("a",) else []
        return np.array(rows, EVENT_ROW(5)), np.array([], OUTCOME_ROW(5))


def host(history: OneKey | None = None) -> OnlineHost:
    return OnlineHost([VIEW], CONTRACT, LabelColumn("bad", "bool"), MemoryStrings(), history)


def payment(card: str | None, amount: float = 1.0, shop: str | None = None) -> list[Any]:
    return ["x", 0, card, amount, shop]


def test_names_kinds_and_an_empty_history() -> None:
    made = host()
    assert made.names == ("n", "total", "last_shop", "bad", "spread")
    assert made.output_kinds == ("int", "float", "str", "float", "float")
    assert repr(made.read(payment("a"), 9)) == repr(made.read(payment(None), 9)) == "[0, 0.0, None, 0.0, nan]"


def test_a_key_is_loaded_once_and_again_after_forget() -> None:
    history = OneKey()
    made = host(history)
    assert made.read(payment("a"), 9)[:2] == made.read(payment("a"), 9)[:2] == [1, 2.0]
    assert history.loads == [(("card",), ("a",))]
    made.forget()
    assert made.read(payment("a"), 9)[:2] == [1, 2.0]
    assert len(history.loads) == 2


def test_an_append_of_what_was_loaded_is_passed_over() -> None:
    made = host(OneKey())
    made.append_event(1, 5, payment("a", 2.0))
    made.append_event(2, 6, payment("a", 3.0, "kiosk"))
    made.append_event(2, 6, payment("a", 3.0, "kiosk"))
    assert made.read(payment("a"), 9)[:3] == [2, 5.0, "kiosk"]


def test_a_correction_replaces_from_when_it_is_known() -> None:
    made = host()
    made.append_event(1, 5, payment("a"))
    made.append_outcome(2, 1, 7, True, payment("a"))
    made.append_outcome(3, 1, 9, False, payment("a"))
    assert [made.read(payment("a"), at)[3] for at in (6, 7, 8, 9)] == [0.0, 1.0, 1.0, 0.0]


def test_no_key_no_history() -> None:
    made = host()
    made.append_event(1, 5, payment(None))
    assert made.read(payment(None), 9)[0] == 0
