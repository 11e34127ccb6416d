"""The promises of the feature kernel: parity to the bit, agreement with the oracle, no leak, order, rebuild."""

import math
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.features import retention
from modelwright.features.encode import KeyReader, RowEncoder, encode_value
from modelwright.features.offline import compute
from modelwright.features.online import EVENT_ROW, OUTCOME_ROW, OnlineHost
from modelwright.features.plan import LabelColumn
from modelwright.features.strings import MemoryStrings
from modelwright.spec import agg
from modelwright.spec.event import contract_of, event
from modelwright.spec.view import FeatureView
from modelwright.testing.oracle import features_at, magnitudes_at, within_promise
from modelwright.testing.sql import features_by_sql


@event(id="id", entity="card", time="at")
class Payment:
    id: str
    at: datetime
    card: str | None
    amount: float | None
    items: int | None
    abroad: bool | None
    country: str | None


CONTRACT = contract_of(Payment)
LABEL = LabelColumn("fraud", "bool")
NAMES = CONTRACT.names


def numeric(prefix: str, column: str, over: str | None, where: str | None = None) -> dict[str, Any]:
    kinds = ("sum", "mean", "min", "max", "std", "last", "first")
    sets = ("count_distinct", "distinct_ratio", "top_k") if over else ()
    features = {f"{prefix}_{kind}": getattr(agg, kind)(column, over=over, where=where) for kind in (*kinds, *sets)}
    features[f"{prefix}_ewm"] = agg.ewm(column, half_life="3us", over=over, where=where)
    if over:
        features |= {f"{prefix}_q{q}": agg.quantile(column, q / 100, over=over, where=where) for q in (0, 31, 50, 100)}
    return features


