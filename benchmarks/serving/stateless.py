"""The stateless contest: one model behind every server, 8 connections, requests of one row and of 64.

Nobody reads history or logs. Ours is `serve --no-log`; the peers are in `peers`; `do nothing` is HTTP alone. Before a
server is timed its answers must be the estimator's, to the last bit.
"""

import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import environment
from benchmarks.load import drive, post
from benchmarks.processes import LOAD_CORE, Server, on_core, served
from benchmarks.serving.http import UVICORN
from benchmarks.serving.rows import Rows
from modelwright.testing.ports import free_port

CONNECTIONS = 8
SIZES = (1, 64)
WARM_UP_S, SECONDS = 1.0, 4.0
FOLDER = Path(__file__).with_name("peers")
COMMON = ("lightgbm==4.7.0", "scikit-learn==1.9.1", "pandas")
"""What every peer's model needs: the versions it is pickled with, and the newest pandas that the peer allows."""

Ask = Callable[[list[dict[str, Any]]], tuple[str, Any]]
"""Rows as a path and a body."""


@dataclass(frozen=True)
class Peer:
    """How a server is installed, started and spoken to. `command(python, port, folder)`; `ready` prepares the folder."""

    requirements: tuple[str, ...]
    command: Callable[[Path, int, Path], Sequence[str]]
    ask: Ask
    scores: Callable[[Any], list[float]]
    ready: Callable[[Path, Path, int], None] = lambda python, folder, port: None


