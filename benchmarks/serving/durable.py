"""One-row `POST /predict` with ten windowed features on 64 connections, every event and answer durable before it leaves.

Beside the naive server, which is given all inputs, reads no history and logs nothing. `at half the peak` sends at a fixed
rate, half of what the closed loop reached, and counts latency from when each request was due.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.serving.work import Work
from benchmarks.serving.work import prepare as prepared

SYSTEM = Path(__file__).with_name("payments.py")
CONNECTIONS = 64
PAYMENTS = 60_000
CARDS = 5_000
STEP = timedelta(seconds=20)


def prepare(folder: Path) -> Work:
    """Make the payments and train on them."""
    events = folder / "events.parquet"
    _payments().to_parquet(events)
    os.environ["MODELWRIGHT_BENCH_EVENTS"] = str(events)
    return prepared(folder, SYSTEM, STEP)


def _payments() -> pd.DataFrame:
    """A payment a step; the cards' popularity is Zipf's law."""
    random = np.random.default_rng(5)
    rank = np.arange(1, CARDS + 1)
    cards = random.choice(CARDS, PAYMENTS, p=1 / rank / (1 / rank).sum())
    columns: dict[str, Any] = {
        "payment_id": [f"p{number}" for number in range(PAYMENTS)],
        "card": [f"card-{card}" for card in cards],
        "at": [datetime(2024, 1, 1, tzinfo=UTC) + number * STEP for number in range(PAYMENTS)],
        "amount": random.lognormal(3, 1, PAYMENTS).round(2),
    }
    columns |= {f"n{number}": random.normal(size=PAYMENTS).round(4) for number in range(1, 10)}
    words = {"merchant": 50, "country": 8, "channel": 3, "device": 12, "currency": 6}
    codes = {name: random.integers(0, many, PAYMENTS) for name, many in words.items()}
    columns |= {name: [f"{name}-{code}" for code in chosen] for name, chosen in codes.items()}
    raw = columns["n1"] + columns["n2"] * columns["n3"] + (codes["country"] == 3) - (codes["merchant"] == 5)
    columns["is_fraud"] = raw + random.normal(size=PAYMENTS) > 1.5
    return pd.DataFrame(columns)
