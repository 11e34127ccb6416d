"""Events through NATS JetStream beside `POST /predict`: the same release, history and durable log, as many in flight.

The server is on one core; the load, and the broker with it, on the other. The broker holds all events before the server
starts, so that the stream is never short of work; the rate is that of messages committed, answered and acknowledged.
"""

import contextlib
import itertools
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.load import drive
from benchmarks.processes import LOAD_CORE, Server, on_core, served
from benchmarks.serving.electricity import prepare
from benchmarks.serving.work import Work
from modelwright.testing.ports import free_port

IN_FLIGHT = (32, 256)
ROUNDS = 3
MESSAGES = 20_000
WARM_UP_S, SECONDS = 1.0, 4.0
ANSWERED = 'modelwright_stream_answered_total{operation="predict"} '


class Rate(NamedTuple):
    """Answers a second, and the server's processor time for each."""

    per_second: float
    cpu_us: float


def compare() -> dict[str, Any]:
    """Answers a second of both, by how many are in flight: medians of runs in turn."""
    from modelwright.testing.brokers import NatsServer

    if missing := NatsServer.missing():
        raise SystemExit(missing)
    os.environ["MODELWRIGHT_TRACKING"] = "off"
    runs: dict[int, dict[str, list[Rate]]] = {many: {"http": [], "nats": []} for many in IN_FLIGHT}
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        work = prepare(Path(name))
        for number, many in itertools.product(range(ROUNDS), IN_FLIGHT):
            runs[many]["http"].append(_http(work, f"http-{number}-{many}", many))
            runs[many]["nats"].append(_nats(work, f"nats-{number}-{many}", many))
    return {
        "messages": MESSAGES,
        "rounds": ROUNDS,
        "in_flight": {
            many: {
                way: {
                    "per_second": statistics.median(one.per_second for one in rates),
                    "cpu_us": statistics.median(one.cpu_us for one in rates),
                    "each": [round(one.per_second) for one in rates],
                }
                for way, rates in found.items()
            }
            for many, found in runs.items()
        },
    }


def _http(work: Work, run: str, many: int) -> Rate:
    with _served(work, run) as server, on_core(LOAD_CORE):
        requests, before = iter(work.requests(run, 120_000)), server.cpu_s() or 0.0
        load = drive(server.port, requests, connections=many, warm_up_s=WARM_UP_S, seconds=SECONDS)
        return Rate(load.per_second, 1e6 * ((server.cpu_s() or 0.0) - before) / load.sent)


def _nats(work: Work, run: str, many: int) -> Rate:
    from modelwright.testing.brokers import NatsChannel, NatsServer

    folder = work.workspace.with_name(f"{run}-broker")
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        with on_core(LOAD_CORE):
            broker = stack.enter_context(NatsServer(folder))
        channel = NatsChannel(broker, "halfhours")
        channel.send(work.bodies(run, MESSAGES))
        server = stack.enter_context(_served(work, run, "--stream", f"{channel.url}&in_flight={many}"))
        seen: list[tuple[float, float, int]] = []  # from the first answer on: when, processor seconds, answers
        while not seen or seen[-1][2] < MESSAGES:
            time.sleep(0.02)
            if answered := _answered(server.port):
                seen.append((time.perf_counter(), server.cpu_s() or 0.0, answered))
        if len(channel.answers(MESSAGES)) != MESSAGES:
            raise RuntimeError("there are not as many answers as messages")
        first = next((one for one in seen if one[0] >= seen[0][0] + WARM_UP_S and one[2] < MESSAGES), seen[0])
        seconds, cpu_s, answers = (last - start for last, start in zip(seen[-1], first, strict=True))
        return Rate(answers / seconds, 1e6 * cpu_s / answers)


@contextlib.contextmanager
def _served(work: Work, run: str, *options: str) -> Iterator[Server]:
    port = free_port()
    command = [
        sys.executable, "-m", "modelwright.app.cli", "serve", str(work.release),
        "--workspace", str(work.workspace_copy(run)), "--port", str(port), "--json", *options,
    ]  # fmt: skip
    with served(command, port, work.requests(f"first-{run}", 1)[0], {}) as server:
        yield server


def _answered(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        said = answer.read().decode()
    return int(said.partition(ANSWERED)[2].partition("\n")[0] or 0) if ANSWERED in said else 0
