"""The offline work: card payments and the moments at which their history is asked for, as Parquet files.

5 M payments of 50,000 cards over 90 days. The cards' popularity is Zipf's law with exponent 1, so the first one has
about 438,000 payments. Keys and merchants are strings, amounts floats of two decimals, and rows stand in no order.
22 aggregates over windows of an hour to 30 days are asked for. `presorted` writes the same rows as the hand-written
kernel is given them: sorted by (card, time), cards and merchants as dense integers, amounts in cents.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modelwright.spec import agg
from modelwright.spec.event import contract_of, event
from modelwright.spec.view import FeatureView

HOUR = 3_600_000_000
WINDOWS = {"1h": HOUR, "24h": 24 * HOUR, "7d": 7 * 24 * HOUR, "30d": 30 * 24 * HOUR}
LONG = tuple(WINDOWS)[1:]
DAYS = 90
BEGIN_US = 1_735_689_600_000_000
MERCHANTS = 2_000
EVENTS, KEYS, REQUESTS = 5_000_000, 50_000, 500_000


@event(entity="card", time="at")
class Payment:
    """A card payment."""

    card: str
    at: datetime
    amount: float
    merchant: str


CONTRACT = contract_of(Payment)
VIEW = FeatureView(
    Payment,
    **{f"count_{over}": agg.count(over=over) for over in WINDOWS},
    **{f"sum_{over}": agg.sum("amount", over=over) for over in WINDOWS},
    **{f"mean_{over}": agg.mean("amount", over=over) for over in WINDOWS},
    **{f"max_{over}": agg.max("amount", over=over) for over in LONG},
    **{f"std_{over}": agg.std("amount", over=over) for over in LONG},
    **{f"distinct_{over}": agg.count_distinct("merchant", over=over) for over in LONG},
    last_30d=agg.last("amount", over="30d"),
).spec()
FEATURES = tuple(VIEW.features)
COUNTS = frozenset(name for name in FEATURES if name.startswith(("count", "distinct")))


def generate(folder: Path, events: int, keys: int = KEYS) -> None:
    """Write `events.parquet` and `requests.parquet`, a tenth as many requests; the same rows every time."""
    random = np.random.default_rng(20_261_121)
    requests = events // 10
    shares = np.cumsum(1.0 / np.arange(1, keys + 1))
    card = np.searchsorted(shares, random.random(events + requests) * shares[-1])
    card = random.permutation(keys)[card]
    at = BEGIN_US + random.integers(0, DAYS * 24 * HOUR, events + requests)
    amount = np.maximum(random.lognormal(3, 1, events).round(2), 0.01)
    merchant = np.minimum(random.zipf(1.2, events) - 1, MERCHANTS - 1)
    _write(
        folder / "events.parquet",
        card=_texts(card[:events], "card-", keys), at=_times(at[:events]), amount=pa.array(amount),
        merchant=_texts(merchant, "merchant-", MERCHANTS),
    )  # fmt: skip
    _write(
        folder / "requests.parquet",
        request=pa.array(np.arange(requests)), card=_texts(card[events:], "card-", keys), at=_times(at[events:]),
    )  # fmt: skip
    order = np.lexsort((at[:events], card[:events]))
    _write(
        folder / "presorted_events.parquet",
        card=pa.array(card[:events][order].astype(np.int32)), at=pa.array(at[:events][order]),
        cents=pa.array(np.rint(amount[order] * 100).astype(np.int64)),
        merchant=pa.array(merchant[order].astype(np.int32)),
    )  # fmt: skip
    order = np.lexsort((at[events:], card[events:]))
    _write(
        folder / "presorted_requests.parquet",
        request=pa.array(order), card=pa.array(card[events:][order].astype(np.int32)), at=pa.array(at[events:][order]),
    )  # fmt: skip


def _texts(numbers: np.ndarray, prefix: str, count: int) -> pa.Array:
    names = pa.array([f"{prefix}{i:07d}" for i in range(count)])
    return pa.DictionaryArray.from_arrays(pa.array(numbers.astype(np.int32)), names).cast(pa.string())


def _times(at: np.ndarray) -> pa.Array:
    return pa.array(at).cast(pa.timestamp("us", "UTC"))


def _write(path: Path, **columns: pa.Array) -> None:
    pq.write_table(pa.table(columns), path)
