"""Stages in /metrics, and traces as a real collector receives them: OTLP over HTTP, in protobuf."""

import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

STAGES = ["decode", "wait", "begin", "features", "model", "encode", "commit"]
HIDDEN = """
import importlib.machinery
find = importlib.machinery.PathFinder.find_spec

def found(name, path=None, target=None):
    return None if name.partition(".")[0] == "opentelemetry" else find(name, path, target)

importlib.machinery.PathFinder.find_spec = found
"""


class Collector:
    """An OTLP receiver on a free port; `spans` are those it was sent, with their resource's attributes."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

                data = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    data = gzip.decompress(data)
                for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
                    collector.services |= {
                        one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
                    }
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self, count: int) -> list[Any]:
        """The server spans, as soon as there are so many of them."""
        until = time.monotonic() + 60
        while len(self.requests()) < count and time.monotonic() < until:
            time.sleep(0.05)
        return self.requests()

    def requests(self) -> list[Any]:
        return [span for span in list(self.spans) if span.kind == 2]

    def children(self, span: Any) -> list[Any]:
        return [one for one in self.spans if one.parent_span_id == span.span_id]


@pytest.fixture
def collector() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.proto", reason="pip install 'modelwright[otel]'")
    made = Collector()
    yield made
    made.close()


def attributes(span: Any) -> dict[str, Any]:
    found = {}
    for one in span.attributes:
        kind = one.value.WhichOneof("value")
        value = getattr(one.value, kind)
        found[one.key] = [each.string_value for each in value.values] if kind == "array_value" else value
    return found


def test_a_request_is_a_span_in_the_clients_trace(
    card_numbers: Any, serve: Any, payment: Any, collector: Collector
) -> None:
    server = serve(
        card_numbers.release, options=["--log-format", "json"], OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
        OTEL_BSP_SCHEDULE_DELAY="100",
    )  # fmt: skip
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace}-{parent}-01", "x-request-id": "order-7"}
    before_ns = time.time_ns()
    assert server.ask("POST", "/predict", payment("traced"), headers).status == 200
    after_ns = time.time_ns()
    assert server.ask("POST", "/predict", b"{").status == 400
    assert server.ask("GET", "/secret/path?token=1").status == 404
    tensor = {"inputs": [], "id": "x"}
    server.ask("POST", f"/v2/models/{server.ask('GET', '/readyz').json['system']}/infer", tensor)
    spans = collector.wait(5)
    assert collector.services == {"card-numbers"}
    by_name = {span.name: span for span in spans}
    assert {"POST /predict", "GET", "GET /readyz"} <= set(by_name)
    span = next(one for one in spans if one.trace_id.hex() == trace)
    assert span.parent_span_id.hex() == parent
    assert before_ns <= span.start_time_unix_nano < span.end_time_unix_nano <= after_ns
    said = attributes(span)
    assert said == {
        "http.request.method": "POST", "http.route": "/predict", "url.path": "/predict", "url.scheme": "http",
        "http.response.status_code": 200, "http.response.header.x-request-id": ["order-7"],
    }  # fmt: skip
    stages = sorted(collector.children(span), key=lambda one: one.start_time_unix_nano)
    assert [one.name for one in stages] == STAGES
    assert all(one.trace_id == span.trace_id for one in stages)
    moments = [span.start_time_unix_nano]
    for one in stages:
        moments += [one.start_time_unix_nano, one.end_time_unix_nano]
    assert moments == sorted(moments)
    assert moments[-1] <= span.end_time_unix_nano
    assert "http.route" not in attributes(by_name["GET"])
    assert b"token" not in b"".join(one.SerializeToString() for one in spans)
    # The line of the log names the trace.
    until = time.monotonic() + 60
    while server.messages().count('{"at"') < 5 and time.monotonic() < until:  # a line follows its answer
        time.sleep(0.02)
    lines = [json.loads(line) for line in server.messages().splitlines() if line.startswith("{")]
    assert next(line for line in lines if line["id"] == "order-7")["trace"] == trace
    assert {line["trace"] for line in lines} == {one.trace_id.hex() for one in spans}
    assert "Traceback" not in server.messages()


def test_the_sampler_of_the_environment_decides(
    card_numbers: Any, serve: Any, payment: Any, collector: Collector
) -> None:
    server = serve(
        card_numbers.release, OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_TRACES_SAMPLER="parentbased_always_off",
        OTEL_BSP_SCHEDULE_DELAY="100",
    )  # fmt: skip
    for number in range(5):
        assert server.post("/predict", payment(f"quiet{number}")).status == 200
    wanted = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert server.ask("POST", "/predict", payment("wanted"), wanted).status == 200
    assert [span.trace_id.hex() for span in collector.wait(1)] == ["0af7651916cd43dd8448eb211c80319c"]


def test_spans_are_sent_before_a_server_ends(card_numbers: Any, serve: Any, payment: Any, collector: Collector) -> None:
    server = serve(
        card_numbers.release, OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_BSP_SCHEDULE_DELAY="3600000"
    )
    for number in range(7):
        assert server.post("/predict", payment(f"last{number}")).status == 200
    assert collector.requests() == []
    assert server.stop() == 0
    assert len(collector.requests()) == 7


def test_a_collector_that_is_gone_costs_no_answer_and_no_end(card_numbers: Any, serve: Any, payment: Any) -> None:
    """Nobody listens: the queue is bounded, requests are answered, and the server ends in time."""
    server = serve(
        card_numbers.release, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY="50",
        OTEL_BSP_MAX_QUEUE_SIZE="64", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="16",
    )  # fmt: skip
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda n: server.post("/predict", payment(f"gone{n}")).status, range(200)))
    assert said == [200] * 200
    assert server.stop() == 0  # within 20 s, of which 5 are waited for the collector


def test_what_is_missing_is_one_line(card_numbers: Any, modelwright: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDDEN)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2] / 'src'}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    done = modelwright("serve", card_numbers.release, "--port", "0", home=tmp_path / "state")
    assert done.code != 0
    assert len(done.err.strip().splitlines()) == 1
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set" in done.err
    assert "pip install 'modelwright[otel]'" in done.err


def test_another_protocol_is_refused(card_numbers: Any, modelwright: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    done = modelwright("serve", card_numbers.release, "--port", "0", home=tmp_path / "state")
    assert done.code == 2
    assert "http/protobuf" in done.err


def test_stages_are_counted_once_a_request(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda n: server.post("/predict", payment(f"s{n}")).status, range(40))) == {200}
    text = server.ask("GET", "/metrics").body.decode()
    counts = dict(re.findall(r'modelwright_stage_seconds_count\{stage="([a-z]+)"\} (\d+)', text))
    assert counts == dict.fromkeys(STAGES, "40")
    sums = {
        stage: float(s) for stage, s in re.findall(r'modelwright_stage_seconds_sum\{stage="([a-z]+)"\} (\S+)', text)
    }
    whole = float(re.search(r'modelwright_request_seconds_sum\{route="/predict"\} (\S+)', text)[1])  # type: ignore[index]
    assert all(value > 0 for value in sums.values())
    assert sum(sums.values()) <= whole


def test_nothing_of_it_is_loaded_where_it_is_not_asked_for(card_numbers: Any, serve: Any, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, pathlib, sys\n"
        "atexit.register(lambda: pathlib.Path(os.environ['LOADED']).write_text(' '.join(sys.modules)))\n"
    )
    source = Path(__file__).parents[2] / "src"
    server = serve(card_numbers.release, PYTHONPATH=f"{tmp_path}:{source}", LOADED=str(tmp_path / "loaded"))
    assert server.ask("GET", "/readyz").status == 200
    server.stop()
    loaded = (tmp_path / "loaded").read_text().split()
    assert "modelwright.serving.traces" in loaded
    assert not [name for name in loaded if name.startswith("opentelemetry")]