CARD = FeatureView(
    Payment,
    **numeric("amount5", "amount", "5us"),
    **numeric("amount", "amount", None),
    **numeric("big", "amount", "12us", "items > 1 and not (country == 'DE')"),
    **numeric("fraud", "fraud", None),
    **numeric("fraud6", "fraud", "6us", "amount >= 0 or abroad"),
    payments=agg.count(over="3us"),
    frauds=agg.count(where="fraud", over="9us"),
    idle=agg.time_since_last(where="abroad"),
    idle_fraud=agg.time_since_last(where="fraud == True"),
    third=agg.lag("amount", 3),
    second_fraud=agg.lag("fraud", 2, over="20us"),
    jump=agg.change("amount"),
    jump_from_fraud=agg.change("amount", where="fraud"),
    above_mean=agg.delta(agg.mean("amount", over="9us")),
    above_median=agg.delta(agg.quantile("amount", 0.5, over="20us", where="abroad")),
    above_lag=agg.delta(agg.lag("items", 2)),
    above_ewm=agg.delta(agg.ewm("amount", half_life="2us", where="fraud")),
    payments_a_second=agg.rate(over="7us"),
    frauds_a_second=agg.rate(over="4us", where="fraud"),
    slow_ewm=agg.ewm("amount", half_life="1h"),
    country_most=agg.top_k("country", over="15us"),
    countries_ratio=agg.distinct_ratio("country", over="8us", where="items > 0"),
    country_last=agg.last("country"),
    country_lag=agg.lag("country", 2, where="country in ['DE', 'FR']"),
    countries=agg.count_distinct("country", over="10us"),
)
WORLD = FeatureView(
    Payment, by=None, all_payments=agg.count(), all_std=agg.std("amount", over="7us"), all_fraud=agg.mean("fraud"),
    all_items=agg.sum("items", over="2us", where="country not in ['IT'] and 0 <= items < 3"), card_last=agg.last("card"),
)  # fmt: skip
PAIR = FeatureView(Payment, by=("card", "country"), pair_n=agg.count(over="15us"), pair_max=agg.max("amount"))
PROMPT = FeatureView(
    Payment, lateness="4us", **numeric("prompt", "amount", "9us"), prompt_n=agg.count(), prompt_frauds=agg.sum("fraud"),
    prompt_idle=agg.time_since_last(), prompt_lag=agg.lag("country", 2, where="items > 0"),
)  # fmt: skip
STEPPED = FeatureView(
    Payment, step="4us", **numeric("step", "amount", "8us"), **numeric("step_fraud", "fraud", "12us", "items > 0"),
    step_n=agg.count(over="4us"), step_rate=agg.rate(over="8us"), step_all=agg.sum("items"), step_lag=agg.lag("amount", 2),
    step_idle=agg.time_since_last(over="4us"), step_delta=agg.delta(agg.mean("amount", over="12us")),
)  # fmt: skip
SUMMED = FeatureView(
    Payment, by=None, step="3us", lateness="20us", tile_n=agg.count(over="9us"), tile_rate=agg.rate(over="3us"),
    **{f"tile_{kind}": getattr(agg, kind)("amount", over="9us") for kind in ("sum", "mean", "min", "max", "std", "last")},
    **{f"tile_few_{kind}": getattr(agg, kind)("amount", over="6us", where="items > 0") for kind in ("std", "max")},
    tile_countries=agg.count_distinct("country", over="6us"), tile_ratio=agg.distinct_ratio("items", over="9us"),
    tile_most=agg.top_k("country", over="9us"), tile_frauds=agg.sum("fraud", over="6us"), tile_all=agg.std("items"),
    tile_idle=agg.time_since_last(over="9us", where="abroad"), tile_lag=agg.lag("amount", 3, over="9us"),
    tile_first=agg.first("amount", over="9us"), tile_half=agg.quantile("amount", 0.5, over="9us"),
    tile_delta=agg.delta(agg.quantile("items", 0.3, over="6us")),
)  # fmt: skip
SETS = ("count_distinct", "distinct_ratio", "top_k")
BOUNDED = FeatureView(
    Payment, by=("country",),
    **{f"most_{kind}_{most}": getattr(agg, kind)("amount", over="9us", most=most) for kind in SETS for most in (1, 3)},
    most_where=agg.count_distinct("items", over="20us", most=4, where="amount > 0"),
    most_median=agg.quantile("amount", 0.5, over="15us", most=3), most_big=agg.quantile("items", 1.0, over="15us", most=100),
    most_delta=agg.delta(agg.quantile("amount", 0.2, over="15us", most=2)),
    most_fraud=agg.top_k("fraud", over="15us", most=2), most_frauds=agg.count_distinct("fraud", over="20us", most=3),
)  # fmt: skip
BOUNDED_STEPPED = FeatureView(
    Payment, step="4us", bounded_step=agg.quantile("amount", 0.4, over="8us", most=3),
    bounded_step_fraud=agg.distinct_ratio("fraud", over="12us", most=2, where="items > 0"),
)  # fmt: skip
ONLY_BOUNDED = FeatureView(Payment, by=("abroad",), only_bounded=agg.top_k("country", over="1h", most=3))
PROMPT_WORLD = FeatureView(Payment, by=None, lateness="8us", prompt_world=agg.count(over="30us"))
TIMELY = [view.spec() for view in (PROMPT, PROMPT_WORLD, SUMMED)]
"""Views for which a row can be too late."""
VIEWS = [*(view.spec() for view in (CARD, WORLD, PAIR, STEPPED, BOUNDED, BOUNDED_STEPPED, ONLY_BOUNDED)), *TIMELY]

AMOUNTS = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 1e12, -1e12, 1e-6, 0.1, 0.2, 0.3, 1e300, -1e300, 5e-324, 2.0**-1030, 1e150, math.nan]),
    st.sampled_from([math.inf, -math.inf]),
    st.floats(-1e6, 1e6),
)
EVENT = st.fixed_dictionaries(
    {
        "at": st.integers(0, 25),
        "card": st.sampled_from([None, "a", "a", "a", "b"]),
        "amount": AMOUNTS,
        "items": st.none() | st.integers(0, 4) | st.sampled_from([2**63 - 1, -(2**63)]),
        "abroad": st.none() | st.booleans(),
        "country": st.sampled_from([None, "DE", "FR", "IT"]),
        "_live": st.booleans(),
    }
)
OUTCOME = st.tuples(st.integers(0, 10**6), st.integers(-3, 12), st.none() | st.booleans())
ENTRIES = st.lists(st.one_of(EVENT, EVENT, OUTCOME), min_size=1, max_size=24)
Log = tuple[list[dict[str, Any]], list[dict[str, Any]]]


