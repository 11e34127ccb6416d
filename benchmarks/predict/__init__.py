"""Batch scoring: `modelwright predict` beside pandas and a pickled pipeline, Parquet in and out, no history.

Ours is given the system's file, and its release. All are processes of their own, in turn, timed from start to end, imports and
loading included. They run on a small file too: the difference of the two is what a row costs once all is loaded.
"""

import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.predict.work import NUMBERS, SMALL, TEXTS, Work, prepare
from benchmarks.processes import ended

ROUNDS = 3
TOLERANCE = 1e-9
NAIVE, OURS, RELEASE = "pandas + pickle", "modelwright", "modelwright, a release"


def compare(rows: int) -> dict[str, Any]:
    """Rows a second, processor seconds and peak MiB of each, and how ours compares.

    Raises RuntimeError where their scores differ by more than 1e-9.
    """
    runs: dict[str, list[dict[str, float]]] = {NAIVE: [], OURS: [], RELEASE: []}
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        # A process counts into its peak memory what the one that started it held then, so this one stays small.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            work = pool.submit(prepare, Path(name), rows).result()
        loaded = {}
        for contestant in runs:
            _run(contestant, work, work.small)  # so that what is compiled is compiled
            loaded[contestant] = _run(contestant, work, work.small)
        for _ in range(ROUNDS):
            for contestant, done in runs.items():
                done.append(_run(contestant, work, work.given))
        apart = _apart(work)
    found = {contestant: _figures(done, loaded[contestant], rows) for contestant, done in runs.items()}
    for each in found.values():
        each["times_naive"] = each["per_second"] / found[NAIVE]["per_second"]
    return {"rows": rows, "inputs": [len(NUMBERS), len(TEXTS)], "rounds": ROUNDS, "apart": apart, "contestants": found}


def _run(contestant: str, work: Work, given: Path) -> dict[str, float]:
    before = {
        NAIVE: ("benchmarks.predict.naive", work.pickle),
        OURS: ("modelwright.app.cli", "predict", work.system),
        RELEASE: ("modelwright.app.cli", "predict", work.release),
    }[contestant]
    command = [sys.executable, "-m", *map(str, before), str(given), str(_out(work, contestant))]
    command += ["--json"] if contestant != NAIVE else []
    return ended(command, {"MODELWRIGHT_HOME": str(work.workspace)})[1]


def _out(work: Work, contestant: str) -> Path:
    return work.given.with_name(f"{contestant}.parquet")


def _figures(runs: list[dict[str, float]], small: dict[str, float], rows: int) -> dict[str, Any]:
    found: dict[str, Any] = {name: statistics.median(run[name] for run in runs) for name in small}
    found["per_second"] = rows / found["wall_s"]
    found["cpu_us_a_row"] = 1e6 * (found["cpu_s"] - small["cpu_s"]) / (rows - SMALL)
    found["small_wall_s"] = small["wall_s"]
    found["small_peak_mib"] = small["peak_mib"]
    found["each_per_second"] = [round(rows / run["wall_s"]) for run in runs]
    return found


def _apart(work: Work) -> float:
    naive, ours, release = (pq.read_table(_out(work, each), columns=["id", "score"]) for each in (NAIVE, OURS, RELEASE))
    if ours["id"].to_pylist() != naive["id"].to_pylist() or not release.equals(ours):
        raise RuntimeError("the files of answers hold other rows, or in another order")
    apart = float(np.abs(ours["score"].to_numpy() - naive["score"].to_numpy()).max(initial=0.0))
    if apart > TOLERANCE:
        raise RuntimeError(f"the scores differ by {apart}: they are not of the same model")
    return apart
