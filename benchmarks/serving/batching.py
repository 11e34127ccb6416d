"""Does it pay to let requests wait for each other? A neural network in ONNX, with and without `--batch-wait`.

Without it, what is there together is worked off together already: a batch is what came while the one before it ran. So
there are two questions: does a wait bring more answers where clients ask as fast as they are answered, and what does it
save, and cost, where they come at a rate of their own?
"""

import http.client
import itertools
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.load import drive, drive_at_random, post
from benchmarks.processes import LOAD_CORE, Server, on_core, served
from modelwright.testing.ports import free_port

SYSTEM = Path(__file__).with_name("network.py")
ROWS = 4_000
BODIES = 256
CONNECTIONS = 64
RATES = (None, 500, 1_500)
"""Requests a second, at random moments; None for as fast as they are answered."""
WAITS_MS = (0.0, 2.0, 5.0)
WARM_UP_S, SECONDS = 0.5, 4.0


def compare(folder: Path) -> dict[str, Any]:
    """The form the network is served in, and a line for each rate and wait."""
    numbers = np.random.default_rng(5).normal(size=(ROWS, 20)).round(4)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    at = [start + timedelta(minutes=minute) for minute in range(ROWS)]
    names = [f"n{place}" for place in range(20)]
    table = pd.DataFrame({"at": at, **{name: numbers[:, place] for place, name in enumerate(names)}})
    table["good"] = numbers[:, 0] * numbers[:, 1] + numbers[:, 2] > 0
    table.to_parquet(folder / "events.parquet")
    rows = [{"at": at[place].isoformat(), **row} for place, row in enumerate(table[names][:BODIES].to_dict("records"))]
    requests = [post("/predict", json.dumps(row).encode()) for row in rows]
    release, form = _trained(folder)
    lines = [
        {"rate": rate, "wait_ms": wait_ms} | _measured(release, requests, rate, wait_ms)
        for rate, wait_ms in itertools.product(RATES, WAITS_MS)
    ]
    return {"form": form, "connections": CONNECTIONS, "lines": lines}


def _trained(folder: Path) -> tuple[Path, str]:
    home = folder / "home"
    env = {
        "MODELWRIGHT_HOME": str(home), "MODELWRIGHT_TRACKING": "off",
        "MODELWRIGHT_BENCH_EVENTS": str(folder / "events.parquet"),
    }  # fmt: skip
    command = [sys.executable, "-m", "modelwright.app.cli", "train", str(SYSTEM), "--json"]
    done = subprocess.run(command, env={**os.environ, **env}, stdout=subprocess.PIPE, check=True)
    said = json.loads(done.stdout)
    return home / "releases" / said["release"], said["form"]


def _measured(release: Path, requests: list[bytes], rate: float | None, wait_ms: float) -> dict[str, Any]:
    port = free_port()
    command = [
        sys.executable, "-m", "modelwright.app.cli", "serve", str(release), "--no-log", "--port", str(port), "--json",
        "--batch-wait", str(wait_ms),
    ]  # fmt: skip
    given = itertools.cycle(requests)
    with served(command, port, requests[0], {}, quiet=True) as server:
        before, cpu_s = _counts(server), server.cpu_s()
        with on_core(LOAD_CORE):
            if rate is None:
                load = drive(port, given, connections=CONNECTIONS, warm_up_s=WARM_UP_S, seconds=SECONDS)
            else:
                load = drive_at_random(port, given, connections=CONNECTIONS, rate=rate, seconds=SECONDS)
        used_s, after = server.cpu_s(), _counts(server)
    closed = {why: after[why] - before[why] for why in ("full", "waited", "idle")}
    return {
        "per_second": load.per_second,
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "cpu_us": None if cpu_s is None or used_s is None else 1e6 * (used_s - cpu_s) / load.sent,
        "rows_a_batch": load.sent / sum(closed.values()),
        "closed": closed,
    }


def _counts(server: Server) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {why: int(n) for why, n in re.findall(r'modelwright_batches_total\{closed="([a-z]+)"\} (\d+)', text)}
