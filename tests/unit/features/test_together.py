"""Aggregates answered together over whole keys: the same bits as one by one, whatever the column holds."""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modelwright.features import table
from modelwright.features.kernel import prefix
from modelwright.features.kernel.place import place, starts_of
from modelwright.features.offline import compute
from modelwright.features.online import OnlineHost
from modelwright.features.strings import MemoryStrings
from modelwright.spec import agg
from modelwright.spec.event import contract_of, event
from modelwright.spec.view import FeatureView

KINDS = ("sum", "mean", "std", "min", "max", "count_distinct", "distinct_ratio")
OVERS = ("3s", "40s", "10m")


@event(entity="card", time="at")
class Payment:
    card: str
    at: datetime
    amount: float | None
    items: int
    shop: str


CONTRACT = contract_of(Payment)
VIEW = FeatureView(
    Payment,
    **{f"{kind}_{over}": getattr(agg, kind)("amount", over=over) for kind in KINDS for over in OVERS},
    **{f"{kind}_of_many_{over}": getattr(agg, kind)("amount", over=over, where="items > 1") for kind in KINDS for over in OVERS},
    **{f"{kind}_items": getattr(agg, kind)("items", over="40s") for kind in KINDS},
    **{f"{kind}_ever": getattr(agg, kind)("amount") for kind in KINDS[:5]},
    **{f"shops_{over}": agg.count_distinct("shop", over=over) for over in OVERS},
    **{f"count_{over}": agg.count(over=over, where=where) for over, where in (("3s", None), ("40s", "items > 1"))},
    rate=agg.rate(over="10m"), above=agg.delta(agg.mean("amount", over="40s")),
).spec()  # fmt: skip


def log(seed: int, amounts: Any) -> pa.Table:
    """1,500 rows in no order, two thirds of one key; ties in time, missing amounts."""
    random = np.random.default_rng(seed)
    n = 1_500
    key = np.minimum(random.geometric(0.65, n), 30)
    amount = amounts(random, n)
    return pa.table(
        {
            "card": pa.array([f"c{k}" for k in key]),
            "at": pa.array(random.integers(0, 900, n) * 1_000_000).cast(pa.timestamp("us", "UTC")),
            "amount": pa.array(amount, mask=random.random(n) < 0.1),
            "items": pa.array(random.integers(0, 5, n)),
            "shop": pa.array([f"s{k}" for k in random.integers(0, 200, n)]),
        }
    )


def bits(answers: pa.Table) -> list[bytes]:
    return [column.combine_chunks().to_numpy(zero_copy_only=False).tobytes() for column in answers.columns]


