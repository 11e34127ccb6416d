"""Drift: false alarms on stationary streams, the delay of a small shift beside the peers at one rate of false alarms, cost.

Every contestant may raise one false alarm in `streams.STATIONARY` events over all columns together. Ours is told that rate
and keeps it by construction; the peers, which know no such rate, are given the threshold that was measured to have it.
"""

import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environments import environment
from benchmarks.loop import streams
from modelwright.control.figures import references_of
from modelwright.monitoring.binning import Binning
from modelwright.monitoring.drift import DriftMonitor
from modelwright.monitoring.tail import PAGE
from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import References
from modelwright.stats.predictions import Array

SEEDS = 20
PEERS = {
    "river": ("river==0.26.1", "scipy"),
    "evidently": ("evidently==0.7.23", "pandas<3"),
    "nannyml": ("nannyml==0.13.1", "pandas<3", "statsmodels"),
}
SILENT = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
"""Evidently's and NannyML's words for reporting nothing to their makers."""
TIMED = 20_000


def compare(peers: Sequence[str] = tuple(PEERS), seeds: int = SEEDS) -> dict[str, Any]:
    """All figures."""
    found: dict[str, Any] = {
        "rate": streams.STATIONARY, "seeds": seeds, "columns": streams.COLUMNS, "shift": streams.SHIFT,
        "after": streams.AFTER,
        "stationary": stationary(seeds), "cost": cost(), "whole_s": whole(),
        "delays": {"modelwright": delays(seeds)}, "skipped": {},
    }  # fmt: skip
    found["measured_period"] = period = measured_period()
    found["delays"]["modelwright, at a measured rate too"] = delays(seeds, period)
    for name in peers:
        python = environment(name, *PEERS[name])
        said = python if isinstance(python, str) else _peer(python, name, seeds)
        if isinstance(said, str):
            found["skipped"][name] = said
            continue
        for method, figures in said.items():
            found["delays"][method] = figures["delays"]
            if "whole_s" in figures:
                found["whole_s"][method.partition(",")[0]] = figures["whole_s"]
            found.setdefault("thresholds", {})[method] = figures["threshold"]
    return found


def monitor(seed: int, period: int = streams.STATIONARY) -> DriftMonitor:
    """Ours, told the stated rate."""
    columns = streams.COLUMNS
    return DriftMonitor(_references(streams.reference(seed, columns)), _inputs(columns), period)


def measured_period() -> int:
    """What ours would have to be told so that alarms are as frequent as they may be: found as the peers' thresholds are. It
    keeps its rate by an inequality, so that it has fewer."""
    periods, streamed = (50_000, 100_000, 200_000), 20
    counted = []
    for period in periods:
        alarms = 0
        for seed in range(100, 100 + streamed):
            known = _references(streams.reference(seed))
            rows = streams.stationary(seed)
            while len(rows):
                watch = DriftMonitor(known, _inputs(streams.COLUMNS), period)
                alarm = _feed(watch, rows, 0)
                alarms += alarm is not None
                rows = rows[len(rows) if alarm is None else alarm :]
        counted.append(streamed * streams.STATIONARY / max(1, alarms))
    slope, offset = np.polyfit(np.log(periods), np.log(counted), 1)
    return int(np.exp((np.log(streams.STATIONARY) - offset) / max(0.5, float(slope))))


def stationary(seeds: int) -> dict[str, Any]:
    """Alarms on streams where nothing happens."""
    alarms = []
    for seed in range(seeds):
        watch = monitor(seed)
        _feed(watch, streams.stationary(seed))
        alarms.append(len(watch.alarms))
    return {"alarms": sum(alarms), "expected_at_most": seeds, "events": seeds * streams.STATIONARY}


def delays(seeds: int, period: int = streams.STATIONARY) -> list[int]:
    """Events from the shift to the first alarm after it."""
    found = []
    for seed in range(seeds):
        watch = monitor(seed, period)
        values, begins = streams.shifted(seed)
        watched = _feed(watch, values[: begins + 10_000], begins)
        found.append(watched - begins if watched else streams.AFTER)
    return found


def cost() -> dict[str, dict[str, float]]:
    """Microseconds a prediction, everything included that monitoring does with it, and MiB held after 20,000 of them."""
    found = {}
    for columns in (streams.COLUMNS, 100):
        rows = streams.stationary(0, columns, TIMED)
        known = _references(streams.reference(0, columns))
        tracemalloc.start()
        watch = DriftMonitor(known, _inputs(columns), streams.STATIONARY)
        _feed(watch, rows)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        timed = []
        for _ in range(5):
            began = time.process_time()
            _feed(watch, rows)
            timed.append((time.process_time() - began) / TIMED * 1e6)
        found[f"{columns} columns"] = {"us": float(np.median(timed)), "best_us": min(timed), "mib": held / 2**20}
    return found


def whole() -> dict[str, float]:
    """Seconds to compare 100,000 rows of 25 columns with a stored reference."""
    known = _references(streams.reference(0))
    rows = Rows(streams.stationary(0, rows=100_000))
    timed = []
    for _ in range(3):
        began = time.perf_counter()
        binning = Binning(References(known.columns), _inputs(streams.COLUMNS))
        counts = binning.count(rows)
        for place, reference in enumerate(known.columns):
            reference.distance(counts[place][: len(reference.counts)])
        timed.append(time.perf_counter() - began)
    return {"modelwright": min(timed)}


def _feed(watch: DriftMonitor, rows: Array, after: int | None = None) -> int | None:
    """All rows in order, as a reader of the log has them, a page at a time; with `after`, after how many rows came the first
    alarm past so many."""
    first = len(watch.alarms)
    for begin in range(0, len(rows), PAGE):
        page = rows[begin : begin + PAGE]
        watch.add(Rows(page), np.full(len(page), np.nan), begin + np.arange(len(page)))
    return next((one.at_us + 1 for one in watch.alarms[first:] if after is not None and one.at_us >= after), None)


def _references(values: Array) -> References:
    return references_of(_inputs(values.shape[1]), Rows(values), None)


def _inputs(columns: int) -> tuple[InputColumn, ...]:
    return tuple(InputColumn(name=f"c{place}", kind="number") for place in range(columns))


def _peer(python: Path, name: str, seeds: int) -> dict[str, Any] | str:
    root = Path(__file__).parents[2]
    command = [str(python), "-W", "ignore", "-m", f"benchmarks.loop.peers.{name}_peer", str(seeds)]
    said = subprocess.run(
        command, cwd=root, env={**os.environ, **SILENT, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if said.returncode:
        lines = said.stderr.strip().splitlines()
        return f"{name} failed: {lines[-1] if lines else said.returncode}"
    answer: dict[str, Any] = json.loads(said.stdout.strip().splitlines()[-1])
    return answer


if __name__ == "__main__":
    json.dump(compare(tuple(sys.argv[1:]) or tuple(PEERS)), sys.stdout, indent=1)
