"""A line of JSON a request, when asked for, and nothing otherwise."""

import json
import re
import time
from typing import Any

import pytest


def lines_of(server: Any, count: int) -> list[dict[str, Any]]:
    until = time.monotonic() + 60
    while server.messages().count('{"at"') < count and time.monotonic() < until:
        time.sleep(0.02)
    return [json.loads(line) for line in server.messages().splitlines() if line.startswith("{")]


@pytest.fixture
def server(card_numbers: Any, serve: Any) -> Any:
    return serve(card_numbers.release, options=["--log-format", "json"])


def test_each_request_is_one_line_with_its_id(server: Any, payment: Any) -> None:
    made = server.post("/predict", payment("logged"))
    given = server.ask("POST", "/predict", payment("logged"), {"x-request-id": "order-7"})
    queried = server.ask("POST", "/predict?secret=1", payment("logged"), {"x-request-id": "order-8"})
    wrong = server.ask("POST", "/predict", b"{", {"x-request-id": 'a "b"'})
    lost = server.ask("GET", "/nothing/here?secret=2")
    replies = [made, given, queried, wrong, lost]
    lines = lines_of(server, 5)
    assert [line["id"] for line in lines] == [reply.headers["x-request-id"] for reply in replies]
    assert [line["id"] for line in lines][1:3] == ["order-7", "order-8"]
    for number in (0, 3, 4):
        assert re.fullmatch("[0-9a-f]{16}", lines[number]["id"])
    assert [(line["method"], line["route"], line["status"], line["key"]) for line in lines] == [
        ("POST", "/predict", 200, None), ("POST", "/predict", 200, None), ("POST", "/predict", 200, None),
        ("POST", "/predict", 400, None), ("GET", "/nothing/here", 404, None),
    ]  # fmt: skip
    assert all(set(line) == {"at", "id", "method", "route", "status", "ms", "key"} for line in lines)
    assert all(0 < line["ms"] < 60_000 for line in lines)
    assert "secret" not in server.messages()


def test_a_key_is_named_and_never_shown(server: Any, payment: Any, modelwright: Any) -> None:
    state = server.workspace
    done = modelwright("key", "create", state, "--name", "shop", "--scope", "predict", "--json", home=state)
    key = done.json["key"]
    until = time.monotonic() + 60
    while server.post("/predict", payment("keyed")).status != 401 and time.monotonic() < until:
        time.sleep(0.05)
    assert server.ask("POST", "/predict", payment("keyed"), {"x-api-key": key}).status == 200
    until = time.monotonic() + 60
    while '"key":"shop"' not in server.messages() and time.monotonic() < until:
        time.sleep(0.02)
    assert lines_of(server, 1)[-1]["key"] == "shop"
    assert key not in server.messages()


def test_without_it_nothing_is_written_and_no_id_made(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    reply = server.ask("POST", "/predict", payment("quiet"), {"x-request-id": "order-7"})
    assert reply.status == 200
    assert "x-request-id" not in reply.headers
    assert server.messages() == ""
