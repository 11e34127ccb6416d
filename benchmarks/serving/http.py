"""One-row `POST /predict` on 32 connections, the servers in turn, one worker on one core each.

`ours` reads the history of the example's model and has logged the event and the prediction durably before it answers;
`ours, with outcomes` also takes each event's outcome, by `POST /outcomes`; `naive` does neither. `ceiling` is HTTP alone.
"""

import itertools
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.load import Load, drive, post
from benchmarks.processes import LOAD_CORE, Server, free_port, on_core, served
from benchmarks.serving.work import Work

CONNECTIONS = 32
ROUNDS = 3
WARM_UP_S, SECONDS = 1.0, 4.0
MOST = 120_000
"""Requests made for one run; far more than any run sends in its time."""
UVICORN = (sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--port")


def compare(work: Work) -> dict[str, Any]:
    """Every server's medians over the rounds, by its name, and how many times the naive server's rate each reaches."""
    runs: dict[str, list[dict[str, float]]] = {}
    for number in range(ROUNDS):
        runs.setdefault("naive", []).append(_naive(work))
        runs.setdefault("ours", []).append(_ours(work, f"run-{number}", outcomes=False))
    runs["ours, with outcomes"] = [_ours(work, "outcomes", outcomes=True)]
    runs["ceiling"] = [_ceiling(work)]
    servers: dict[str, Any] = {}
    for name, found in runs.items():
        servers[name] = {figure: statistics.median(run[figure] for run in found) for figure in found[0]}
        servers[name]["each_per_second"] = [round(run["per_second"]) for run in found]
    for server in servers.values():
        server["times_naive"] = server["per_second"] / servers["naive"]["per_second"]
    return servers


def _naive(work: Work) -> dict[str, float]:
    port = free_port()
    command = [*UVICORN, str(port), "benchmarks.serving.naive:app"]
    with served(command, port, work.naive[0], {"NAIVE_MODEL": str(work.pickle)}) as server:
        return _figures(server, _drive(server, itertools.cycle(work.naive)))


def _ceiling(work: Work) -> dict[str, float]:
    port = free_port()
    with served([*UVICORN, str(port), "benchmarks.serving.ceiling:app"], port, work.naive[0], {}) as server:
        return _figures(server, _drive(server, itertools.cycle(work.requests("ceiling", 10_000))))


def _ours(work: Work, run: str, *, outcomes: bool) -> dict[str, float]:
    port = free_port()
    workspace = work.workspace_copy(run)
    command = [
        sys.executable, "-m", "modelwright.app.cli", "serve", str(work.release),
        "--workspace", str(workspace), "--port", str(port), "--json",
    ]  # fmt: skip
    requests = work.requests(run, MOST)
    given = _with_outcomes(requests, run) if outcomes else iter(requests)
    with served(command, port, work.requests("first", 1)[0], {}) as server:
        load = _drive(server, given)
        found = _figures(server, load)
    _check_logged(workspace, work, load, outcomes=outcomes)
    return found


def _with_outcomes(requests: list[bytes], run: str) -> Iterator[bytes]:
    """Each event's outcome when CONNECTIONS more have been asked for: by then its own prediction is answered."""
    for number, request in enumerate(requests):
        yield request
        before = number - 2 * CONNECTIONS
        if before >= 0:
            yield post("/outcomes", json.dumps({"id": f"{run}-{before}", "outcome": before % 3 == 0}).encode())


def _drive(server: Server, requests: Iterator[bytes]) -> Load:
    with on_core(LOAD_CORE):
        return drive(server.port, requests, connections=CONNECTIONS, warm_up_s=WARM_UP_S, seconds=SECONDS)


def _figures(server: Server, load: Load) -> dict[str, float]:
    return {
        "per_second": load.per_second,
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "resident_mb": server.resident_mb(),
        "cold_start_s": server.cold_start_s,
    }


def _check_logged(workspace: Path, work: Work, load: Load, *, outcomes: bool) -> None:
    """RuntimeError where the log does not hold one row for each that was acknowledged: then we would have measured less."""
    from modelwright.core.clock import SystemClock
    from modelwright.lake.log import Log
    from modelwright.lake.rows import LogSchema
    from modelwright.lake.workspace import Workspace
    from modelwright.release.folder import open_release

    release = open_release(work.release)
    label = release.manifest.label
    with Log.open(Workspace(workspace), LogSchema(release.contract, label.name, label.kind), SystemClock()) as log:
        counts = log.counts()
    seen = counts["predictions"] + (counts["outcomes"] - work.outcomes if outcomes else 0)
    if seen != load.sent + 1:  # and the first one, which the cold start waited for
        raise RuntimeError(f"{load.sent + 1} requests were answered and the log holds {seen} rows of them: {counts}")
