"""The work of the stateless contest: one model, as a release and as a pickle, and requests in each server's own form.

The release is trained as a user trains it; its estimator, fitted once more on the same rows, is pickled for the peers.
"""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SYSTEM = Path(__file__).with_name("system.py")
ROWS = 20_000
BODIES = 512
"""Different rows that requests are made of."""


@dataclass(frozen=True)
class Rows:
    """Where the release and the pickle lie; rows to ask about, and what the estimator says of them."""

    release: Path
    pickle: Path
    rows: list[dict[str, Any]]
    expected: list[float]

    def batches(self, size: int) -> list[tuple[list[dict[str, Any]], list[float]]]:
        """Rows of one request each, and the answers to them."""
        return [
            (self.rows[first : first + size], self.expected[first : first + size])
            for first in range(0, len(self.rows) - size + 1, size)
        ]


def prepare(folder: Path) -> Rows:
    """Make the rows, train on them, and fit the estimator to the same trees.

    Raises RuntimeError where the release and the estimator differ in one bit: then they would not be the same model.
    """
    table = _table()
    events = folder / "events.parquet"
    table.to_parquet(events)
    env = {"MODELWRIGHT_HOME": str(folder / "home"), "MODELWRIGHT_TRACKING": "off"}
    os.environ["MODELWRIGHT_BENCH_EVENTS"] = str(events)
    command = [sys.executable, "-m", "modelwright.app.cli", "train", str(SYSTEM), "--json"]
    done = subprocess.run(command, env={**os.environ, **env}, stdout=subprocess.PIPE, check=True)
    release = folder / "home" / "releases" / json.loads(done.stdout)["release"]
    estimator = _fitted(folder / "home", release)
    pickled = folder / "model.pkl"
    names = [name for name in table.columns if name not in ("at", "good")]
    chosen = table.tail(BODIES)
    expected = estimator.predict_proba(chosen[names])[:, 1]
    _check_same(release, chosen, expected)
    pickled.write_bytes(pickle.dumps(estimator))
    rows = [
        {"at": at.isoformat(), **row} for at, row in zip(chosen["at"], chosen[names].to_dict("records"), strict=True)
    ]
    return Rows(release, pickled, rows, expected.tolist())


def _table() -> pd.DataFrame:
    random = np.random.default_rng(5)
    numbers = random.normal(size=(ROWS, 20)).round(4)
    texts = random.integers(0, 8, size=(ROWS, 5))
    raw = numbers[:, :4].sum(axis=1) + numbers[:, 4] * numbers[:, 5] + (texts[:, 0] == 3) - (texts[:, 1] == 5)
    columns: dict[str, Any] = {f"n{i}": numbers[:, i] for i in range(20)}
    columns |= {f"s{i}": [f"v{code}" for code in texts[:, i]] for i in range(5)}
    start = datetime(2024, 1, 1, tzinfo=UTC)
    at = [start + timedelta(minutes=minute) for minute in range(ROWS)]
    return pd.DataFrame({"at": at, **columns, "good": raw + random.normal(size=ROWS) > 0})


def _fitted(home: Path, release: Path) -> Any:
    """The estimator as training fitted it."""
    from modelwright import load
    from modelwright.app.wiring import open_log
    from modelwright.control.material import read_material
    from modelwright.lake.workspace import Workspace
    from modelwright.release.folder import read_manifest
    from modelwright.training.examples import split_by_time
    from modelwright.training.fit import fit

    system = load(SYSTEM)
    with open_log(system, Workspace(home), readonly=True) as log:
        examples = read_material(log, system).examples
    split = split_by_time(examples, int(datetime.now(UTC).timestamp() * 1e6), system.validation_us)
    columns = read_manifest(release).inputs
    return fit(
        system.models[0], system.seed, examples.rows.take(split.train), columns, split.train_outcomes, system.label
    )


def _check_same(release: Path, chosen: pd.DataFrame, expected: Any) -> None:
    from modelwright.release.folder import open_release
    from modelwright.release.inputs import Rows as Inputs

    opened = open_release(release)
    kinds = {kind: [one.name for one in opened.manifest.inputs if one.kind == kind] for kind in ("number", "text")}
    numbers = chosen[kinds["number"]].to_numpy(np.float64)
    said = opened.predict(Inputs(numbers, tuple(chosen[name].tolist() for name in kinds["text"]))).score
    if said is None or said.tobytes() != np.ascontiguousarray(expected).tobytes():
        raise RuntimeError("the pickled estimator and the release differ: they are not the same model")
