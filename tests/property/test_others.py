"""Views over another event: the promises of the kernel hold for its rows as for the system's own."""

import math
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.features import retention
from modelwright.features.encode import KeyReader, RowEncoder
from modelwright.features.offline import compute
from modelwright.features.online import EVENT_ROW, OUTCOME_ROW, OnlineHost
from modelwright.features.plan import LabelColumn
from modelwright.features.strings import MemoryStrings, Scoped
from modelwright.spec import agg
from modelwright.spec.event import contract_of, event
from modelwright.spec.view import FeatureView
from modelwright.testing.oracle import features_at, magnitudes_at, within_promise


@event(id="id", entity="card", time="at")
class Payment:
    id: str
    country: str | None
    at: datetime
    card: str | None
    amount: float | None


@event(id="id", entity="card", time="when")
class Login:
    when: datetime
    id: str
    tries: int | None
    amount: float | None
    country: str | None
    card: str | None


OWN, OTHER = contract_of(Payment), contract_of(Login)
LABEL = LabelColumn("fraud", "bool")
LOGINS = FeatureView(
    Login,
    logins=agg.count(over="5us"),
    all_own_tries=agg.sum("tries"),
    usual=agg.mean("amount", over="9us", where="country != 'DE' and tries >= 1"),
    spread=agg.std("amount", over="20us"),
    least=agg.min("amount", over="7us"),
    last_country=agg.last("country"),
    countries=agg.count_distinct("country", over="12us"),
    most_seen=agg.top_k("country", over="12us", where="country in ['DE', 'FR']"),
    above=agg.change("amount"),
    above_usual=agg.delta(agg.mean("amount", over="15us")),
    since=agg.time_since_last(where="tries > 0"),
    smooth=agg.ewm("amount", half_life="3us"),
)
PAYMENTS = FeatureView(Payment, payments=agg.count(over="5us"), own_last_country=agg.last("country"))
PAIR = FeatureView(Login, by=("card", "country"), pair_logins=agg.count(), pair_second=agg.lag("amount", 2))
WORLD = FeatureView(Login, by=None, all_logins=agg.count(over="3us"), all_tries=agg.max("tries"))
OVER = [(LOGINS, OTHER), (PAYMENTS, OWN), (PAIR, OTHER), (WORLD, OTHER)]
VIEWS = [view.spec() for view, _ in OVER]

AMOUNT = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1e12, -1e12, 1e-6, 0.1, math.nan]), st.floats(-1e6, 1e6))
COMMON = {
    "card": st.sampled_from([None, "a", "a", "a", "b"]),
    "amount": AMOUNT,
    "country": st.sampled_from([None, "DE", "FR", "IT"]),
}
PAYMENT = st.fixed_dictionaries({"at": st.integers(0, 25), "_live": st.booleans(), **COMMON})
LOGIN = st.fixed_dictionaries({"when": st.integers(0, 25), "tries": st.none() | st.integers(0, 4), **COMMON})
ENTRIES = st.lists(PAYMENT | LOGIN, min_size=1, max_size=24)
KINDS = {
    "id": pa.string(), "at": pa.timestamp("us", "UTC"), "when": pa.timestamp("us", "UTC"), "card": pa.string(),
    "amount": pa.float64(), "tries": pa.int64(), "country": pa.string(), "_seq": pa.int64(), "_live": pa.bool_(),
}  # fmt: skip
Rows = list[dict[str, Any]]


def arrange(entries: Rows) -> tuple[Rows, Rows]:
    """Payments and logins in order of arrival; both have the same ids."""
    rows = [{**entry, "id": f"i{seq // 2}", "_seq": seq} for seq, entry in enumerate(entries)]
    return [row for row in rows if "at" in row], [row for row in rows if "when" in row]


def table(rows: Rows, names: tuple[str, ...]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], KINDS[name]) for name in names})


def offline(payments: Rows, logins: Rows, asked: Rows | None = None) -> list[list[Any]]:
    own = (*OWN.names, "_seq", "_live")
    told = table(logins, (*OTHER.names, "_seq"))
    requests = table(payments if asked is None else asked, own)
    answers = compute(VIEWS, OWN, LABEL, table(payments, own), requests, None, [(OTHER, told)])
    return [list(row.values()) for row in answers.to_pylist()]