COLUMNS = {
    "prices": lambda random, n: random.lognormal(3, 2, n).round(2),
    "refunds": lambda random, n: random.normal(0, 100, n).round(2),
    "wide": lambda random, n: random.choice([1.0, -1.0], n) * 2.0 ** random.uniform(-24, 25, n),
    "large": lambda random, n: random.uniform(0.5, 1, n) * 1e300,
    "tiny": lambda random, n: random.integers(-9, 9, n) * 5e-324,
    "too wide": lambda random, n: random.normal(size=n) * 10.0 ** random.integers(-20, 20, n),
    "infinite": lambda random, n: np.where(random.random(n) < 0.01, np.inf, random.normal(size=n)),
    "alike": lambda random, n: np.full(n, 0.1),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_together_equals_one_request_at_a_time(column: str) -> None:
    events = log(1, COLUMNS[column])
    host = OnlineHost([VIEW], CONTRACT, None, MemoryStrings())
    rows = list(zip(*(events[name].to_pylist() for name in CONTRACT.names), strict=True))
    at = events["at"].cast(pa.int64()).to_pylist()
    for seq in np.lexsort((np.arange(len(at)), at)).tolist():
        host.append_event(seq, at[seq], rows[seq])
    answers = [list(row.values()) for row in compute([VIEW], CONTRACT, None, events, events).to_pylist()]
    for i in range(0, len(rows), 3):
        assert repr(answers[i]) == repr(host.read(rows[i], at[i])), i


@pytest.mark.parametrize("column", COLUMNS)
def test_running_totals_equal_sliding_sums(column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events = log(2, COLUMNS[column])
    together = compute([VIEW], CONTRACT, None, events, events)
    monkeypatch.setattr(prefix, "lowest_unit", lambda values: -1)
    assert bits(together) == bits(compute([VIEW], CONTRACT, None, events, events))


def test_a_column_has_running_totals_where_its_values_are_near_enough() -> None:
    assert prefix.lowest_unit(np.array([0.0, np.nan])) == 0
    assert prefix.lowest_unit(np.array([])) == 0
    assert prefix.lowest_unit(np.array([1.0, 2.0**50])) > 0
    assert prefix.lowest_unit(np.array([1.0, -(2.0**51)])) == -1
    assert prefix.lowest_unit(np.array([1.0, -np.inf])) == -1


def test_few_requests_of_long_windows_equal_all_of_them() -> None:
    """Rows before the first window are passed over; a key may have requests and no rows, or rows and no requests."""
    events = log(3, COLUMNS["prices"])
    all_answers = compute([VIEW], CONTRACT, None, events, events)
    for wanted in ([7], [700, 3, 1_499], list(range(0, 1_500, 50))):
        asked = compute([VIEW], CONTRACT, None, events, events.take(wanted))
        assert bits(asked) == bits(all_answers.take(wanted))
    stranger = pa.table({**events.slice(0, 1).to_pydict(), "card": ["nobody"]}, schema=events.schema)
    assert compute([VIEW], CONTRACT, None, events, stranger)["count_3s"].to_pylist() == [0]
    assert compute([VIEW], CONTRACT, None, events.slice(0, 0), stranger)["sum_3s"].to_pylist() == [0.0]


@pytest.mark.parametrize("spread", [3, 100_000, 2**45])
@pytest.mark.parametrize("ordered", [True, False])
def test_rows_are_placed_by_key_time_and_sequence(spread: int, ordered: bool) -> None:
    random = np.random.default_rng(spread)
    n = 5_000
    key = np.minimum(random.zipf(1.5, n) - 2, 900).astype(np.int32)
    at = random.integers(-spread, spread, n)
    seq = np.arange(n) if ordered else random.permutation(n)
    starts = starts_of(key, 1_000)
    rows, times = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int64)
    order = np.empty(0, np.int64) if ordered else np.argsort(seq)
    for first, end in ((0, 1), (1, 40), (40, 1_000)):
        place(key, at, order, starts, first, end, rows, times)
    expected = np.lexsort((seq, at, key))
    expected = expected[key[expected] >= 0]
    assert rows.tolist() == expected.tolist()
    assert times.tolist() == at[expected].tolist()


def test_dictionaries_are_read_by_their_texts() -> None:
    """A dictionary may hold a text twice, none at all or texts that no row has, and each chunk has its own."""
    chunks = [
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 3]), pa.array(["a", "b", "a", None])),
        pa.DictionaryArray.from_arrays(pa.array([1, 0]), pa.array(["c", "b"])),
    ]
    texts = [text for chunk in chunks for text in chunk.to_pylist()]
    encoded = pa.chunked_array(chunks)
    numbers, names = table.texts(table.column_of(pa.table({"x": encoded}), "x", "rows"), "x")
    assert [None if np.isnan(number) else names[int(number)] for number in numbers] == texts
    plain = pa.table({"x": pa.array(["c", "z", None, "a"])})
    (left, right), count = table.keys([pa.table({"x": encoded}), plain], ("x",), ["events", "requests"], {"x": "str"})
    known = {text: number for text, number in zip(texts, left.tolist(), strict=True) if text}
    assert [known.get(text, -1) for text in texts] == left.tolist()
    assert right.tolist() == [known["c"], right[1], -1, known["a"]]
    assert right[1] not in known.values()
    assert max(left.max(), right.max()) < count