def _inputs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the time: what the estimator is given."""
    return [{name: value for name, value in row.items() if name != "at"} for row in rows]


def _v2(rows: list[dict[str, Any]]) -> tuple[str, Any]:
    inputs = [
        {
            "name": name, "shape": [len(rows), 1], "data": [row[name] for row in rows],
            "datatype": "BYTES" if name.startswith("s") else "FP64",
            **({"parameters": {"content_type": "str"}} if name.startswith("s") else {}),
        }
        for name in _inputs(rows[:1])[0]
    ]  # fmt: skip
    return "/v2/models/scores/infer", {"inputs": inputs}


def _mlserver_ready(python: Path, folder: Path, port: int) -> None:
    settings = {
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "scores", "implementation": "mlserver_peer.Scores"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "mlserver_peer.py").write_text((FOLDER / "mlserver_peer.py").read_text())


def _mlflow_ready(python: Path, folder: Path, port: int) -> None:
    command = [str(python), str(FOLDER / "mlflow_peer.py"), str(folder / "model")]
    subprocess.run(command, check=True, capture_output=True)


PEERS = {
    "fastapi": Peer(
        ("fastapi==0.165.*", "uvicorn[standard]==0.54.*"),
        lambda python, port, folder: [
            str(python), *UVICORN[1:], str(port), "--app-dir", str(FOLDER), "fastapi_peer:app"
        ],
        lambda rows: ("/predict", _inputs(rows)),
        lambda said: said["scores"],
    ),
    "litserve": Peer(
        ("litserve==0.2.19",),
        lambda python, port, folder: [str(python), str(FOLDER / "litserve_peer.py"), str(port)],
        lambda rows: ("/predict", {"rows": _inputs(rows)}),
        lambda said: said["scores"],
    ),
    "bentoml": Peer(
        ("bentoml==1.4.39",),
        lambda python, port, folder: [
            str(python), "-m", "bentoml", "serve", "bentoml_peer:Scores", "--working-dir", str(FOLDER),
            "--port", str(port), "--quiet", "--do-not-track",
        ],
        lambda rows: ("/predict", {"rows": _inputs(rows)}),
        lambda said: said["scores"],
    ),
    "kserve": Peer(
        ("kserve==0.21.0",),
        lambda python, port, folder: [str(python), str(FOLDER / "kserve_peer.py"), str(port)],
        lambda rows: ("/v1/models/scores:predict", {"instances": _inputs(rows)}),
        lambda said: said["predictions"],
    ),
    "mlserver": Peer(
        ("mlserver==1.7.1",),
        lambda python, port, folder: [str(python.with_name("mlserver")), "start", str(folder)],
        _v2,
        lambda said: said["outputs"][0]["data"],
        _mlserver_ready,
    ),
    "mlflow": Peer(
        ("mlflow==3.17.2",),
        lambda python, port, folder: [
            str(python), "-m", "mlflow", "models", "serve", "-m", str(folder / "model"), "--env-manager", "local",
            "--port", str(port), "--workers", "1",
        ],
        lambda rows: ("/invocations", {"dataframe_records": _inputs(rows)}),
        lambda said: [score for _, score in said["predictions"]],
        _mlflow_ready,
    ),
}  # fmt: skip


def compare(work: Rows, folder: Path, peers: Sequence[str], rounds: int) -> dict[str, Any]:
    """Figures of every server by name and size, medians over the rounds; or, of a peer that does not run, the reason."""
    pythons = {name: environment(name, *PEERS[name].requirements, *COMMON) for name in peers}
    runs: dict[str, list[dict[str, Any]]] = {}
    skipped = {name: python for name, python in pythons.items() if isinstance(python, str)}
    for number in range(rounds):
        runs.setdefault("do nothing", []).append(_do_nothing(work))
        runs.setdefault("ours", []).append(_ours(work))
        for name, python in pythons.items():
            if name in skipped or isinstance(python, str):
                continue
            place = folder / f"{name}-{number}"
            place.mkdir()
            try:
                runs.setdefault(name, []).append(_peer(work, PEERS[name], python, place))
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                skipped[name] = f"did not run: {str(error).splitlines()[0]}"
    return {
        "connections": CONNECTIONS,
        "rounds": rounds,
        "sizes": [f"{size} rows" for size in SIZES],
        "servers": {name: _medians(found) for name, found in runs.items() if found},
        "skipped": skipped,
    }


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    if isinstance(runs[0], dict):
        return {key: _medians([run[key] for run in runs]) for key in runs[0]}
    return statistics.median(runs) if runs[0] is not None else None


def _ours(work: Rows) -> dict[str, Any]:
    port = free_port()
    command = [
        sys.executable, "-m", "modelwright.app.cli", "serve", str(work.release), "--no-log", "--port", str(port), "--json",
    ]  # fmt: skip

    def ask(rows: list[dict[str, Any]]) -> tuple[str, Any]:
        return "/predict", rows[0] if len(rows) == 1 else rows

    def scores(said: Any) -> list[float]:
        return [one["score"] for one in (said if isinstance(said, list) else [said])]

    with _started(work, command, port, ask, {}) as server:
        return _measured(server, work, ask, scores)


def _peer(work: Rows, peer: Peer, python: Path, folder: Path) -> dict[str, Any]:
    port = free_port()
    env = {"PEER_MODEL": str(work.pickle), "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}
    before = os.environ.get("PEER_MODEL")
    os.environ["PEER_MODEL"] = str(work.pickle)
    try:
        peer.ready(python, folder, port)
    finally:
        if before is None:
            del os.environ["PEER_MODEL"]
    with _started(work, peer.command(python, port, folder), port, peer.ask, env) as server:
        return _measured(server, work, peer.ask, peer.scores)


def _do_nothing(work: Rows) -> dict[str, Any]:
    port = free_port()

    def ask(rows: list[dict[str, Any]]) -> tuple[str, Any]:
        return "/predict", rows

    with _started(work, [*UVICORN, str(port), "benchmarks.serving.ceiling:app"], port, ask, {}) as server:
        return _measured(server, work, ask, None)


@contextmanager
def _started(work: Rows, command: Sequence[str], port: int, ask: Ask, env: dict[str, str]) -> Iterator[Server]:
    path, body = ask(work.rows[:1])
    with served(command, port, post(path, json.dumps(body).encode()), env, quiet=True) as server:
        yield server


def _measured(server: Server, work: Rows, ask: Ask, scores: Callable[[Any], list[float]] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"cold_start_s": server.cold_start_s}
    for size in SIZES:
        asked = [(ask(rows), expected) for rows, expected in work.batches(size)]
        if scores is not None:
            _check(server.port, asked[:8], scores)
        requests = [post(path, json.dumps(body).encode()) for (path, body), _ in asked]
        before = server.cpu_s()
        with on_core(LOAD_CORE):
            load = drive(
                server.port, itertools.cycle(requests), connections=CONNECTIONS, warm_up_s=WARM_UP_S, seconds=SECONDS
            )
        after = server.cpu_s()
        found[f"{size} rows"] = {
            "per_second": load.per_second,
            "per_cpu_second": None if before is None or after is None else load.sent / (after - before),
            "p50_ms": load.p50_ms,
            "p99_ms": load.p99_ms,
        }
    found["resident_mb"] = server.resident_mb()
    return found


def _check(port: int, asked: list[tuple[tuple[str, Any], list[float]]], scores: Callable[[Any], list[float]]) -> None:
    """RuntimeError where an answer is not the estimator's, to the last bit."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for (path, body), expected in asked:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse().read()
        said = scores(json.loads(answer))
        if said != expected:
            raise RuntimeError(f"answers {said[:3]} where the estimator says {expected[:3]}")
    connection.close()
