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
        rows = [(5, 1, True, (math.nan, math.nan, math.nan, 2.0, math.nan))] if key == ("a",) else []
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


class Told:
    """A history of what it was told; counts how often it is asked."""

    def __init__(self) -> None:
        self.rows: dict[object, list[Any]] = {}
        self.loads = 0

    def tell(self, seq: int, at: int, values: list[Any]) -> None:
        self.rows.setdefault(values[2], []).append((at, seq, True, (math.nan, math.nan, math.nan, values[3], math.nan)))

    def load(self, by: tuple[str, ...], key: tuple[object, ...]) -> tuple[np.ndarray, np.ndarray]:
        self.loads += 1
        return np.array(self.rows.get(key[0], []), EVENT_ROW(5)), np.array([], OUTCOME_ROW(5))


MINUTE = 60_000_000
HOURLY = FeatureView(
    Payment, n=agg.count(), n_1h=agg.count(over="1h"), most=agg.max("amount"), most_1h=agg.max("amount", over="1h"),
    third=agg.lag("amount", 3), recent=agg.ewm("amount", half_life="10m"),
).spec()  # fmt: skip


def hourly(told: Told | None, **settings: int) -> OnlineHost:
    return OnlineHost([HOURLY], CONTRACT, None, MemoryStrings(), told, **settings)


def test_memory_is_bounded_by_the_windows() -> None:
    told = Told()
    bounded, whole = hourly(told), hourly(None)
    for i in range(3_000):
        values = payment("a", float(i * 7919 % 1000))
        if i % 50 == 0:
            assert repr(bounded.read(values, i * MINUTE)) == repr(whole.read(values, i * MINUTE))
        told.tell(i, i * MINUTE, values)
        for made in (bounded, whole):
            made.append_event(i, i * MINUTE, values)
    held = bounded._histories[0]._held(("a",))
    assert held.events.base + held.events.n == 3_000
    assert held.events.n < 500
    assert len(held.events.times) < 1_000
    assert told.loads == 1
    assert bounded.read(payment("a"), 2_000 * MINUTE) == whole.read(payment("a"), 2_000 * MINUTE)
    assert told.loads == 2, "a request from before what is held loads the key"


def test_memory_is_bounded_by_tiles() -> None:
    """Of 6,000 events in the window those of the last step and the hour before are held, and a tile for each step."""
    settings = {
        name: getattr(agg, name)("amount", over="80h") for name in ("sum", "std", "min", "max", "last", "first")
    }
    sets = {name: getattr(agg, name)("amount", over="40h", where="amount < 40") for name in ("count_distinct", "top_k")}
    view = FeatureView(Payment, step="4h", n=agg.count(over="8h"), **settings, **sets, mean=agg.mean("amount")).spec()
    told = Told()
    tiled, whole = (OnlineHost([view], CONTRACT, None, MemoryStrings(), source) for source in (told, None))
    for i in range(6_000):
        values = payment("a", float(i * 7919 % 1000) / 7)
        for at in (i * MINUTE, i * MINUTE - MINUTE // 2) if i % 10 == 0 else ():
            assert repr(tiled.read(values, at)) == repr(whole.read(values, at))
        told.tell(i, i * MINUTE, values)
        for made in (tiled, whole):
            made.append_event(i, i * MINUTE, values)
    held = tiled._histories[0]._held(("a",))
    assert held.events.base + held.events.n == 6_000
    assert 20 <= held.tiles[0] <= 23
    assert held.events.n < 800
    assert told.loads == 1
    assert repr(tiled.read(payment("a"), 5_000 * MINUTE)) == repr(whole.read(payment("a"), 5_000 * MINUTE))
    assert told.loads == 2, "a request from among the tiles loads the key"


def test_memory_is_bounded_by_the_most_events() -> None:
    """Of 3,000 events in the window the newest 40 are read, and those of the last hour held besides."""
    view = FeatureView(
        Payment, shops=agg.count_distinct("amount", over="90d", most=40),
        middle=agg.delta(agg.quantile("amount", 0.5, over="60d", most=7, where="amount > 500")), n=agg.count(),
    ).spec()  # fmt: skip
    told = Told()
    bounded, whole = (OnlineHost([view], CONTRACT, None, MemoryStrings(), source, few=9) for source in (told, None))
    for i in range(3_000):
        values = payment("a", float(i * 7919 % 1000))
        assert repr(bounded.read(values, i * MINUTE)) == repr(whole.read(values, i * MINUTE))
        told.tell(i, i * MINUTE, values)
        for made in (bounded, whole):
            made.append_event(i, i * MINUTE, values)
    held = bounded._histories[0]._held(("a",))
    assert held.events.n < 300
    assert told.loads == 1
    soon = held.events.dropped_us + 20 * MINUTE  # of the newest 40 before it, 20 are held
    assert repr(bounded.read(payment("a"), soon)) == repr(whole.read(payment("a"), soon))
    assert told.loads == 2


def test_nothing_is_dropped_that_could_not_be_loaded_again() -> None:
    made = hourly(None)
    for i in range(3_000):
        made.append_event(i, i * MINUTE, payment("a"))
    assert made._histories[0]._held(("a",)).events.n == 3_000


def test_a_row_dated_in_the_future_does_not_push_the_present_out() -> None:
    told = Told()
    made = hourly(told)
    for i in range(1_000):
        made.read(payment("a"), i * MINUTE)
        at = i * MINUTE if i != 500 else 10**9 * MINUTE
        told.tell(i, at, payment("a"))
        made.append_event(i, at, payment("a"))
    assert told.loads == 1
    assert made.read(payment("a"), 1_000 * MINUTE)[:2] == [999, 60]


def test_keys_not_touched_for_long_are_forgotten() -> None:
    told = Told()
    made = hourly(told, most_keys=3)
    for i in range(100):
        told.tell(i, i, payment(str(i % 50)))
        made.append_event(i, i, payment(str(i % 50)))
    history = made._histories[0]
    assert len(history._young) + len(history._old) <= 6
    assert [made.read(payment(str(key)), 200)[0] for key in range(50)] == [2] * 50


def test_a_tie_goes_to_the_value_seen_last_however_late_the_others_came() -> None:
    view = FeatureView(Payment, usual=agg.top_k("shop", over="1h")).spec()
    made = OnlineHost([view], CONTRACT, None, MemoryStrings(), few=0)
    for seq, (at, shop) in enumerate([(10, "kiosk"), (20, "baker"), (15, "butcher"), (17, "florist")]):
        made.append_event(seq, at, payment("a", 1.0, shop))
        latest = "kiosk" if seq == 0 else "baker"
        assert made.read(payment("a"), 30) == [latest]
    assert [made.read(payment("a"), at) for at in (20, 17, 15, 30)] == [["florist"], ["butcher"], ["kiosk"], ["baker"]]
