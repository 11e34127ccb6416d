"""`modelwright serve DIR --no-log` as a real process: the answers of a server with a log, and nothing written anywhere."""

import http.client
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.e2e.commands import without_log

NEVER = ("pyarrow/", "deltalake/", "pandas/", "onnxruntime/", "sklearn/", "lightgbm/")


@pytest.fixture
def server(plain_cards: Any, tmp_path: Path) -> Iterator[Callable[..., tuple[int, bytes]]]:
    """Asks a server that runs in an empty folder: `server("POST", "/predict", body)`."""
    env = {**os.environ, "MODELWRIGHT_HOME": str(tmp_path / "state"), "PYTHONWARNINGS": "error"}
    with subprocess.Popen(without_log(plain_cards.release), env=env, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        address = urlsplit(json.loads(process.stdout.readline())["address"])

        def ask(method: str, path: str, body: Any = None) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            said = answer.status, answer.read()
            connection.close()
            return said

        ask.process = process  # type: ignore[attr-defined]  # what is looked at beside its answers
        yield ask
        process.terminate()
        assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []


def tensors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Columns of the Open Inference Protocol."""
    datatypes = {"amount": "FP64", "items": "INT64"}
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": datatypes.get(name, "BYTES"),
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]


def test_it_answers_as_with_a_log_and_writes_nothing(
    server: Any, plain_cards: Any, serve: Any, some_payments: Callable[..., list[dict[str, Any]]]
) -> None:
    logged = serve(plain_cards.release)
    rows = [{name: value for name, value in row.items() if name != "is_fraud"} for row in some_payments(80)]
    for body in (rows[0], rows[1:2], rows, {**rows[0], "amount": "x"}, []):
        reply = logged.post("/predict", body)
        assert server("POST", "/predict", body) == (reply.status, reply.body)
    assert server("POST", "/events", rows[0])[0] == 404
    infer = "/v2/models/plain-cards/infer"
    for path, body in (
        (infer, {"inputs": tensors(rows[:20])}),
        (f"{infer}?asked=twice", {"inputs": tensors(rows[:1])}),
        (infer, {"inputs": tensors(rows[:1])[1:2]}),
        ("/v2/models/nobody/infer", {}),
        ("/v2/repository/index", {}),
    ):
        reply = logged.post(path, body)
        assert server("POST", path, body) == (reply.status, reply.body)
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        assert server("GET", path)[0] == 200
    maps = Path(f"/proc/{server.process.pid}/maps")
    if maps.exists():  # which libraries a process holds
        loaded = maps.read_text()
        assert "numpy" in loaded
        assert [library for library in NEVER if library in loaded] == []


def test_a_release_with_history_and_a_workspace_are_refused(
    card_numbers: Any, plain_cards: Any, tmp_path: Path
) -> None:
    for release, more, said in (
        (card_numbers.release, [], "reads history"),
        (plain_cards.release, ["--workspace", str(tmp_path / "state")], "--workspace"),
    ):
        done = subprocess.run(
            [*without_log(release), *more], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 2
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
