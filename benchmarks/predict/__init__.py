"""Batch scoring: `modelwright predict` beside pandas and a pickled pipeline, Parquet in and out, no history."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.predict.work import NUMBERS, TEXTS, Work, prepare

ROUNDS = 3
SMALL = 20_000
TOLERANCE = 1e-9


def compare(rows: int) -> dict[str, Any]:
    """Rows a second, processor seconds and peak MiB of both, each a process of its own from its start to its end.

    Raises RuntimeError where their scores differ by more than 1e-9.
    """
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        work = prepare(Path(name), rows)
        contestants = {
            "pandas + pickle": [sys.executable, "-m", "benchmarks.predict.naive", str(work.pickle)],
            "modelwright": [sys.executable, "-m", "modelwright.app.cli", "predict", str(work.system)],
        }
        runs: dict[str, list[dict[str, float]]] = {contestant: [] for contestant in contestants}
        for command in contestants.values():  # what is compiled is compiled, what is read from disk is in memory
            _run(command, work, work.small)
        for _ in range(ROUNDS):
            for contestant, command in contestants.items():
                runs[contestant].append(_run(command, work, work.given))
        for contestant, command in contestants.items():
            _run(command, work, work.given, out=f"{contestant}.parquet")
        apart = _apart(*(work.given.with_name(f"{contestant}.parquet") for contestant in contestants))
    found = {contestant: _medians(done, rows) for contestant, done in runs.items()}
    naive = found["pandas + pickle"]
    for each in found.values():
        each["times_naive"] = each["per_second"] / naive["per_second"]
        each["cpu_times_naive"] = naive["cpu_s"] / each["cpu_s"]
    return {"rows": rows, "inputs": [len(NUMBERS), len(TEXTS)], "rounds": ROUNDS, "apart": apart, "contestants": found}