AS_FINITE = {math.inf: 1e200, -math.inf: -1e200}
"""What an infinite amount is replaced with for the oracle, which knows fractions alone."""


def arrange(entries: list[Any], in_time: bool = False) -> Log:
    """Events and outcomes in order of arrival, with sequence numbers; an outcome is of some event before it."""
    if in_time:
        times = iter(sorted(entry["at"] for entry in entries if isinstance(entry, dict)))
        entries = [{**entry, "at": next(times)} if isinstance(entry, dict) else entry for entry in entries]
    events: list[dict[str, Any]] = []
    outcomes: list[dict[str, Any]] = []
    for seq, entry in enumerate(entries):
        if isinstance(entry, dict):
            events.append({**entry, "id": f"p{seq}", "_seq": seq})
        elif events:
            place, delay, fraud = entry
            of = events[place % len(events)]
            outcomes.append({"_id": of["id"], "fraud": fraud, "_known_at": of["at"] + delay, "_seq": seq})
    return events, outcomes


def event_table(rows: list[dict[str, Any]]) -> pa.Table:
    kinds = {
        "id": pa.string(), "at": pa.timestamp("us", "UTC"), "card": pa.string(), "amount": pa.float64(),
        "items": pa.int64(), "abroad": pa.bool_(), "country": pa.string(), "_seq": pa.int64(), "_live": pa.bool_(),
    }  # fmt: skip
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})


def outcome_table(rows: list[dict[str, Any]]) -> pa.Table:
    kinds = {"_id": pa.string(), "fraud": pa.bool_(), "_known_at": pa.timestamp("us", "UTC"), "_seq": pa.int64()}
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})


def offline(
    events: list[dict[str, Any]], outcomes: list[dict[str, Any]], requests: Any = None, views: Any = VIEWS
) -> list[list[Any]]:
    asked = event_table(events if requests is None else requests)
    answers = compute(views, CONTRACT, LABEL, event_table(events), asked, outcome_table(outcomes))
    return [list(row.values()) for row in answers.to_pylist()]


def values_of(row: dict[str, Any]) -> list[Any]:
    return [row[name] for name in NAMES]


class LogHistory:
    """A HistorySource over the rows appended so far, in order of arrival."""

    def __init__(self, strings: MemoryStrings) -> None:
        self.strings = strings
        self.events: list[dict[str, Any]] = []
        self.outcomes: list[tuple[int, int, int, Any, dict[str, Any]]] = []

    def load(self, by: tuple[str, ...], key: tuple[object, ...]) -> tuple[np.ndarray, np.ndarray]:
        reader, encoder = KeyReader(CONTRACT, by), RowEncoder(CONTRACT, self.strings)
        events = [
            (row["at"], row["_seq"], row["_live"], encoder.encode(values_of(row)))
            for row in self.events
            if reader.key(values_of(row)) == key
        ]
        outcomes = [
            (
                known,
                seq,
                of,
                np.append(encoder.encode(values_of(row)), encode_value("bool", "fraud", fraud, self.strings)),
            )
            for seq, of, known, fraud, row in self.outcomes
            if reader.key(values_of(row)) == key
        ]
        return np.array(events, EVENT_ROW(len(NAMES))), np.array(outcomes, OUTCOME_ROW(len(NAMES)))


