"""What the journal says of a training, as a tracked run: parameters, metrics, data version, git commit, environment."""

import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from modelwright.control.declaration import describe_model
from modelwright.control.occasions import to_us_text
from modelwright.lake.journal import JournalRow
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import read_manifest
from modelwright.spec.system import System
from modelwright.training.tracking import TrackedRun, spool, start_tracker

ENVIRONMENT = ("modelwright", "numpy", "pandas", "scikit-learn", "lightgbm", "onnxruntime", "pyarrow")


def track(system: System, workspace: Workspace, rows: Iterable[JournalRow]) -> None:
    """Leave a run for every training among the rows and start the tracker; returns at once."""
    commit = git_commit(system)
    found = False
    for row in rows:
        if row.kind == "trained" and row.release:
            spool(workspace.tracking, _run(system, workspace, row, commit))
            found = True
    if found:
        start_tracker(workspace.tracking)


def git_commit(system: System) -> str:
    """The commit of the system file's repository, with `+changes` where the tree differs; empty outside of one."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes"],
            cwd=system.home, capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def _run(system: System, workspace: Workspace, row: JournalRow, commit: str) -> TrackedRun:
    assert row.release is not None
    manifest = read_manifest(workspace.releases / row.release)
    chosen = next(
        (one for one in manifest.chosen_from if (one.model, one.past) == (manifest.model, manifest.trained_on)),
        None,
    )
    return TrackedRun(
        experiment=system.name,
        name=row.release,
        at_us=to_us_text(row.at),
        seconds=float(row.observed["seconds"]["total"]),
        params={
            "model": manifest.model,
            "inputs": str(len(manifest.inputs)),
            "seed": str(system.seed),
            "trained_on": manifest.trained_on,
            **{f"tuned.{name}": value for name, value in (chosen.parameters if chosen else {}).items()},
            **_params(next((one for one in system.models if describe_model(one) == manifest.model), None)),
        },
        metrics={name: value for name, value in manifest.metrics.items() if value is not None},
        trials={
            f"tuning.{place}" if place else "tuning": one.trials
            for place, one in enumerate(one for one in manifest.chosen_from if one.trials)
        },
        tags={
            "modelwright.release": row.release,
            "modelwright.runtime": manifest.runtime,
            "modelwright.data_version": manifest.data_version,
            "mlflow.source.git.commit": commit,
            "environment": ", ".join([f"python=={platform.python_version()}", *_versions()]),
        },
    )


def _params(model: Any) -> dict[str, str]:
    if not hasattr(model, "get_params"):
        return {}
    return {f"model.{name}": str(value) for name, value in model.get_params(deep=False).items() if value is not None}


def _versions() -> list[str]:
    found = []
    for name in ENVIRONMENT:
        try:
            found.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found