class Past:
    """The rows appended so far, as a HistorySource; `of` gives those of the other event."""

    def __init__(self, contract: Any, strings: Any, other: "Past | None" = None) -> None:
        self.contract, self.strings, self.other = contract, strings, other
        self.rows: Rows = []

    def of(self, event: str) -> Any:
        assert self.other is not None
        assert event == self.other.contract.name
        return self.other

    def load(self, by: tuple[str, ...], key: tuple[object, ...]) -> tuple[np.ndarray, np.ndarray]:
        reader, encoder = KeyReader(self.contract, by), RowEncoder(self.contract, self.strings)
        values = [([row[name] for name in self.contract.names], row) for row in self.rows]
        found = [
            (row[self.contract.time], row["_seq"], row.get("_live", False), encoder.encode(own))
            for own, row in values
            if reader.key(own) == key
        ]
        width = len(self.contract.names)
        return np.array(found, EVENT_ROW(width)), np.empty(0, OUTCOME_ROW(width))


class Replay:
    """A log told to a host row by row, as live serving would."""

    def __init__(self, entries: Rows, with_history: bool, **settings: int) -> None:
        strings = MemoryStrings()
        self.others = Past(OTHER, Scoped(strings, "Login"))
        self.past = Past(OWN, strings, self.others)
        self.host = OnlineHost(VIEWS, OWN, LABEL, strings, self.past if with_history else None, [OTHER], **settings)
        payments, logins = arrange(entries)
        self.rows = sorted([*payments, *logins], key=lambda row: row["_seq"])

    def append(self, row: dict[str, Any]) -> None:
        other = "when" in row
        past = self.others if other else self.past
        past.rows.append(row)
        values = [row[name] for name in past.contract.names]
        self.host.append_event(row["_seq"], row[past.contract.time], values, "Login" if other else None)

    def read(self, row: dict[str, Any], before: int | None = None) -> list[Any]:
        return self.host.read([row[name] for name in OWN.names], row["at"], before=before)

    def as_known(self, forget: bool = False) -> list[list[Any]]:
        """Each payment's features just before it is appended."""
        answers = []
        for row in self.rows:
            if forget:
                self.host.forget()
            if "at" in row:
                answers.append(self.read(row))
            self.append(row)
        return answers


def same(left: Any, right: Any) -> bool:
    """Equal to the last bit; repr tells 0.0 from -0.0 and calls all NaN one."""
    return repr(left) == repr(right)


@settings(deadline=None)
@given(ENTRIES)
def test_offline_equals_online_as_known_and_rebuilt(entries: Rows) -> None:
    payments, logins = arrange(entries)
    if payments:
        expected = offline([{**row, "_live": True} for row in payments], logins)
        assert same(expected, Replay(entries, False).as_known())
        assert same(expected, Replay(entries, True, few=0, most_keys=1).as_known())
        assert same(expected, Replay(entries, True).as_known(forget=True))


@settings(deadline=None)
@given(ENTRIES, st.booleans(), st.sampled_from([0, 2, 9]))
def test_offline_by_time_and_by_number_equals_online_that_has_seen_all(entries: Rows, kept: bool, slack: int) -> None:
    payments, logins = arrange(entries)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "SLACK_US", slack)
        replay = Replay(entries, kept, few=0)
        for row in replay.rows:
            replay.append(row)
        answers = [replay.read(row, row["_seq"] if row["_live"] else None) for row in payments]
    if payments:
        assert same(offline(payments, logins), answers)


@settings(deadline=None)
@given(ENTRIES)
def test_agrees_with_oracle(entries: Rows) -> None:
    payments, logins = arrange(entries)
    names = [name for view in VIEWS for name in view.features]
    for request, row in zip(payments, offline(payments, logins) if payments else [], strict=True):
        answers = dict(zip(names, row, strict=True))
        for view, contract in OVER:
            rows = logins if contract is OTHER else payments
            given_ = (view.spec(), contract, "fraud", rows, [], request, OWN)
            magnitudes = magnitudes_at(*given_)
            for name, exact in features_at(*given_).items():
                if isinstance(exact, str) or isinstance(answers[name], str | int):
                    assert answers[name] == exact, (name, request)
                else:
                    assert within_promise(answers[name], exact, magnitudes[name]), (name, answers[name], exact)


@settings(deadline=None)
@given(ENTRIES, st.integers(0, 25), st.lists(LOGIN, max_size=8))
def test_nothing_at_or_after_the_request_counts(entries: Rows, now: int, future: Rows) -> None:
    payments, logins = arrange(entries)
    asked = [{**row, "_live": False} for row in payments if row["at"] <= now]
    if not asked:
        return
    later = [{**row, "when": now + row["when"], "id": "f", "_seq": 900 + i} for i, row in enumerate(future)]
    before = [row for row in logins if row["when"] < now]
    assert same(offline(payments, logins, asked), offline(payments, before + later, asked))
