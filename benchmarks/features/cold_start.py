"""From a start of the process to features of any key: `python -m benchmarks.features.cold_start [--events N]`.

A log of 50,000 card numbers with the popularity of Zipf's law is written once, drained to its tables, and has a last
tail in the buffer. Then a process is started as serving starts: the seconds until it has answered its first request, and,
since a key is loaded when it is first asked for, what the first and the second touch of each of the 50,000 cost. Figures
depend on the machine and on what runs beside it; processor seconds do so less.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import modelwright as mw
from modelwright.core.clock import SystemClock
from modelwright.features.online import OnlineHost
from modelwright.features.plan import LabelColumn
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.spec import agg
from modelwright.spec.event import contract_of

KEYS = 50_000
EVENTS = 500_000
TAIL = 5_000
"""Events that are in the buffer and not in the tables when the process starts."""
ASKED_S = 3.0
"""What was asked for: 50,000 keys ready."""
DAYS = 30
SECOND = 1_000_000
START_US = 1_700_000_000 * SECOND
END_US = START_US + DAYS * 86_400 * SECOND
HEAVY = ("pyarrow", "pandas", "deltalake", "duckdb", "sklearn")


@mw.event(id="id", entity="card", time="at")
class Payment:
    id: str
    at: datetime
    card: str
    amount: float
    merchant: Annotated[str, mw.Meta(min_length=1)]
    abroad: bool


CONTRACT = contract_of(Payment)
SCHEMA = LogSchema(CONTRACT, "is_fraud", "bool")
VIEW = mw.FeatureView(
    Payment, payments_24h=agg.count(over="24h"), spend_1h=agg.sum("amount", over="1h"),
    usual_30d=agg.mean("amount", over="30d"), spread_30d=agg.std("amount", over="30d"), most_7d=agg.max("amount", over="7d"),
    least_7d=agg.min("amount", over="7d"), merchants_7d=agg.count_distinct("merchant", over="7d"),
    last=agg.last("amount", over="30d"), abroad_7d=agg.count(over="7d", where="abroad"),
    frauds_30d=agg.sum("is_fraud", over="30d"),
).spec()  # fmt: skip


IMAGE = "history.img"


def write_log(root: Path, events: int) -> float:
    """A log of so many payments and their outcomes, one in ten, each key at least once; the seconds its history took."""
    import pyarrow as pa

    random = np.random.default_rng(7)
    at = np.sort(random.integers(START_US, END_US, events))
    card = random.permutation(np.concatenate([np.arange(KEYS), (random.zipf(1.3, events - KEYS) - 1) % KEYS]))
    ids = [f"p{i}" for i in range(events)]
    payments = pa.table(
        {
            "_id": ids,
            "id": ids,
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "card": [f"card-{number}" for number in card],
            "amount": random.lognormal(3, 1, events).round(2),
            "merchant": [f"m{number}" for number in random.integers(0, 2_000, events)],
            "abroad": random.random(events) < 0.1,
        }
    )
    told = np.arange(0, events - TAIL, 10)
    known = pa.array(at[told] + 3_600 * SECOND, pa.timestamp("us", "UTC"))
    outcomes = pa.table(
        {"_id": [ids[i] for i in told], "is_fraud": random.random(len(told)) < 0.05, "_known_at": known}
    )
    with Log.open(Workspace(root), SCHEMA, SystemClock()) as log:
        log.append_events(payments.slice(0, events - TAIL), [b"d"] * (events - TAIL))
        log.append_outcomes(outcomes)
        log.drain()
        began = time.perf_counter()
        log.history.require([VIEW.by])
        built_s = time.perf_counter() - began
        log.append_events(payments.slice(events - TAIL), [b"d"] * TAIL)
    return built_s


def serve_all(root: Path, began: float) -> dict[str, Any]:
    """What the started process does; `began` is the time (`time.time`) at which it was started."""
    imported = time.time()
    log = Log.open(Workspace(root), SCHEMA, SystemClock())
    log.history.require([VIEW.by])
    image = (root / IMAGE).read_bytes() if (root / IMAGE).exists() else None
    host = OnlineHost([VIEW], CONTRACT, LabelColumn("is_fraud", "bool"), log.strings, log.history, image=image)
    out = np.empty(len(host.names))

    def ask(number: int) -> float:
        values = ["new", END_US, f"card-{number}", 20.0, "m1", False]
        start = time.perf_counter()
        host.read_into(values, END_US, out)
        return time.perf_counter() - start

    ask(0)
    ready, ready_cpu_s, ready_mb = time.time(), time.process_time(), _resident_mb()
    first = np.array([ask(number) for number in range(KEYS)])
    touched, touched_cpu_s = time.time(), time.process_time()
    second = np.array([ask(number) for number in range(KEYS)])
    return {
        "ready_s": ready - began,
        "ready_cpu_s": ready_cpu_s,
        "import_s": imported - began,
        "all_keys_s": touched - began,
        "all_keys_cpu_s": touched_cpu_s,
        "ready_mb": ready_mb,
        "first_touch_us": _percentiles(first),
        "second_touch_us": _percentiles(second),
        "resident_mb": _resident_mb(),
        "heavy_loaded": [name for name in HEAVY if name in sys.modules],
    }


def run(events: int = EVENTS) -> dict[str, Any]:
    """Write a log and what a release brings along, start the process twice (the first may compile where that is nothing), and
    measure the second."""
    from modelwright.optimize.image import (
        history_image,
    )  # it loads the compiler, which the measured process does without

    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        root = Path(name) / "state"
        built_s = write_log(root, events)
        image = history_image()
        if image is not None:
            (root / IMAGE).write_bytes(image)
        for _ in range(2):
            command = [sys.executable, "-m", "benchmarks.features.cold_start", "--serve", str(root), repr(time.time())]
            said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        size = sum(file.stat().st_size for file in (root / "log").iterdir())
    return {"keys": KEYS, "events": events, "history_built_s": built_s, "log_mb": size / 2**20, **json.loads(said)}


def _percentiles(seconds: np.ndarray) -> dict[str, float]:
    return {
        "p50": round(float(np.percentile(seconds, 50)) * 1e6, 1),
        "p99": round(float(np.percentile(seconds, 99)) * 1e6, 1),
        "max": round(float(seconds.max()) * 1e6, 1),
    }


def _resident_mb() -> float:
    """Resident memory now, the pages of the log that were touched included. (The peak the system keeps is the parent's.)"""
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
    return int(said.stdout) / 1024


def main() -> None:
    """Print the figures, or with `--json` one object."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.features.cold_start")
    options.add_argument("--events", type=int, default=EVENTS, help=f"events of the log (default {EVENTS:,})")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--serve", nargs=2, metavar=("ROOT", "BEGAN"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        print(json.dumps(serve_all(Path(chosen.serve[0]), float(chosen.serve[1]))))
        return
    if chosen.events < 2 * KEYS:
        options.error(f"--events: at least {2 * KEYS:,}")
    load = os.getloadavg()[0]
    found = run(chosen.events)
    if chosen.json:
        print(json.dumps({"load": load, **found}))
        return
    print(f"{os.cpu_count()} cores, load average before {load:.2f}; {found['keys']:,} keys, {found['events']:,} events")
    print(f"the history of the whole log built once   {found['history_built_s']:8.2f} s")
    print(
        f"process start to the first answer         {found['ready_s']:8.2f} s  (processor {found['ready_cpu_s']:.2f}, asked: "
        f"{ASKED_S:.0f} s)"
    )
    print(
        f"process start to every key touched        {found['all_keys_s']:8.2f} s  (processor {found['all_keys_cpu_s']:.2f})"
    )
    for name in ("first", "second"):
        touch = found[f"{name}_touch_us"]
        print(f"{name + ' touch of a key, p50 / p99 / max us':41} {touch['p50']:8} / {touch['p99']} / {touch['max']}")
    print(f"memory when ready / when all are touched  {found['ready_mb']:8.0f} / {found['resident_mb']:.0f} MiB")
    print(f"heavy libraries loaded                    {', '.join(found['heavy_loaded']) or 'none':>8}")


if __name__ == "__main__":
    main()
