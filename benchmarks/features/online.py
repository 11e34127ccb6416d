"""What a read and an update of the online host cost, in process, nothing written: `python -m benchmarks.features.online`.

Card payments of 5,000 keys with the popularity of Zipf's law, and one hot key whose windows hold 400,000 events. Each
timed read has a new event before it, as in serving: the read pays for what entered and left its windows. With late rows,
one event in 20 is asked for and appended up to a minute after later ones. Figures depend on the machine and on what runs
beside it; the table says how busy it was.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np

from modelwright.features.online import EVENT_ROW, OUTCOME_ROW, OnlineHost
from modelwright.features.strings import MemoryStrings
from modelwright.optimize.image import history_image
from modelwright.spec import agg
from modelwright.spec.event import contract_of, event
from modelwright.spec.view import FeatureView, ViewSpec

SECOND = 1_000_000
KEYS = 5_000
HOT = 400_000
BULK = 100_000


@event(id="id", entity="card", time="at")
class Payment:
    id: int
    at: datetime
    card: int
    amount: float
    merchant: int
    abroad: bool


CONTRACT = contract_of(Payment)
TEN = FeatureView(
    Payment, payments_24h=agg.count(over="24h"), spend_1h=agg.sum("amount", over="1h"),
    usual_30d=agg.mean("amount", over="30d"), spread_30d=agg.std("amount", over="30d"), most_7d=agg.max("amount", over="7d"),
    least_7d=agg.min("amount", over="7d"), merchants_7d=agg.count_distinct("merchant", over="7d"),
    last=agg.last("amount", over="30d"), abroad_7d=agg.count(over="7d", where="abroad"),
    recent=agg.ewm("amount", half_life="1d", over="30d"),
).spec()  # fmt: skip
STEADY = ("count", "sum", "mean", "std", "min", "max", "last", "lag", "ewm")
SETS = ("count_distinct", "distinct_ratio", "top_k", "quantile")


def aggregate(kind: str, over: str | None) -> agg.Aggregate:
    """One aggregate of the amount, by name."""
    if kind == "count":
        return agg.count(over=over)
    settings: dict[str, Any] = {"ewm": {"half_life": "1d"}, "lag": {"k": 3}, "quantile": {"q": 0.9}}.get(kind, {})
    made: agg.Aggregate = getattr(agg, kind)("merchant" if kind in SETS[:3] else "amount", over=over, **settings)
    return made


def payments(n: int, keys: int, days: float, random: np.random.Generator) -> list[tuple[int, int, list[Any]]]:
    """(sequence number, instant, values) of n payments, in order, the keys by Zipf's law."""
    at = np.sort(random.integers(0, int(days * 86_400 * SECOND), n))
    card = (random.zipf(1.3, n) - 1) % keys
    amount = random.lognormal(3, 1, n).round(2)
    merchant = random.integers(0, 2_000, n)
    abroad = random.random(n) < 0.1
    return [
        (i, int(at[i]), [i, int(at[i]), int(card[i]), float(amount[i]), int(merchant[i]), bool(abroad[i])])
        for i in range(n)
    ]


