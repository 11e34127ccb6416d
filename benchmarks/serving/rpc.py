"""The stateless contest's model over gRPC: `serve --no-log --grpc-port`, 8 connections, calls of one row and of 64.

Beside it the same server over HTTP's `/predict`, and grpcio's servers that do nothing at all: what a server built on that
library can reach at most. Before ours is timed its answers must be the estimator's, to the last bit.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.load import drive as drive_http
from benchmarks.load import post
from benchmarks.processes import LOAD_CORE, SERVER_CORE, START_S, Server, on_core
from benchmarks.serving.grpc_load import drive
from benchmarks.serving.rows import Rows
from benchmarks.serving.stateless import CONNECTIONS, SECONDS, SIZES, WARM_UP_S
from modelwright.testing.ports import free_port

INFER = "/inference.GRPCInferenceService/ModelInfer"
MODEL = "stateless"


def message(rows: list[dict[str, Any]]) -> bytes:
    """Rows as Triton's client sends them: one raw tensor a column."""
    from tritonclient.grpc import service_pb2

    request = service_pb2.ModelInferRequest(model_name=MODEL)
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        text = isinstance(first, str)
        request.inputs.add(name=name, datatype="BYTES" if text else "FP64", shape=[len(rows)])
        coded = [value.encode() for value in values] if text else []
        raw = b"".join(len(one).to_bytes(4, "little") + one for one in coded) if text else np.array(values).tobytes()
        request.raw_input_contents.append(raw)
    sent: bytes = request.SerializeToString()
    return sent


def compare(work: Rows) -> dict[str, Any]:
    """Figures of every server by name and size."""
    messages = {size: [message(rows) for rows, _ in work.batches(size)] for size in SIZES}
    servers: dict[str, Any] = {}
    port, grpc_port = free_port(), free_port()
    command = [
        sys.executable, "-m", "modelwright.app.cli", "serve", str(work.release), "--no-log", "--port", str(port),
        "--grpc-port", str(grpc_port), "--json",
    ]  # fmt: skip
    with _started(command, grpc_port) as server:
        _check(work, grpc_port)
        servers["ours"] = {size: _calls(server, grpc_port, messages[size]) for size in SIZES}
        servers["ours, POST /predict"] = {size: _posts(server, port, work, size) for size in SIZES}
    for kind in ("sync", "aio"):
        port = free_port()
        with _started([sys.executable, "-m", "benchmarks.serving.grpc_ceiling", kind, str(port)], port) as server:
            servers[f"do nothing, grpcio {kind}"] = {size: _calls(server, port, messages[size]) for size in SIZES}
    return {"connections": CONNECTIONS, "servers": servers}


@contextlib.contextmanager
def _started(command: Sequence[str], port: int) -> Iterator[Server]:
    import grpc

    began = time.perf_counter()
    with on_core(SERVER_CORE):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=START_S)
        yield Server(process, port, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check(work: Rows, port: int) -> None:
    """RuntimeError where an answer is not the estimator's, to the last bit."""
    import grpc
    from tritonclient.grpc import InferResult, service_pb2

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = channel.unary_unary(INFER)
        for size in SIZES:
            for rows, expected in work.batches(size)[:8]:
                said = InferResult(service_pb2.ModelInferResponse.FromString(infer(message(rows)))).as_numpy("score")
                if said.tolist() != expected:
                    raise RuntimeError(f"answers {said[:3]} where the estimator says {expected[:3]}")


def _calls(server: Server, port: int, messages: Sequence[bytes]) -> dict[str, float | None]:
    before = server.cpu_s()
    with on_core(LOAD_CORE):
        load = drive(port, INFER, messages, connections=CONNECTIONS, warm_up_s=WARM_UP_S, seconds=SECONDS)
    return _figures(server, before, load)


def _posts(server: Server, port: int, work: Rows, size: int) -> dict[str, float | None]:
    bodies = [rows[0] if size == 1 else rows for rows, _ in work.batches(size)]
    requests = [post("/predict", json.dumps(body).encode()) for body in bodies]
    before = server.cpu_s()
    with on_core(LOAD_CORE):
        load = drive_http(
            port, (requests[n % len(requests)] for n in range(10**9)),
            connections=CONNECTIONS, warm_up_s=WARM_UP_S, seconds=SECONDS,
        )  # fmt: skip
    return _figures(server, before, load)


def _figures(server: Server, before: float | None, load: Any) -> dict[str, float | None]:
    after = server.cpu_s()
    return {
        "per_second": load.per_second,
        "per_cpu_second": None if before is None or after is None else load.sent / (after - before),
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "load": os.getloadavg()[0],
    }
