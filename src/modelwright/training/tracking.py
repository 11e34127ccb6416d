"""Runs in MLflow, made where they do not hold up training.

A training leaves a small JSON file in `<tracking>/pending`; a process of its own (`python -m
modelwright.training.tracking FOLDER`) brings the files into MLflow on SQLite and goes. MLflow takes seconds to import and
is imported nowhere else. A file that was brought in moves to `<tracking>/done`, so a crash loses and doubles nothing but,
at worst, one run.

`MODELWRIGHT_TRACKING` is `background` (the default), `wait`, or `off`.
"""

import fcntl
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

MODES = ("background", "wait", "off")
MOST_METRICS = 1_000
"""MLflow takes no more in one batch."""


class TrackedRun(msgspec.Struct, kw_only=True):
    """One training as MLflow keeps it. `at_us`: the clock's time of the training; `seconds`: how long it took; `trials`: of a
    model that was tuned, the metric of each, by a name."""

    experiment: str
    name: str
    at_us: int
    seconds: float
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    trials: dict[str, tuple[float | None, ...]] = {}


def spool(tracking: Path, run: TrackedRun) -> None:
    """Leave a run for the tracker; whole or not at all."""
    pending = tracking / "pending"
    pending.mkdir(parents=True, exist_ok=True)
    partial = pending / f".{run.name}.{os.getpid()}.partial"
    partial.write_bytes(msgspec.json.encode(run))
    partial.rename(pending / f"{run.name}.json")


def start_tracker(tracking: Path) -> None:
    """Bring what is pending into MLflow, in a process of its own. Does nothing where MLflow is not installed."""
    mode = os.environ.get("MODELWRIGHT_TRACKING", "background")
    if mode == "off" or importlib.util.find_spec("mlflow") is None:
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "modelwright.training.tracking", str(tracking)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(tracking / "tracker.log").open("ab"),
        start_new_session=True,
    )
    if mode == "wait":
        process.wait()


def store_uri(tracking: Path) -> str:
    """Where the runs are: give it to `mlflow ui --backend-store-uri`."""
    return f"sqlite:///{(tracking / 'mlflow.db').resolve()}"


def track_pending(tracking: Path) -> int:
    """Bring every pending run into MLflow, oldest first; returns how many. One process at a time does this."""
    tracking.mkdir(parents=True, exist_ok=True)
    with (tracking / "tracker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        files = sorted((tracking / "pending").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        if not files:
            return 0
        client, entities = _client(tracking)
        done = tracking / "done"
        done.mkdir(exist_ok=True)
        for file in files:
            _record(client, entities, tracking, msgspec.json.decode(file.read_bytes(), type=TrackedRun))
            file.rename(done / file.name)
        return len(files)


def _client(tracking: Path) -> tuple[Any, Any]:
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", GIT_PYTHON_REFRESH="quiet")
    import mlflow.entities
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store_uri(tracking)), mlflow.entities


def _record(client: Any, entities: Any, tracking: Path, run: TrackedRun) -> None:
    experiment = client.get_experiment_by_name(run.experiment)
    artifacts = (tracking / "artifacts").resolve().as_uri()
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(run.experiment, artifacts)
    at_ms = run.at_us // 1000
    made = client.create_run(experiment_id, start_time=at_ms, run_name=run.name)
    client.log_batch(
        made.info.run_id,
        metrics=[entities.Metric(name, value, at_ms, 0) for name, value in run.metrics.items()],
        params=[entities.Param(name, value[:500]) for name, value in run.params.items()],
        tags=[entities.RunTag(name, value[:5000]) for name, value in run.tags.items()],
    )
    for name, values in run.trials.items():
        steps = [entities.Metric(name, value, at_ms, step) for step, value in enumerate(values) if value is not None]
        for begin in range(0, len(steps), MOST_METRICS):
            client.log_batch(made.info.run_id, metrics=steps[begin : begin + MOST_METRICS])
    client.set_terminated(made.info.run_id, end_time=at_ms + int(run.seconds * 1000))


if __name__ == "__main__":
    track_pending(Path(sys.argv[1]))
