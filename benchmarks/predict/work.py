"""The work both contestants do: a champion without history, the same estimator pickled, and a Parquet file to score."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SYSTEM = Path(__file__).with_name("system.py")
NUMBERS = tuple(f"x{i}" for i in range(20))
TEXTS = tuple(f"c{i}" for i in range(5))
WORDS = (3, 5, 10, 20, 50)
"""How many different texts each text column holds."""
HISTORY = 40_000
SMALL = 20_000
BLOCK = 200_000
START = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Work:
    """Where the system, its workspace, its release, the pickle, the file to score and a small one lie."""

    system: Path
    workspace: Path
    release: Path
    pickle: Path
    given: Path
    small: Path


def prepare(folder: Path, rows: int) -> Work:
    """Train the system in a workspace of its own, fit its estimator once more, and write the file."""
    system = Path(shutil.copy(SYSTEM, folder))
    pq.write_table(table(0, HISTORY, outcomes=True), folder / "history.parquet")
    workspace = folder / "workspace"
    env = {**os.environ, "MODELWRIGHT_HOME": str(workspace), "MODELWRIGHT_TRACKING": "off"}
    command = [sys.executable, "-m", "modelwright.app.cli", "train", str(system), "--json"]
    said = json.loads(subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout)

    from modelwright import load
    from modelwright.app.wiring import open_log
    from modelwright.control.material import read_material
    from modelwright.lake.workspace import Workspace
    from modelwright.release.folder import open_release
    from modelwright.training.examples import split_by_time
    from modelwright.training.fit import fit

    declared = load(system)
    with open_log(declared, Workspace(workspace), readonly=True) as log:
        examples = read_material(log, declared).examples
    published = workspace / "releases" / said["release"]
    release = open_release(published)
    split = split_by_time(examples, int(datetime.now(UTC).timestamp() * 1e6), declared.validation_us)
    estimator = fit(
        declared.models[0], declared.seed, examples.rows.take(split.train), release.manifest.inputs, split.train_outcomes,
        declared.label,
    )  # fmt: skip
    pickled = folder / "model.pkl"
    pickled.write_bytes(pickle.dumps(estimator))

    given, small = folder / "given.parquet", folder / "small.parquet"
    pq.write_table(table(HISTORY, SMALL), small)
    with pq.ParquetWriter(given, table(0, 0).schema) as writer:
        for begin in range(0, rows, BLOCK):
            writer.write_table(table(HISTORY + begin, min(BLOCK, rows - begin)))
    return Work(system, workspace, published, pickled, given, small)


def table(first: int, rows: int, *, outcomes: bool = False) -> pa.Table:
    """Rows from number `first` on, a second apart; the same numbers give the same rows."""
    random = np.random.default_rng(first)
    numbers = random.normal(size=(rows, len(NUMBERS)))
    words = [random.integers(0, count, rows) for count in WORDS]
    columns: dict[str, pa.Array] = {
        "row_id": pa.array([f"r{number}" for number in range(first, first + rows)], pa.string()),
        "at": pa.array(
            int(START.timestamp() * 1e6)
            + np.arange(first, first + rows) * (timedelta(seconds=1) // timedelta(microseconds=1))
        ).cast(pa.timestamp("us", tz="UTC")),
    }
    columns |= {name: pa.array(numbers[:, place]) for place, name in enumerate(NUMBERS)}
    columns |= {
        name: pa.array([f"{name}-{code}" for code in codes], pa.string())
        for name, codes in zip(TEXTS, words, strict=True)
    }
    if outcomes:
        raw = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] + (words[0] == 1) + 0.3 * (words[3] % 3)
        columns["target"] = pa.array(raw + random.normal(size=rows) > 0.5)
    return pa.table(columns)
