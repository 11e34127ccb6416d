"""A rehearsal of a million events: what of its time is the user's model, and what is ours."""

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EVENTS, CARDS, DAYS = 1_000_000, 5_000, 500
SYSTEM = Path(__file__).with_name("market.py")


def measure(events: int = EVENTS) -> dict[str, Any]:
    """Seconds of one `modelwright rehearse`, and of the fits within it, as the journal tells them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "payments.parquet"
        pq.write_table(history(events), file)
        env = {**os.environ, "MODELWRIGHT_BENCH_EVENTS": str(file), "MODELWRIGHT_HOME": str(Path(folder) / "state")}
        done = _told(["rehearse", str(SYSTEM), "--json"], {**env, "MODELWRIGHT_TRACKING": "off"})[0]
        rows = _told(["journal", str(SYSTEM), "--rehearsal", "--json"], env)
        fits = [row["observed"]["seconds"]["fit"] for row in rows if row["kind"] == "trained"]
        return {
            "events": events, "predictions": done["predictions"], "trainings": done["trainings"],
            "promotions": done["promotions"], "seconds": done["seconds"], "fit_s": sum(fits),
        }  # fmt: skip


def history(events: int, seed: int = 11) -> pa.Table:
    """Payments of cards of which few pay often; large ones at two merchants are often fraud, and the two change."""
    chance = np.random.default_rng(seed)
    begin = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp() * 1e6)
    at = begin + np.sort(chance.integers(0, DAYS * 86_400_000_000, events))
    amount = np.round(chance.lognormal(3, 1, events), 2)
    merchant = chance.integers(0, 50, events)
    season = (at - begin) // (100 * 86_400_000_000)
    fraud = chance.random(events) < np.where((amount > 30) & (merchant % 5 == season % 5), 0.4, 0.02)
    return pa.table(
        {
            "payment_id": [f"p{number}" for number in range(events)],
            "card": np.char.add("c", np.minimum(chance.zipf(1.3, events), CARDS).astype(str)),
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "amount": amount,
            "merchant": np.char.add("m", merchant.astype(str)),
            "is_fraud": fraud,
        }
    )


def _told(words: list[str], env: dict[str, str]) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "modelwright.app.cli", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return [json.loads(line) for line in done.stdout.splitlines()]