class Past:
    """The history of what was told so far, so that the host may drop what left its windows."""

    def __init__(self) -> None:
        self.rows: dict[tuple[object, ...], list[tuple[int, int, list[Any]]]] = {}

    def tell(self, rows: list[tuple[int, int, list[Any]]]) -> None:
        """Take in rows that the host is told of next."""
        for row in rows:
            self.rows.setdefault((row[2][2],), []).append(row)

    def load(self, by: tuple[str, ...], key: tuple[object, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The rows of a key."""
        rows = [(at, seq, True, tuple(float(value) for value in values)) for seq, at, values in self.rows.get(key, [])]
        width = len(CONTRACT.fields)
        return np.array(rows, EVENT_ROW(width)), np.array([], OUTCOME_ROW(width))


def late(rows: list[tuple[int, int, list[Any]]], random: np.random.Generator) -> list[tuple[int, int, list[Any]]]:
    """The same rows, one in 20 of them dated back by up to a minute."""
    back = np.where(random.random(len(rows)) < 0.05, random.integers(0, 60 * SECOND, len(rows)), 0)
    return [(seq, at - int(lag), values) for (seq, at, values), lag in zip(rows, back, strict=True)]


def host(view: ViewSpec, past: Past | None = None) -> OnlineHost:
    """A host with the kernels that a release brings along."""
    return OnlineHost([view], CONTRACT, None, MemoryStrings(), past, image=history_image())


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the largest, in microseconds."""
    found = np.array(seconds) * 1e6
    return {
        "p50": round(float(np.percentile(found, 50)), 1),
        "p99": round(float(np.percentile(found, 99)), 1),
        "max": round(float(found.max()), 1),
    }


def interleaved(
    made: OnlineHost, rows: list[tuple[int, int, list[Any]]], past: Past | None = None
) -> dict[str, dict[str, float]]:
    """Each event asked for, then appended."""
    out = np.empty(len(made.names))
    reads, updates = [], []
    for seq, at, values in rows:
        reads.append(_timed(lambda at=at, values=values: made.read_into(values, at, out)))
        if past is not None:
            past.tell([(seq, at, values)])
        updates.append(_timed(lambda seq=seq, at=at, values=values: made.append_event(seq, at, values)))
    return {"read": percentiles(reads), "update": percentiles(updates)}


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure() -> dict[str, Any]:
    """All figures: microseconds but for `bulk`, events a second."""
    random = np.random.default_rng(7)
    rows = payments(300_000, KEYS, 60, random)
    past = Past()
    made = host(TEN, past)
    taken = 0.0
    for start in range(0, len(rows) - 20_000, BULK):
        chunk = rows[start : min(start + BULK, len(rows) - 20_000)]
        began = time.perf_counter()
        made.append_events(chunk)
        taken += time.perf_counter() - began
        past.tell(chunk)
    found: dict[str, Any] = {
        f"ten features, {KEYS:,} keys": interleaved(made, rows[-20_000:], past),
        "bulk events/s": round((len(rows) - 20_000) / taken),
    }
    hot = payments(HOT + 3_000, 1, 30, random)
    for name, asked in (("", hot[HOT:]), (", late rows", late(hot[HOT:], random))):
        made = host(TEN)
        made.append_events(hot[:HOT])
        made.read(hot[HOT][2], hot[HOT][1])
        found[f"ten features, {HOT:,} events{name}"] = interleaved(made, asked)
    for over in ("30d", None):
        for kind in (*STEADY, *(SETS if over else ())):
            view = FeatureView(Payment, x=aggregate(kind, over)).spec()
            made = host(view)
            for start in range(0, HOT, BULK):
                made.append_events(hot[start : start + BULK])
            out = np.empty(1)
            first = _timed(lambda made=made, out=out: made.read_into(hot[HOT][2], hot[HOT][1], out))
            found[f"{kind}, {HOT:,} events, over {over or 'all history'}"] = {
                **interleaved(made, hot[HOT:]), "first read ms": round(first * 1e3, 1)
            }  # fmt: skip
    return found


def main() -> None:
    """Print the table, or with `--json` the figures."""
    load = os.getloadavg()[0]
    found = measure()
    if "--json" in sys.argv:
        print(json.dumps({"load": load, **found}))
        return
    print(f"{os.cpu_count()} cores, load average before {load:.2f}; microseconds")
    print(f"{'':46} {'read p50':>9} {'p99':>8} {'max':>9} {'update p50':>11} {'p99':>7} {'first read ms':>14}")
    for name, value in found.items():
        if isinstance(value, dict):
            read, update = value["read"], value["update"]
            print(
                f"{name:46} {read['p50']:9} {read['p99']:8} {read['max']:9} {update['p50']:11} {update['p99']:7} "
                f"{value.get('first read ms', ''):>14}"
            )
        else:
            print(f"{name:46} {value:9,}")


if __name__ == "__main__":
    main()
