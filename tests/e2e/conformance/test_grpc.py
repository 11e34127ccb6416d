"""The Open Inference Protocol over gRPC by independent clients, all on grpcio's C core: Triton's, gRPC's own health and
reflection clients, and bare channels for what those would not send."""

import http.client
import json
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.e2e.commands import without_log
from tests.e2e.processes import files_of
from tritonclient.grpc import service_pb2 as v2
from tritonclient.utils import InferenceServerException

MODEL = "card-numbers"
SERVICE = "inference.GRPCInferenceService"
INFER = f"/{SERVICE}/ModelInfer"
START = datetime(2024, 6, 1, tzinfo=UTC)
DATATYPE = {
    "payment_id": "BYTES", "card": "BYTES", "at": "BYTES", "amount": "FP64", "items": "INT64", "merchant": "BYTES",
    "country": "BYTES",
}  # fmt: skip
NUMPY = {"BYTES": np.object_, "FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "INT32": np.int32}
CONTENTS = {"BYTES": "bytes_contents", "FP64": "fp64_contents", "INT64": "int64_contents"}
Code = grpc.StatusCode


@pytest.fixture(scope="module")
def server(card_numbers: Any, serve: Callable[..., Any]) -> Any:
    return serve(card_numbers.release, options=["--grpc-port", 0])


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.started["grpc"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def channel(server: Any) -> Iterator[grpc.Channel]:
    options = [("grpc.max_send_message_length", 64 << 20), ("grpc.enable_retries", 0)]
    with grpc.insecure_channel(server.started["grpc"], options) as opened:
        yield opened


def call(channel: grpc.Channel, method: str = INFER) -> Any:
    """A method that takes and gives bytes."""
    return channel.unary_unary(method)


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return Code.OK


def raw(rows: list[dict[str, Any]], datatypes: dict[str, str] | None = None) -> list[Any]:
    """Rows as Triton's client sends them: one raw tensor a column."""
    made = []
    for name in rows[0]:
        datatype = (datatypes or {}).get(name, DATATYPE[name])
        values = np.array([row[name] for row in rows], dtype=NUMPY[datatype])
        made.append(triton.InferInput(name, list(values.shape), datatype))
        made[-1].set_data_from_numpy(values)
    return made


def typed(rows: list[dict[str, Any]], **more: Any) -> Any:
    """Rows as a message with typed contents."""
    request = v2.ModelInferRequest(model_name=MODEL, **more)
    for name in rows[0]:
        tensor = request.inputs.add(name=name, datatype=DATATYPE[name], shape=[len(rows), 1])
        values = [row[name].encode() if isinstance(row[name], str) else row[name] for row in rows]
        getattr(tensor.contents, CONTENTS[DATATYPE[name]]).extend(values)
    return request


def infer(channel: grpc.Channel, request: Any, **options: Any) -> Any:
    return v2.ModelInferResponse.FromString(call(channel)(request.SerializeToString(), timeout=120, **options))


def at(minutes: int) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


def refused(call: Callable[[], Any], code: str, *words: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        call()
    assert caught.value.status() == f"StatusCode.{code}", caught.value
    for word in words:
        assert word in caught.value.message()


def test_health_and_metadata(client: Any, card_numbers: Any) -> None:
    release = card_numbers.release.name
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, release)
    assert not client.is_model_ready("nobody")
    assert not client.is_model_ready(MODEL, "nothing")
    assert client.get_server_metadata().name == "modelwright"
    metadata = client.get_model_metadata(MODEL, release)
    assert metadata == client.get_model_metadata(MODEL)
    assert (metadata.name, list(metadata.versions)) == (MODEL, [release])
    assert {each.name: each.datatype for each in metadata.inputs} == DATATYPE
    assert {each.name: (each.datatype, list(each.shape)) for each in metadata.outputs} == {
        "prediction": ("BOOL", [-1]), "score": ("FP64", [-1]), "probabilities": ("FP64", [-1, 2]),
        "id": ("BYTES", [-1]), "release": ("BYTES", [-1]),
    }  # fmt: skip
    index = client.get_model_repository_index().models
    assert [(one.name, one.version, one.state) for one in index] == [(MODEL, release, "READY")]
    refused(lambda: client.get_model_metadata("nobody"), "NOT_FOUND", "nobody", MODEL)
    refused(lambda: client.get_model_metadata(MODEL, "old"), "NOT_FOUND", "old")
    refused(client.get_inference_statistics, "UNIMPLEMENTED", "ModelStatistics")


def test_health_by_grpcs_own_client(channel: Any) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    ask = health_pb2.HealthCheckRequest
    for service in ("", SERVICE, MODEL):
        assert health.Check(ask(service=service)).status == health_pb2.HealthCheckResponse.SERVING
        watching = health.Watch(ask(service=service))
        assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
        watching.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(ask(service="nobody"))
    assert caught.value.code() == Code.NOT_FOUND
    watching = health.Watch(ask(service="nobody"))
    assert next(watching).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watching.cancel()


def test_reflection_by_grpcs_own_client(channel: Any) -> None:
    reflected = ProtoReflectionDescriptorDatabase(channel)
    assert {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= set(reflected.get_services())
    pool = DescriptorPool(reflected)
    service = pool.FindServiceByName(SERVICE)
    assert {method.name for method in service.methods} == {
        "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "RepositoryIndex",
    }  # fmt: skip
    found = pool.FindMessageTypeByName("inference.ModelInferRequest")
    theirs = v2.ModelInferRequest.DESCRIPTOR
    assert [(f.name, f.number) for f in found.fields] == [(f.name, f.number) for f in theirs.fields]
    with pytest.raises(KeyError):
        pool.FindServiceByName("inference.Nothing")


@pytest.mark.parametrize("form", ["raw", "typed"])
@pytest.mark.parametrize("count", [6, 64])
def test_rows_are_predicted_like_requests(
    server: Any, client: Any, channel: Any, payment: Any, form: str, count: int
) -> None:
    """The same payments of another card, one by one over /predict: the same bits, history and all."""
    card = f"grpc-{form}-{count}"
    rows = [
        payment(f"{card}-{n}", card=card, at=at(n), amount=3.7 * (n + 1), items=n + 1, merchant="ä" * (n % 9))
        for n in range(count)
    ]
    alone = [
        server.post("/predict", {**row, "card": f"{card}-alone", "payment_id": f"{row['payment_id']}-alone"}).json
        for row in rows
    ]
    if form == "raw":
        result = client.infer(MODEL, raw(rows), request_id="q7")
        response = result.get_response()
        assert not any(output.HasField("contents") for output in response.outputs)
        said = {output.name: result.as_numpy(output.name).ravel().tolist() for output in response.outputs}
    else:
        response = infer(channel, typed(rows, id="q7"))
        assert not response.raw_output_contents
        said = {
            output.name: list(getattr(output.contents, {**CONTENTS, "BOOL": "bool_contents"}[output.datatype]))
            for output in response.outputs
        }
    assert (response.id, response.model_name, response.model_version) == ("q7", MODEL, alone[0]["release"])
    assert [(output.name, list(output.shape)) for output in response.outputs] == [
        ("prediction", [count]), ("score", [count]), ("probabilities", [count, 2]), ("id", [count]), ("release", [count]),
    ]  # fmt: skip
    assert said["score"] == [answer["score"] for answer in alone]
    assert said["prediction"] == [answer["prediction"] for answer in alone]
    order = json.loads(response.outputs[2].parameters["classes"].string_param)
    assert said["probabilities"] == [answer["probabilities"][name] for answer in alone for name in order]
    assert [text.decode() for text in said["id"]] == [row["payment_id"] for row in rows]
    assert [text.decode() for text in said["release"]] == [answer["release"] for answer in alone]
    # They are events like any other: a repeat over /predict gets what was answered.
    assert server.post("/predict", rows[3]).json["score"] == said["score"][3]
    assert server.post("/outcomes", {"id": rows[3]["payment_id"], "outcome": True}).status == 200


def test_wanted_outputs_ids_and_narrower_numbers(server: Any, client: Any, payment: Any) -> None:
    row = payment("narrow", amount=0.1, items=3)
    instant = int(datetime.fromisoformat(row["at"]).timestamp()) * 1_000_000
    inputs = raw([{**row, "at": instant}], {"amount": "FP32", "items": "INT32", "at": "INT64"})
    result = client.infer(MODEL, inputs, outputs=[triton.InferRequestedOutput("score")])
    assert [output.name for output in result.get_response().outputs] == ["score"]
    said = server.post("/predict", {**row, "amount": float(np.float32(0.1))})
    assert (said.status, said.json["score"]) == (200, result.as_numpy("score")[0])
    unnamed = {name: value for name, value in row.items() if name not in ("payment_id", "at")}
    named = client.infer(MODEL, raw([unnamed]), parameters={"id": "mine"})
    assert named.as_numpy("id").tolist() == [b"mine"]


def test_what_does_not_fit_is_refused_with_a_status(server: Any, client: Any, payment: Any) -> None:
    before = server.ask("GET", "/readyz").json["events"]
    row = payment("wrong")

    def asked(datatypes: dict[str, str] | None = None, without: str = "", **changes: Any) -> Callable[[], Any]:
        given = {name: value for name, value in {**row, **changes}.items() if name != without}
        return lambda: client.infer(MODEL, raw([given], datatypes))

    refused(asked(without="amount"), "INVALID_ARGUMENT", "amount")
    refused(asked({"amount": "BYTES"}, amount=b"1"), "INVALID_ARGUMENT", "amount", "FP64")
    refused(asked(amount=-1.0), "INVALID_ARGUMENT", "amount")
    refused(asked(amount=float("nan")), "INVALID_ARGUMENT", "amount", "finite")
    refused(asked(at="yesterday"), "INVALID_ARGUMENT", "at")
    refused(asked(merchant=b"\xff"), "INVALID_ARGUMENT", "merchant", "UTF-8")
    refused(lambda: client.infer("nobody", raw([row])), "NOT_FOUND", "nobody")
    refused(lambda: client.infer(MODEL, raw([row]), model_version="old"), "NOT_FOUND", "old")
    refused(lambda: client.infer(MODEL, raw([row]), priority=3), "INVALID_ARGUMENT", "priority")
    refused(
        lambda: client.infer(MODEL, raw([row]), outputs=[triton.InferRequestedOutput("colour")]),
        "INVALID_ARGUMENT", "colour", "probabilities",
    )  # fmt: skip
    refused(lambda: client.infer(MODEL, raw([row]), compression_algorithm="gzip"), "UNIMPLEMENTED", "compressed")
    assert server.ask("GET", "/readyz").json["events"] == before, "nothing of a refused request counts"
    client.infer(MODEL, raw([row]))
    refused(asked(amount=5.5), "ALREADY_EXISTS", "wrong")
    assert "Traceback" not in server.messages()


def test_messages_and_rows_have_limits(server: Any, channel: Any, payment: Any) -> None:
    row = payment("x")
    row.pop("payment_id")
    assert code_of(lambda: infer(channel, typed([row] * 10_001))) == Code.RESOURCE_EXHAUSTED
    large = v2.ModelInferRequest(model_name=MODEL, raw_input_contents=[bytes(9 << 20)]).SerializeToString()
    with pytest.raises(grpc.RpcError) as caught:
        call(channel)(large, timeout=30)
    assert caught.value.code() == Code.RESOURCE_EXHAUSTED
    assert "8 MiB" in caught.value.details()
    just = v2.ModelInferRequest(model_name="m" * (8_000_000)).SerializeToString()
    assert code_of(lambda: call(channel)(just, timeout=30)) == Code.NOT_FOUND
    # Many rows, in many frames, there and back.
    answer = infer(channel, typed([row] * 2_000))
    assert len(answer.outputs[1].contents.fp64_contents) == 2_000


def test_many_calls_on_one_connection(server: Any, channel: Any, payment: Any) -> None:
    before = server.ask("GET", "/readyz").json["events"]
    ask = call(channel)
    futures = [ask.future(typed([payment(f"many-{n}", at=at(n))]).SerializeToString(), timeout=60) for n in range(1000)]
    answers = [v2.ModelInferResponse.FromString(future.result()) for future in futures]
    assert [answer.outputs[3].contents.bytes_contents[0].decode() for answer in answers] == [
        f"many-{n}" for n in range(1000)
    ]
    assert server.ask("GET", "/readyz").json["events"] == before + 1000
    assert server.metric(f'modelwright_responses_total{{route="{INFER}",status="200"}}') >= 1000
    assert server.metric(f'modelwright_request_seconds_count{{route="{INFER}"}}') >= 1000
    assert server.metric("modelwright_waiting") == 1  # the question for it


DATATYPES = ["BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64",
             "BYTES", "BF16", "", "fp64"]  # fmt: skip
SHAPES = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 3), max_size=3)
CONTENT = st.fixed_dictionaries(
    {},
    optional={
        "bool_contents": st.lists(st.booleans(), max_size=3),
        "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
        "int64_contents": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
        "uint_contents": st.lists(st.integers(0, 2**32 - 1), max_size=3),
        "uint64_contents": st.lists(st.integers(0, 2**64 - 1), max_size=3),
        "fp32_contents": st.lists(st.floats(width=32), max_size=3),
        "fp64_contents": st.lists(st.floats(), max_size=3),
        "bytes_contents": st.lists(st.binary(max_size=20), max_size=3),
    },
)
BYTES = st.binary(max_size=40) | st.builds(lambda text: struct.pack("<I", len(text)) + text, st.binary(max_size=20))
CHANGES = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from([*DATATYPE, "colour", ""])},
        optional={
            "datatype": st.sampled_from(DATATYPES),
            "shape": SHAPES,
            "contents": CONTENT,
        },
    ),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    changes=CHANGES,
    raws=st.none() | st.lists(BYTES, max_size=8),
    parameters=st.dictionaries(st.sampled_from(["id", "priority", "sequence_id"]), st.integers(-5, 5), max_size=2),
)
def test_whatever_is_asked_gets_a_status_of_its_own(
    channel: Any, payment: Any, changes: Any, raws: Any, parameters: Any
) -> None:
    """Never INTERNAL, UNKNOWN or a lost connection, for tensors that do not fit in any way."""
    row = payment("fuzz")
    row.pop("payment_id")
    request = typed([row])
    tensors = {tensor.name: tensor for tensor in request.inputs}
    for change in changes:
        tensor = tensors.get(change["name"]) or request.inputs.add(name=change["name"])
        if "datatype" in change:
            tensor.datatype = change["datatype"]
        if "shape" in change:
            del tensor.shape[:]
            tensor.shape.extend(change["shape"])
        if "contents" in change:
            tensor.contents.CopyFrom(v2.InferTensorContents(**change["contents"]))
    if raws is not None:
        request.raw_input_contents.extend(raws)
        for tensor in request.inputs:
            tensor.ClearField("contents")
    for name, value in parameters.items():
        request.parameters[name].int64_param = value
    code = code_of(lambda: infer(channel, request))
    assert code in (Code.OK, Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED), code


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(message=st.binary(max_size=200), cut=st.integers(0, 400))
def test_whatever_bytes_are_sent_get_a_status_of_their_own(
    channel: Any, payment: Any, message: bytes, cut: int
) -> None:
    whole = typed([payment("bytes")]).SerializeToString()
    for sent in (message, whole[:cut] + message, whole[cut:]):
        code = code_of(lambda sent=sent: call(channel)(sent, timeout=30))
        assert code in (Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS), code


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_SETTINGS = bytes(3) + b"\x04" + bytes(5)
"""HTTP/2's own settings frame, empty: how a client begins."""


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),  # TLS where there is none
        PREFACE + b"\xff" * 100_000,
        PREFACE + NO_SETTINGS + random.Random(7).randbytes(1 << 20),
        PREFACE + NO_SETTINGS + (bytes(3) + b"\x09\x00" + bytes(3) + b"\x01") * 100_000,  # CONTINUATION of nothing
        PREFACE + NO_SETTINGS + b"\x00\x40\x01\x00\x00\x00\x00\x00\x01" + bytes(0x4001),  # a frame too large
    ],
    ids=["http1", "tls", "ones", "noise", "continuation", "large"],
)
def test_whatever_is_no_http2_ends_its_connection_alone(server: Any, channel: Any, payment: Any, sent: bytes) -> None:
    host, _, port = server.started["grpc"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        try:
            sock.sendall(sent)
            while sock.recv(1 << 16):
                pass
        except (ConnectionResetError, BrokenPipeError):  # closed while we still sent
            pass
    row = payment("after")
    row.pop("payment_id")
    assert code_of(lambda: infer(channel, typed([row]))) == Code.OK
    assert "Traceback" not in server.messages()


def test_clients_that_vanish_leave_nothing_behind(server: Any, channel: Any, payment: Any) -> None:
    """Before they have read their answers."""
    row = payment("vanish")
    row.pop("payment_id")
    rows = typed([row] * 20).SerializeToString()
    for n in range(20):
        with grpc.insecure_channel(server.started["grpc"], [("grpc.use_local_subchannel_pool", 1)]) as leaving:
            futures = [call(leaving).future(rows) for _ in range(5)]
            if n % 2:
                futures[0].result(timeout=60)
    limit = time.monotonic() + 60
    while server.metric("modelwright_waiting") > 1 and time.monotonic() < limit:
        time.sleep(0.05)
    assert server.metric("modelwright_waiting") == 1  # the question for it
    assert code_of(lambda: infer(channel, typed([row]))) == Code.OK
    assert "Traceback" not in server.messages()


def test_keys_are_asked_for_as_over_http(
    card_numbers: Any, serve: Any, modelwright: Any, payment: Any, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()

    def key(name: str, *options: str) -> tuple[tuple[str, str], ...]:
        done = modelwright("key", "create", state, "--name", name, *options, "--json", home=state)
        return (("authorization", f"Bearer {done.json['key']}"),)

    predicting = key("shop", "--scope", "predict")
    feeding = key("feed", "--scope", "ingest")
    slow = key("slow", "--scope", "predict", "--rate", "1/h")
    server = serve(card_numbers.release, state, ["--grpc-port", 0, "--log-format", "json"])
    with grpc.insecure_channel(server.started["grpc"], [("grpc.enable_retries", 0)]) as channel:
        request = typed([payment("key")])
        assert code_of(lambda: infer(channel, request)) == Code.UNAUTHENTICATED
        assert (
            code_of(lambda: infer(channel, request, metadata=(("authorization", "Bearer no"),))) == Code.UNAUTHENTICATED
        )
        assert code_of(lambda: infer(channel, request, metadata=feeding)) == Code.PERMISSION_DENIED
        assert code_of(lambda: infer(channel, request, metadata=predicting)) == Code.OK
        assert code_of(lambda: infer(channel, request, metadata=slow)) == Code.OK
        assert code_of(lambda: infer(channel, request, metadata=slow)) == Code.RESOURCE_EXHAUSTED
        asked = health_pb2.HealthCheckRequest()
        assert health_pb2_grpc.HealthStub(channel).Check(asked).status == health_pb2.HealthCheckResponse.SERVING
        assert code_of(lambda: ProtoReflectionDescriptorDatabase(channel).get_services()) == Code.UNAUTHENTICATED
        given = call(channel).with_call(request.SerializeToString(), metadata=(*predicting, ("x-request-id", "mine")))[
            1
        ]
        assert ("x-request-id", "mine") in given.initial_metadata()
    limit = time.monotonic() + 60
    while server.messages().count(INFER) < 7 and time.monotonic() < limit:  # a line follows its answer
        time.sleep(0.02)
    lines = [json.loads(line) for line in server.messages().splitlines() if line.startswith('{"at"')]
    asked_for = [(line["status"], line["key"]) for line in lines if line["route"] == INFER]
    assert asked_for == [
        (401, None), (401, None), (403, None), (200, "shop"), (200, "slow"), (429, None), (200, "shop"),
    ]  # fmt: skip
    assert [line["id"] for line in lines if line["route"] == INFER][-1] == "mine"


def test_more_waiting_calls_than_there_may_be_are_refused(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release, options=["--grpc-port", 0, "--max-waiting", 2])
    with grpc.insecure_channel(server.started["grpc"], [("grpc.enable_retries", 0)]) as channel:
        ask = call(channel)
        request = typed([payment("busy")]).SerializeToString()
        futures = [ask.future(request, timeout=60) for _ in range(300)]
        codes = {future.code() for future in futures}
        assert codes == {Code.OK, Code.UNAVAILABLE}
        refused = next(future for future in futures if future.code() == Code.UNAVAILABLE)
        assert ("grpc-retry-pushback-ms", "1000") in refused.trailing_metadata()
        assert code_of(lambda: ask(request)) == Code.OK
    assert server.metric('modelwright_refused_total{reason="waiting"}') > 0


def test_it_is_the_same_without_a_log(plain_cards: Any, payment: Any, tmp_path: Path) -> None:
    command = without_log(plain_cards.release)
    with subprocess.Popen([*command, "--grpc-port", "0"], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            started = json.loads(process.stdout.readline())
            with triton.InferenceServerClient(started["grpc"]) as client:
                rows = [payment(f"n{n}", amount=7.3 * n + 1) for n in range(64)]
                result = client.infer("plain-cards", raw(rows))
                host, _, port = started["address"].rpartition("/")[2].partition(":")
                connection = http.client.HTTPConnection(host, int(port), timeout=30)
                connection.request("POST", "/predict", json.dumps(rows))
                alone = json.loads(connection.getresponse().read())
                connection.close()
                assert result.as_numpy("score").tolist() == [answer["score"] for answer in alone]
        finally:
            process.terminate()
            assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []


def test_several_processes_answer_on_one_port(card_numbers: Any, serve: Any, payment: Any) -> None:
    """Connections spread over both, an id counts once whichever is asked, and a stop loses no call."""
    server = serve(card_numbers.release, options=["--grpc-port", 0, "--workers", 2])
    channels = [
        grpc.insecure_channel(server.started["grpc"], [("grpc.use_local_subchannel_pool", 1)]) for _ in range(24)
    ]
    answers = [infer(channel, typed([payment("pair-same", at=at(0))])).SerializeToString() for channel in channels]
    assert len(set(answers)) == 1
    assert server.ask("GET", "/readyz").json["events"] == 1
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    if children.exists():
        port = int(server.started["grpc"].rpartition(":")[2])
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ends = {f"socket:[{row[9]}]" for row in rows if row[1] == f"0100007F:{port:04X}" and row[3] == "01"}
        pids = children.read_text().split()
        assert len(pids) == 2
        for pid in pids:  # of 24 by a fair hash none: once in ten million
            assert ends & files_of(int(pid))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    for channel in channels:
        channel.close()
    assert "Traceback" not in server.messages()


def test_a_stop_answers_what_was_asked(card_numbers: Any, serve: Any, payment: Any) -> None:
    """Calls that were sent before the client knew are answered; the others are refused, none is lost, and the log holds
    exactly those that were answered."""
    server = serve(card_numbers.release, options=["--grpc-port", 0])
    codes: list[grpc.StatusCode] = []
    some = threading.Event()

    def ask(worker: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(server.started["grpc"], options) as channel:
            for n in range(10_000):
                request = typed([payment(f"stop-{worker}-{n}", card=f"c{worker}", at=at(n))])
                codes.append(code_of(lambda request=request: infer(channel, request)))
                if len(codes) > 100:
                    some.set()
                if codes[-1] != Code.OK:
                    return

    watching: list[Any] = []

    def watch() -> None:
        with grpc.insecure_channel(server.started["grpc"]) as channel:
            try:
                for said in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
                    watching.append(said.status)
            except grpc.RpcError as error:
                watching.append(error.code())

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)] + [threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    assert some.wait(60)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert server.process.wait(60) == 0
    assert set(codes) == {Code.OK, Code.UNAVAILABLE}
    assert codes.count(Code.UNAVAILABLE) == 4
    assert watching == [health_pb2.HealthCheckResponse.SERVING, Code.UNAVAILABLE]
    again = serve(card_numbers.release, server.workspace)
    assert again.ask("GET", "/readyz").json["events"] == codes.count(Code.OK)
    assert "Traceback" not in server.messages()
