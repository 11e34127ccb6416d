"""The work both servers do: one trained release with its history, the same estimator pickled, and the requests.

Our requests are the system's events going on after the end of its file, each with an id and a time of its own; the
naive server's bodies are the model's inputs at the file's rows, as the training set computed them.
"""

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import post

NAIVE_BODIES = 2_000


@dataclass(frozen=True)
class Work:
    """Where the release, its workspace and the pickle lie, and what the requests are made of."""

    workspace: Path
    release: Path
    pickle: Path
    naive: list[bytes]
    events: list[dict[str, Any]]
    id: str
    end: datetime
    step: timedelta
    features: int
    outcomes: int

    def requests(self, run: str, count: int, after: int = 0) -> list[bytes]:
        """`count` predict requests that no other run has sent, `after` so many of others to the same server: time goes on."""
        return [post("/predict", body) for body in self.bodies(run, count, after)]

    def bodies(self, run: str, count: int, after: int = 0) -> list[bytes]:
        """Their bodies."""
        rows = self.events
        return [
            json.dumps(
                {
                    **rows[i % len(rows)],
                    self.id: f"{run}-{i}",
                    "at": (self.end + (after + i + 1) * self.step).isoformat(),
                }
            ).encode()
            for i in range(count)
        ]

    def workspace_copy(self, name: str) -> Path:
        """A workspace of its own for one run, so that every run begins with the same log."""
        copy = self.workspace.with_name(name)
        shutil.copytree(self.workspace, copy)
        return copy


def prepare(folder: Path, system_file: Path, step: timedelta) -> Work:
    """Train a system in a workspace of its own and fit its estimator once more, to the same trees; its events go on one a
    `step`.

    Raises RuntimeError where the two do not agree: then they would not be the same model.
    """
    workspace = folder / "workspace"
    env = {**os.environ, "MODELWRIGHT_HOME": str(workspace), "MODELWRIGHT_TRACKING": "off"}
    command = [sys.executable, "-m", "modelwright.app.cli", "train", str(system_file), "--json"]
    said = json.loads(subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout)
    release = workspace / "releases" / said["release"]

    from modelwright import load
    from modelwright.app.wiring import open_log
    from modelwright.control.material import read_material
    from modelwright.lake.workspace import Workspace
    from modelwright.release.folder import open_release
    from modelwright.release.inputs import data_frame
    from modelwright.training.examples import split_by_time
    from modelwright.training.fit import fit

    system = load(system_file)
    with open_log(system, Workspace(workspace), readonly=True) as log:
        examples = read_material(log, system).examples
        outcomes = log.counts()["outcomes"]
        event_rows = log.events().select(system.contract.names).slice(len(examples) - NAIVE_BODIES).to_pylist()
    opened = open_release(release)
    columns = opened.manifest.inputs
    split = split_by_time(examples, int(datetime.now(UTC).timestamp() * 1e6), system.validation_us)
    estimator = fit(
        system.models[0], system.seed, examples.rows.take(split.train), columns, split.train_outcomes, system.label
    )
    rows = examples.rows.take(slice(len(examples) - NAIVE_BODIES, None))
    apart = np.abs(estimator.predict_proba(data_frame(rows, columns))[:, 1] - opened.predict(rows).score).max()
    if apart > 1e-9:
        raise RuntimeError(f"the pickled estimator and the release differ by {apart}: they are not the same model")
    pickled = folder / "model.pkl"
    pickled.write_bytes(pickle.dumps(estimator))

    whole = np.isfinite(rows.numbers).all(axis=1)
    asked = data_frame(rows.take(whole), columns).to_dict("records")
    read = {name for view in opened.manifest.views for name in view.features}
    return Work(
        workspace=workspace,
        release=release,
        pickle=pickled,
        naive=[post("/predict", json.dumps(row).encode()) for row in asked],
        events=[{name: value for name, value in row.items() if name != "at"} for row in event_rows],
        id=system.contract.id or "id",
        end=event_rows[-1]["at"],
        step=step,
        outcomes=outcomes,
        features=len(read),
    )
