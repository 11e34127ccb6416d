"""API keys as people use them: the command makes one, and a running server follows."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keyed") / "state"


@pytest.fixture(scope="module")
def server(card_numbers: Any, serve: Any, state: Path) -> Any:
    return serve(card_numbers.release, state)


def created(modelwright: Any, state: Path, name: str, *options: str) -> dict[str, str]:
    """The header of a new key."""
    done = modelwright("key", "create", state, "--name", name, *options, "--json", home=state)
    assert done.code == 0, done.err
    return {"authorization": f"Bearer {done.json['key']}"}


def soon(said: Any) -> bool:
    """Whether something comes true while the server runs; within a second as the command promises, later on a busy machine."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if said():
            return True
        time.sleep(0.02)
    return bool(said())


def test_from_the_first_key_on_a_running_server_asks_for_one(
    server: Any, state: Path, modelwright: Any, payment: Any
) -> None:
    assert server.post("/predict", payment("open")).status == 200
    predicting = created(modelwright, state, "shop", "--scope", "predict")
    assert soon(lambda: server.post("/predict", payment("open")).status == 401)
    refused = server.post("/predict", payment("more"))
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["www-authenticate"]
    assert refused.json["title"] == "No key"

    def ask(path: str, body: Any, key: dict[str, str]) -> int:
        return int(server.ask("GET" if body is None else "POST", path, body, key).status)

    assert ask("/predict", payment("more"), predicting) == 200
    assert ask("/predict?verbose=1", payment("more"), predicting) == 200  # through the application
    assert ask("/predict?verbose=1", payment("more"), {}) == 401
    assert ask("/events", payment("told"), predicting) == 403
    assert ask("/metrics", None, predicting) == 403
    assert ask("/openapi.json", None, predicting) == 200
    assert ask("/healthz", None, {}) == ask("/readyz", None, {}) == 200

    feeding = created(modelwright, state, "feed", "--scope", "ingest", "--scope", "admin")
    assert soon(lambda: ask("/events", payment("told"), feeding) == 200)
    assert ask("/outcomes", {"id": "told", "outcome": True}, feeding) == 200
    assert ask("/predict", payment("other"), feeding) == 403
    metrics = server.ask("GET", "/metrics", None, feeding).body.decode()
    for why in ("key", "scope"):
        assert f'modelwright_refused_total{{reason="{why}"}}' in metrics

    done = modelwright("key", "revoke", state, "--name", "shop", home=state)
    assert (done.code, "1 good key left" in done.out) == (0, True)
    assert soon(lambda: ask("/predict", payment("more"), predicting) == 401)
    assert ask("/events", payment("told"), feeding) == 200


def test_a_body_in_parts_and_requests_ahead_need_the_key_too(server: Any, payment: Any) -> None:
    connection = server.connect()
    for turn in range(3):  # the connection goes on
        connection.request("POST", "/predict", b"x" * 200_000)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (401, True), turn
        connection.request("POST", "/predict", iter([b"{", b"}"]), encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (401, True), turn
    connection.close()


def test_who_asks_before_sending_is_told_and_sends_nothing(server: Any, payment: Any) -> None:
    """Whether its body still comes cannot be known, so the connection ends."""
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n")
        said = b""
        while part := connection.recv(65536):
            said += part
    assert said.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in said


def test_beyond_its_rate_a_key_waits(server: Any, state: Path, modelwright: Any, payment: Any) -> None:
    slow = created(modelwright, state, "slow", "--scope", "predict", "--rate", "3/h")
    assert soon(lambda: server.ask("GET", "/openapi.json", None, slow).status == 200)
    answers = [server.ask("POST", "/predict", payment("slow"), slow) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 1200


def test_keys_are_listed_without_the_keys(modelwright: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    key = created(modelwright, state, "shop", "--scope", "predict", "--rate", "100/s")["authorization"].split()[1]
    done = modelwright("key", "list", state, "--json", home=state)
    (one,) = done.json["keys"]
    assert {name: one[name] for name in ("name", "scopes", "rate", "revoked")} == {
        "name": "shop", "scopes": ["predict"], "rate": "100/s", "revoked": None,
    }  # fmt: skip
    told = modelwright("key", "list", state, home=state).out
    assert "shop" in told
    assert key not in done.out + told
    assert (state / "keys.json").stat().st_mode & 0o777 == 0o600


def test_a_key_is_shown_alone_on_standard_output(modelwright: Any, card_numbers: Any, tmp_path: Path) -> None:
    done = modelwright(
        "key", "create", card_numbers.file, "--name", "x", "--scope", "admin", home=tmp_path / "elsewhere"
    )
    assert done.code == 0, done.err
    assert done.out.startswith("mw_")
    assert len(done.out.split()) == 1
    assert (tmp_path / "elsewhere" / "keys.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "--scope", "predict"], "--name"),
        (["create", "--name", "x"], "--scope"),
        (["create", "--name", "x", "--scope", "all"], "all"),
        (["create", "--name", "x", "--scope", "predict", "--rate", "fast"], "fast"),
        (["create", "--name", "a/b", "--scope", "predict"], "a/b"),
        (["create", "nowhere.py", "--name", "x", "--scope", "predict"], "nowhere.py"),
        (["revoke", "--name", "x"], "holds no key named x"),
    ],
)
def test_what_is_wrong_is_one_line(modelwright: Any, tmp_path: Path, arguments: list[str], said: str) -> None:
    given = [] if "nowhere.py" in arguments else [tmp_path]
    done = modelwright("key", *arguments, *given, home=tmp_path)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert said in done.err


def test_a_network_is_warned_of_once_where_there_are_no_keys(card_numbers: Any, serve: Any, modelwright: Any) -> None:
    server = serve(card_numbers.release, options=["--host", "0.0.0.0"])
    assert server.messages().count("\n") == 1
    assert "modelwright key create" in server.messages()
    created(modelwright, server.workspace, "x", "--scope", "predict")
    server.stop()
    again = serve(card_numbers.release, server.workspace, options=["--host", "0.0.0.0"])
    assert again.messages().count("\n") == 1  # nothing more than before
