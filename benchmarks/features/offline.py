"""The offline comparison: modelwright, DuckDB and a hand-written kernel on one work, each a process of its own.

Processes run one after the other, so each has the whole machine; ours and the kernel in turn, `ROUNDS` times. Before, each
runs once on a small work, so that what is compiled is compiled. Wall time is from the start of the process to its end,
imports included. Answers must agree, or the run ends with an error.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.features import workload
from benchmarks.processes import ended

ROUNDS = 3
SMALL = 20_000
TOLERANCE = 1e-9
"""Largest relative difference to our answer; counts and distinct counts must be equal."""


def compare(events: int) -> dict[str, Any]:
    """Medians of seconds, processor seconds, MiB and stages by contestant, and how each compares with ours."""
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        small, folder = Path(name, "small"), Path(name, "whole")
        for place, size in ((small, SMALL), (folder, events)):
            place.mkdir()
            workload.generate(place, size, min(workload.KEYS, size // 100))
        for contestant in ("ours", "kernel", "duck"):
            _run(contestant, small)
        runs: dict[str, list[dict[str, Any]]] = {"ours": [], "kernel": []}
        for _ in range(ROUNDS):
            for contestant, done in runs.items():
                done.append(_run(contestant, folder))
        runs["duck"] = [_run("duck", folder)]
        found: dict[str, Any] = {
            "events": events,
            "requests": events // 10,
            "aggregates": len(workload.FEATURES),
            "hottest_key": _hottest(folder),
            "agreement": {other: _apart(folder, other) for other in ("kernel", "duckdb")},
        }
    found["contestants"] = {name: _medians(done) for name, done in runs.items()}
    ours = found["contestants"]["ours"]
    for contestant in found["contestants"].values():
        contestant["times_ours"] = contestant["wall_s"] / ours["wall_s"]
    return found


def scale(events: int) -> dict[str, Any]:
    """Ours alone at one size: for how time and memory grow."""
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        workload.generate(Path(name), events)
        return {"events": events, **_run("ours", Path(name))}


def _run(contestant: str, folder: Path) -> dict[str, Any]:
    said, used = ended([sys.executable, "-m", f"benchmarks.features.{contestant}", str(folder)])
    return {**used, "stages_s": json.loads(said)}


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        figure: statistics.median(run[figure] for run in runs) for figure in ("wall_s", "cpu_s", "peak_mib")
    }
    found["stages_s"] = {
        stage: statistics.median(run["stages_s"][stage] for run in runs) for stage in runs[0]["stages_s"]
    }
    found["each_wall_s"] = [run["wall_s"] for run in runs]
    return found


def _hottest(folder: Path) -> int:
    counts = pq.read_table(folder / "presorted_events.parquet", columns=["card"])["card"].to_numpy()
    return int(np.bincount(counts).max())


def _apart(folder: Path, other: str) -> dict[str, float]:
    """The largest relative difference to ours by column; RuntimeError where one is too large or an answer is missing."""
    found = {}
    ours, theirs = (pq.read_table(folder / f"{name}.parquet").sort_by("request") for name in ("ours", other))
    for name in workload.FEATURES:
        mine, other_values = (table[name].to_numpy().astype(float) for table in (ours, theirs))
        if (np.isnan(mine) != np.isnan(other_values)).any():
            raise RuntimeError(f"{other} and we differ in which requests have a {name}")
        apart = np.nan_to_num(np.abs(mine - other_values) / np.maximum(np.abs(mine), 1.0)).max(initial=0.0)
        if apart > (0.0 if name in workload.COUNTS else TOLERANCE):
            raise RuntimeError(f"{other} and we differ in {name} by {apart}")
        found[name] = float(apart)
    return found
