"""HTTPS with a certificate made here, in `serve` and in `run`, whose own requests pass it and its keys too."""

import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2

openssl = shutil.which("openssl")
pytestmark = pytest.mark.skipif(openssl is None, reason="no openssl command makes the certificates")


def certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [str(openssl), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


def tls(pair: tuple[Path, Path]) -> list[Any]:
    return ["--tls-cert", pair[0], "--tls-key", pair[1]]


def ask(address: tuple[str, int], cert: Path, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """An answer whose certificate is verified."""
    context = ssl.create_default_context(cafile=str(cert))
    connection = http.client.HTTPSConnection(*address, timeout=30, context=context)
    try:
        connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def secure(address: str, cert: Path) -> grpc.Channel:
    """A channel that verifies the certificate."""
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(cert.read_bytes()))


def is_serving(channel: grpc.Channel) -> bool:
    """Bounded: for a server that may not listen yet, or with another certificate."""
    try:
        said = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
    except grpc.RpcError:
        return False
    return bool(said.status == health_pb2.HealthCheckResponse.SERVING)


def test_grpc_has_the_same_certificate(card_numbers: Any, serve: Any, pair: Any) -> None:
    server = serve(card_numbers.release, options=[*tls(pair), "--grpc-port", 0])
    with secure(server.started["grpc"], pair[0]) as channel:
        assert is_serving(channel)
    with grpc.insecure_channel(server.started["grpc"]) as channel:
        assert not is_serving(channel)
    assert "Traceback" not in server.messages()


def test_predictions_come_over_https_alone(card_numbers: Any, serve: Any, payment: Any, pair: Any) -> None:
    server = serve(card_numbers.release, options=tls(pair))
    assert server.started["address"].startswith("https://")
    status, answer = ask(server.address, pair[0], "/predict", payment("tls"))
    assert (status, answer["id"]) == (200, "tls")
    status, several = ask(server.address, pair[0], "/predict", [payment(f"t{n}") for n in range(2000)])
    assert (status, len(several)) == (200, 2000)
    with pytest.raises((http.client.HTTPException, OSError)):
        server.ask("GET", "/healthz")
    assert "Traceback" not in server.messages()


def test_a_renewed_certificate_is_taken_without_a_restart(
    card_numbers: Any, serve: Any, tmp_path: Path, payment: Any
) -> None:
    used = certificate(tmp_path / "used")
    server = serve(card_numbers.release, options=[*tls(used), "--grpc-port", 0])
    fresh = certificate(tmp_path / "fresh")
    used[1].write_text("half of it")
    until = time.monotonic() + 120
    while "stays in use" not in server.messages() and time.monotonic() < until:
        time.sleep(0.2)
    assert server.messages().count("stays in use") == 1
    for old, new in zip(used, fresh, strict=True):
        new.replace(old)
    while time.monotonic() < until:  # the test verifies against the new one
        try:
            assert ask(server.address, used[0], "/predict", payment("renewed"))[0] == 200
            with secure(server.started["grpc"], used[0]) as channel:
                assert is_serving(channel)
            return
        except ssl.SSLError:
            time.sleep(0.2)
    raise AssertionError(server.messages())


def test_files_that_do_not_serve_are_one_line(
    card_numbers: Any, modelwright: Callable[..., Any], tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path / "one")
    _, other = certificate(tmp_path / "other")
    garbage, locked = tmp_path / "garbage.pem", tmp_path / "locked.pem"
    garbage.write_text("nothing")
    subprocess.run(
        [str(openssl), "ec", "-in", str(key), "-aes128", "-passout", "pass:word", "-out", str(locked)],
        check=True, capture_output=True,
    )  # fmt: skip
    for options, said in (
        (["--tls-cert", cert], "--tls-key"),
        (["--tls-cert", tmp_path / "none.pem", "--tls-key", key], "none.pem: cannot be read"),
        (["--tls-cert", cert, "--tls-key", tmp_path / "none.pem"], "none.pem: cannot be read"),
        (["--tls-cert", cert, "--tls-key", other], "is not the key of"),
        (["--tls-cert", garbage, "--tls-key", key], "not a certificate"),
        (["--tls-cert", cert, "--tls-key", garbage], "not a certificate"),
        (["--tls-cert", cert, "--tls-key", locked], "password"),
    ):
        done = modelwright("serve", card_numbers.release, "--port", 0, *options, home=tmp_path / "state")
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert said in done.err
    assert not (tmp_path / "state").exists()


@pytest.fixture
def keyed(card_numbers: Any, modelwright: Callable[..., Any], tmp_path: Path) -> tuple[Path, Path, str]:
    """A trained system with an API key: its file, its state folder and the key."""
    place = tmp_path / "system"
    shutil.copytree(card_numbers.file.parent, place)
    done = modelwright("key", "create", place / "card_numbers.py", "--name", "a", "--scope", "predict", "--json",
                       home=place / "state")  # fmt: skip
    return place / "card_numbers.py", place / "state", done.json["key"]


def test_a_replay_passes_its_own_certificate_and_keys(keyed: Any, modelwright: Callable[..., Any], pair: Any) -> None:
    file, state, _ = keyed
    done = modelwright(
        "run", file, "--replay", file.parent / "payments.csv", "--from", "0.8", "--once", "--json", "--port", 0,
        *tls(pair), home=state,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["predictions"] == 100


def test_a_run_serves_https_and_asks_for_keys(keyed: Any, payment: Any, pair: Any, modelwright: Any) -> None:
    file, state, key = keyed
    process = subprocess.Popen(
        [sys.executable, "-m", "modelwright.app.cli", "run", str(file), "--port", "0", "--grpc-port", "0", "--json",
         "--log-format", "json", *map(str, tls(pair))],
        env={**os.environ, "MODELWRIGHT_HOME": str(state), "MODELWRIGHT_TRACKING": "off"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        address = ("127.0.0.1", int(started["address"].rpartition(":")[2]))
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if ask(address, pair[0], "/readyz")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        assert ask(address, pair[0], "/predict", payment("run"))[0] == 401
        assert ask(address, pair[0], "/predict", payment("run"), **{"x-api-key": key})[0] == 200
        assert ask(address, pair[0], "/console.json", **{"x-api-key": key})[0] == 403
        with secure(started["grpc"], pair[0]) as channel:
            request = service_pb2.ModelInferRequest(model_name="card-numbers")
            for name, value in {**payment("run"), "payment_id": "rpc"}.items():
                kind = {str: "BYTES", float: "FP64", int: "INT64"}[type(value)]
                tensor = request.inputs.add(name=name, datatype=kind, shape=[1])
                field = {str: "bytes", float: "fp64", int: "int64"}[type(value)]
                getattr(tensor.contents, f"{field}_contents").append(value.encode() if kind == "BYTES" else value)
            metadata = (("authorization", f"Bearer {key}"),)
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            said = infer(request.SerializeToString(), metadata=metadata, timeout=60)
            assert service_pb2.ModelInferResponse.FromString(said).outputs[1].name == "score"
    finally:
        process.terminate()
        _, messages = process.communicate(timeout=60)
    lines = [json.loads(line) for line in messages.splitlines() if line.startswith('{"at"')]
    own = ("/readyz", "/metrics")  # the loop itself asks for these
    asked = [(line["route"], line["status"], line["key"]) for line in lines if line["route"] not in own]
    assert asked == [
        ("/predict", 401, None), ("/predict", 200, "a"), ("/console.json", 403, None),
        ("/inference.GRPCInferenceService/ModelInfer", 200, "a"),
    ]  # fmt: skip