class Replay:
    """A log told to a host row by row, as live serving would."""

    def __init__(
        self, events: list[dict[str, Any]], outcomes: list[dict[str, Any]], with_history: bool, **settings: int
    ) -> None:
        self.strings = MemoryStrings()
        self.history = LogHistory(self.strings)
        history = self.history if with_history else None
        self.host = OnlineHost(VIEWS, CONTRACT, LABEL, self.strings, history, **settings)
        for kept in self.host._histories if with_history else []:
            kept._worth = math.inf  # so that there are tiles, however few their rows
        self.by_id = {row["id"]: row for row in events}
        self.rows = sorted([*events, *outcomes], key=lambda row: row["_seq"])

    def append(self, row: dict[str, Any]) -> None:
        if "_id" not in row:
            self.history.events.append(row)
            self.host.append_event(row["_seq"], row["at"], values_of(row), live=row["_live"])
            return
        of = self.by_id[row["_id"]]
        known = max(row["_known_at"], of["at"] + 1)
        self.history.outcomes.append((row["_seq"], of["_seq"], known, row["fraud"], of))
        self.host.append_outcome(row["_seq"], of["_seq"], known, row["fraud"], values_of(of))

    def as_known(self, forget: bool = False) -> list[list[Any]]:
        """Each event's features just before it is appended."""
        answers = []
        for row in self.rows:
            if forget:
                self.host.forget()
            if "_id" not in row:
                answers.append(self.host.read(values_of(row), row["at"]))
            self.append(row)
        return answers


def same(left: Any, right: Any) -> bool:
    """Equal to the last bit; repr tells 0.0 from -0.0 and calls all NaN one."""
    return repr(left) == repr(right)


@given(ENTRIES, st.booleans())
def test_offline_equals_online_as_known(entries: list[Any], in_time: bool) -> None:
    events, outcomes = arrange(entries, in_time)
    live = [{**row, "_live": True} for row in events]
    if events:
        assert same(offline(live, outcomes), Replay(live, outcomes, False).as_known())


@given(ENTRIES)
def test_offline_by_time_equals_online_that_has_seen_all(entries: list[Any]) -> None:
    events, outcomes = arrange(entries)
    replay = Replay(events, outcomes, False)
    for row in replay.rows:
        replay.append(row)
    answers = [replay.host.read(values_of(row), row["at"]) for row in events]
    if events:
        assert same(offline(events, outcomes, [{**row, "_live": False} for row in events]), answers)


@given(ENTRIES, st.booleans(), st.randoms(use_true_random=False))
def test_running_states_equal_a_fresh_scan(entries: list[Any], in_time: bool, random: Any) -> None:
    """With states kept from the first row on: as rows come, as they come late, and when reads go back in time."""
    events, outcomes = arrange(entries, in_time)
    running, fresh = Replay(events, outcomes, False, few=0), Replay(events, outcomes, False)
    for row in running.rows:
        if "_id" not in row:
            for at in (row["at"], row["at"] + random.randint(-9, 9)):
                assert same(running.host.read(values_of(row), at), fresh.host.read(values_of(row), at))
        running.append(row)
        fresh.append(row)
    for row in events:
        before = random.choice([None, row["_seq"]])
        expected = fresh.host.read(values_of(row), row["at"], before=before)
        assert same(running.host.read(values_of(row), row["at"], before=before), expected)


@given(ENTRIES, st.booleans(), st.integers(1, 3), st.sampled_from([0, 2, 9]), st.randoms(use_true_random=False))
def test_what_is_dropped_and_forgotten_changes_nothing(
    entries: list[Any], in_time: bool, most_keys: int, slack: int, random: Any
) -> None:
    pace = random.choice([1, 3, 20])
    entries = [{**entry, "at": pace * entry["at"]} if isinstance(entry, dict) else entry for entry in entries]
    events, outcomes = arrange(entries, in_time)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "SLACK_US", slack)
        bounded = Replay(events, outcomes, True, few=0, most_keys=most_keys)
        fresh = Replay(events, outcomes, False)
        for row in bounded.rows:
            if "_id" not in row:
                for at in (row["at"], row["at"] + random.randint(-9, 9)):
                    assert same(bounded.host.read(values_of(row), at), fresh.host.read(values_of(row), at))
            bounded.append(row)
            fresh.append(row)
        for row in events:
            before = random.choice([None, row["_seq"]])
            expected = fresh.host.read(values_of(row), row["at"], before=before)
            assert same(bounded.host.read(values_of(row), row["at"], before=before), expected)


