"""What explanations cost the predictions beside them: `/predict` at a fixed rate on a server with a log, with and without a
client that asks `/explain` all the time.

The process that explains shares the server's core here, which is the worst case for the predictions.
"""

import http.client
import json
import statistics
import sys
import threading
import time
from typing import Any

from benchmarks.load import drive_at_random
from benchmarks.processes import LOAD_CORE, on_core, served
from benchmarks.serving.work import Work
from modelwright.testing.ports import free_port

CONNECTIONS = 32
RATE = 1_000
ROUNDS = 3
SECONDS = 4.0


def compare(work: Work) -> dict[str, Any]:
    """Medians of both, in turn."""
    port = free_port()
    command = [
        sys.executable, "-m", "modelwright.app.cli", "serve", str(work.release),
        "--workspace", str(work.workspace_copy("explain")), "--port", str(port), "--json",
    ]  # fmt: skip
    runs: dict[str, list[dict[str, float | None]]] = {"predictions alone": [], "while explaining": []}
    with served(command, port, work.requests("first", 1)[0], {}) as server:
        bodies = work.bodies("asked", 200)
        _explained(server.port, bodies[:1], threading.Event(), [])  # the process has started
        asked = 1
        for number in range(ROUNDS):
            for name, found in runs.items():
                stop, times = threading.Event(), list[float]()
                asking = threading.Thread(target=_explained, args=(server.port, bodies, stop, times))
                if name == "while explaining":
                    asking.start()
                with on_core(LOAD_CORE):
                    given = iter(work.requests(f"{name}-{number}", int(2 * RATE * SECONDS), asked))
                    load = drive_at_random(server.port, given, connections=CONNECTIONS, rate=RATE, seconds=SECONDS)
                asked += load.sent
                stop.set()
                if name == "while explaining":
                    asking.join()
                found.append(
                    {
                        "p50_ms": load.p50_ms,
                        "p99_ms": load.p99_ms,
                        "explained_per_second": len(times) / SECONDS if times else None,
                        "explained_ms": 1e3 * statistics.median(times) if times else None,
                    }
                )
    lines = {
        name: {
            figure: None if found[0][figure] is None else statistics.median(run[figure] or 0.0 for run in found)
            for figure in found[0]
        }
        for name, found in runs.items()
    }
    return {"connections": CONNECTIONS, "rate": RATE, "rounds": ROUNDS, "lines": lines}


def _explained(port: int, bodies: list[bytes], stop: threading.Event, times: list[float]) -> None:
    """Ask for one after the other until told to stop, at least once for each of the first; RuntimeError for any but a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number, body in enumerate(bodies * 1_000):
        if stop.is_set() or (number and len(bodies) == 1):
            break
        began = time.perf_counter()
        connection.request("POST", "/explain", body)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"/explain answered {answer.status}: {json.loads(said)}")
        times.append(time.perf_counter() - began)
    connection.close()
