"""One-row `POST /predict`, the servers in turn, one worker on one core each.

`ours` reads the history of the model and has logged the event and the prediction durably before it answers; `ours, with
outcomes` also takes each event's outcome, by `POST /outcomes`; `naive` does neither. `ceiling` is HTTP alone.
"""

import itertools
import json
import math
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import Load, drive, post
from benchmarks.processes import LOAD_CORE, Server, on_core, served
from benchmarks.serving.work import Work
from modelwright.testing.ports import free_port

ROUNDS = 3
WARM_UP_S, SECONDS = 1.0, 4.0
MOST = 120_000
"""Requests made for one run; far more than any run sends in its time."""
UVICORN = (sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--port")


@dataclass(frozen=True)
class Contest:
    """One work, and on how many connections it is asked for."""

    work: Work
    connections: int

    def compare(self) -> dict[str, Any]:
        """Every server's medians over the rounds, by its name, and how many times the naive server's rate each reaches."""
        runs: dict[str, list[dict[str, float]]] = {}
        for number in range(ROUNDS):
            runs.setdefault("naive", []).append(self._naive())
            runs.setdefault("ours", []).append(self._ours(f"run-{number}"))
        peak = statistics.median(run["per_second"] for run in runs["ours"])
        runs["ours, at half of it"] = [self._ours("half", rate=peak / 2)]
        runs["ours, with outcomes"] = [self._ours("outcomes", outcomes=True)]
        runs["ceiling"] = [self._ceiling()]
        servers: dict[str, Any] = {}
        for name, found in runs.items():
            servers[name] = {figure: statistics.median(run[figure] for run in found) for figure in found[0]}
            servers[name]["each_per_second"] = [round(run["per_second"]) for run in found]
        for server in servers.values():
            server["times_naive"] = server["per_second"] / servers["naive"]["per_second"]
            server["times_naive_cpu"] = server["per_cpu_second"] / servers["naive"]["per_cpu_second"]
        return {
            "features": self.work.features,
            "connections": self.connections,
            "rounds": ROUNDS,
            "servers": servers,
        }

    def _naive(self) -> dict[str, float]:
        port = free_port()
        command = [*UVICORN, str(port), "benchmarks.serving.naive:app"]
        with served(command, port, self.work.naive[0], {"NAIVE_MODEL": str(self.work.pickle)}) as server:
            return self._measured(server, itertools.cycle(self.work.naive))[0]

    def _ceiling(self) -> dict[str, float]:
        port = free_port()
        with served([*UVICORN, str(port), "benchmarks.serving.ceiling:app"], port, self.work.naive[0], {}) as server:
            return self._measured(server, itertools.cycle(self.work.requests("ceiling", 10_000)))[0]

    def _ours(self, run: str, *, outcomes: bool = False, rate: float | None = None) -> dict[str, float]:
        port = free_port()
        workspace = self.work.workspace_copy(run)
        command = [
            sys.executable, "-m", "modelwright.app.cli", "serve", str(self.work.release),
            "--workspace", str(workspace), "--port", str(port), "--json",
        ]  # fmt: skip
        requests = self.work.requests(run, MOST)
        given = self._with_outcomes(requests, run) if outcomes else iter(requests)
        with served(command, port, self.work.requests("first", 1)[0], {}) as server:
            found, load = self._measured(server, given, rate)
        _check_logged(workspace, self.work, load, outcomes=outcomes)
        return found

    def _with_outcomes(self, requests: list[bytes], run: str) -> Iterator[bytes]:
        """Each event's outcome when twice as many more have been asked for as there are connections: by then its own
        prediction is answered."""
        for number, request in enumerate(requests):
            yield request
            before = number - 2 * self.connections
            if before >= 0:
                yield post("/outcomes", json.dumps({"id": f"{run}-{before}", "outcome": before % 3 == 0}).encode())

    def _measured(
        self, server: Server, requests: Iterator[bytes], rate: float | None = None
    ) -> tuple[dict[str, float], Load]:
        before = server.cpu_s()
        with on_core(LOAD_CORE):
            load = drive(
                server.port, requests, connections=self.connections, warm_up_s=WARM_UP_S, seconds=SECONDS, rate=rate
            )
        after = server.cpu_s()
        figures = {
            "per_second": load.per_second,
            "per_cpu_second": load.sent / (after - before) if before is not None and after is not None else math.nan,
            "p50_ms": load.p50_ms,
            "p99_ms": load.p99_ms,
            "resident_mb": server.resident_mb(),
            "own_mb": server.own_mb(),
            "cold_start_s": server.cold_start_s,
        }
        return figures, load


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