@given(ENTRIES, st.integers(1, 9), st.booleans())
def test_many_at_once_equals_one_by_one(entries: list[Any], size: int, in_time: bool) -> None:
    events, _ = arrange(entries, in_time)
    one, many = Replay(events, [], False), Replay(events, [], False, few=0)
    for start in range(0, len(events), size):
        live = events[start]["_live"]
        chunk = [{**row, "_live": live} for row in events[start : start + size]]
        many.host.append_events([(row["_seq"], row["at"], values_of(row)) for row in chunk], live=live)
        for row in chunk:
            one.append(row)
        for row in events:
            assert same(one.host.read(values_of(row), row["at"]), many.host.read(values_of(row), row["at"]))


@given(ENTRIES)
def test_rebuilt_equals_appended(entries: list[Any]) -> None:
    events, outcomes = arrange(entries)
    plain = Replay(events, outcomes, False).as_known()
    assert same(plain, Replay(events, outcomes, True).as_known())
    assert same(plain, Replay(events, outcomes, True).as_known(forget=True))


@given(ENTRIES)
def test_agrees_with_oracle(entries: list[Any]) -> None:
    events, outcomes = arrange(entries)
    events = [{**row, "amount": AS_FINITE.get(row["amount"], row["amount"])} for row in events]
    if not events:
        return
    names = [name for view in VIEWS for name in view.features]
    for request, row in zip(events, offline(events, outcomes), strict=True):
        answers = dict(zip(names, row, strict=True))
        for view in VIEWS:
            magnitudes = magnitudes_at(view, CONTRACT, "fraud", events, outcomes, request)
            for name, exact in features_at(view, CONTRACT, "fraud", events, outcomes, request).items():
                answer = answers[name]
                if isinstance(exact, str) or isinstance(answer, str | int):
                    assert answer == exact, (name, request)
                else:
                    assert within_promise(answer, exact, magnitudes[name]), (name, answer, exact, request)


MODERATE = st.none() | st.sampled_from([0.0, -0.0, 1e12, -1e12, 1e-6, 0.1, 0.3]) | st.floats(-1e6, 1e6, width=32)


@settings(max_examples=max(5, settings.default.max_examples // 10))
@given(ENTRIES, st.lists(MODERATE, min_size=24, max_size=24), st.sampled_from(VIEWS))
def test_agrees_with_sql(entries: list[Any], amounts: list[Any], view: Any) -> None:
    """A tenth of the examples, each of many requests: DuckDB plans a query a feature."""
    events, outcomes = arrange(entries)
    events = [{**row, "amount": amount} for row, amount in zip(events, amounts, strict=False)]
    if not events:
        return
    answers = offline(events, outcomes, views=[view])
    exact = features_by_sql(view, CONTRACT, "fraud", events, outcomes, events)
    for request, row, expected in zip(events, answers, exact, strict=True):
        magnitudes = magnitudes_at(view, CONTRACT, "fraud", events, outcomes, request)
        for (name, said), answer in zip(expected.items(), row, strict=True):
            if isinstance(said, str) or isinstance(answer, str | int):
                assert answer == said, (name, request)
            else:
                assert within_promise(answer, said, magnitudes[name]), (name, answer, said, request)


@given(ENTRIES, st.integers(0, 25), st.lists(EVENT, max_size=8))
def test_nothing_at_or_after_the_request_counts(entries: list[Any], now: int, future: list[Any]) -> None:
    events, outcomes = arrange(entries)
    if not events:
        return
    asked = [{**row, "_live": False} for row in events if row["at"] <= now] or [{**events[0], "at": now}]
    before = [row for row in events if row["at"] < now]
    known = [row for row in outcomes if row["_known_at"] <= now]
    changed = [{**row, "at": now + row["at"], "id": f"f{i}", "_seq": 900 + i} for i, row in enumerate(future)]
    told = [{"_id": row["id"], "fraud": True, "_known_at": 0, "_seq": 950 + i} for i, row in enumerate(changed)]
    told += [{**row, "fraud": not row["fraud"]} for row in outcomes if row["_known_at"] > now]
    asked = [{**row, "at": min(row["at"], now)} for row in asked]
    views = [view for view in VIEWS if view not in TIMELY]
    expected = offline(events, outcomes, asked, views)
    assert same(expected, offline(before + changed, known + told, asked, views))
    # How late a row came is a fact of the log: there, what came before it stays, and all that it says may change.
    other = {"amount": 7.0, "items": 1, "abroad": True, "country": "IT"}
    stayed = [row if row["at"] < now else {**row, **other} for row in events]
    expected = offline(events, outcomes, asked, TIMELY)
    assert same(expected, offline(stayed + changed, known + told, asked, TIMELY))


TILES = {
    **{kind: getattr(agg, kind)("amount", over="8us") for kind in ("sum", "mean", "min", "max", "std", "last", "first")},
    **{kind: getattr(agg, kind)("country", over="8us", where="items > 0") for kind in SETS},
    "n": agg.count(over="8us"), "rate": agg.rate(over="8us"), "median": agg.quantile("amount", 0.5, over="8us"),
    "ewm": agg.ewm("amount", half_life="3us", over="8us"), "frauds": agg.sum("fraud", over="8us"),
}  # fmt: skip


@given(ENTRIES, st.integers(1, 30), st.sampled_from([1, 2, 4, 8]))
def test_a_stepped_window_is_the_window_that_begins_at_its_step(entries: list[Any], now: int, step: int) -> None:
    events, outcomes = arrange(entries)
    if not events:
        return
    edge = (now - 8) // step * step
    plain = {name: msgspec.structs.replace(one, over_us=now - edge) for name, one in TILES.items()}
    asked = [{**row, "at": now} for row in events]
    stepped = FeatureView(Payment, step=f"{step}us", **TILES).spec()
    expected = offline(events, outcomes, asked, [FeatureView(Payment, **plain).spec()])
    assert same(offline(events, outcomes, asked, [stepped]), expected)


@given(ENTRIES, st.randoms())
def test_order_of_rows_and_of_requests_does_not_matter(entries: list[Any], random: Any) -> None:
    events, outcomes = arrange(entries)
    if not events:
        return
    expected = offline(events, outcomes)
    order = list(range(len(events)))
    random.shuffle(order)
    mixed_events, mixed_outcomes = random.sample(events, len(events)), random.sample(outcomes, len(outcomes))
    answers = offline(mixed_events, mixed_outcomes, [events[i] for i in order])
    assert same(answers, [expected[i] for i in order])


@pytest.mark.parametrize("few", [0, 40])
@pytest.mark.parametrize("seed", range(3))
def test_long_logs_slide_to_the_bits_of_a_fresh_scan(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long enough for windows to grow, slide and jump, and for stores to be enlarged."""
    random = np.random.default_rng(seed)
    entries: list[Any] = []
    at = 0
    for _ in range(600):
        at += int(random.choice([0, 1, 1, 2, 40], p=[0.3, 0.4, 0.1, 0.19, 0.01]))
        amount = float(random.normal() * 10.0 ** random.integers(-12, 13))
        entries.append(
            {
                "at": at - int(random.random() < 0.02) * 3,
                "card": str(random.choice(["a", "b"])),
                "amount": amount if random.random() < 0.9 else None,
                "items": int(random.integers(0, 4)),
                "abroad": bool(random.random() < 0.3),
                "country": str(random.choice(["DE", "FR", "IT"])),
                "_live": True,
            }
        )
        if random.random() < 0.7:
            entries.append((int(random.integers(0, 10**6)), int(random.integers(0, 30)), bool(random.random() < 0.5)))
    events, outcomes = arrange(entries)
    expected = offline(events, outcomes)
    assert same(expected, Replay(events, outcomes, False, few=few).as_known())
    monkeypatch.setattr(retention, "SLACK_US", 5)
    bounded = Replay(events, outcomes, True, few=few)
    assert same(expected, bounded.as_known())
    replay = Replay(events, outcomes, False, few=few)
    for row in replay.rows:
        replay.append(row)
    answers = [replay.host.read(values_of(row), row["at"]) for row in events]
    assert same(offline(events, outcomes, [{**row, "_live": False} for row in events]), answers)
