"""What /openapi.json says is what the server does: schemathesis makes requests of the description, those it allows and those
it does not, and holds every answer to it."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

load_all_checks()
UNCHECKED = {
    "positive_data_acceptance",  # ids that are taken, times ahead of the clock, tensors whose data are not of their shape
    "max_response_time",
    "use_after_free", "ensure_resource_availability", "object_level_authorization",  # of resources; there are none
}  # fmt: skip
CHECKED = [check for check in CHECKS.get_all() if check.__name__ not in UNCHECKED]
EXAMPLES = max(1, settings().max_examples // 8)
"""Requests of a route and mode: 10, or as many times more as there are examples of other promises."""
ANSWER_S = 120.0
"""How long an answer is waited for: /explain starts a process first, on a machine that may be busy."""


schemathesis.openapi.format(
    "date-time", st.datetimes(datetime(1970, 1, 1), datetime(2024, 1, 1)).map(lambda at: f"{at.isoformat()}Z")
)


@schemathesis.serializer("text/csv", "application/jsonlines", "application/octet-stream")
def as_it_is(ctx: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module", params=["log", "no log"])
def server(request: Any, plain_cards: Any, serve: Callable[..., Any]) -> Any:
    return serve(plain_cards.release, options=["--no-log"] if request.param == "no log" else [])


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def described(server: Any) -> dict[str, Any]:
    """Operations as schemathesis reads them, by method and path."""
    host, port = server.address
    schema = schemathesis.openapi.from_url(f"http://{host}:{port}/openapi.json")
    return {operation.ok().label: operation.ok() for operation in schema.get_all_operations()}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "not allowed"])
def test_answers_are_as_described(server: Any, session: requests.Session, mode: GenerationMode) -> None:
    operations = described(server)
    assert {"POST /predict", "POST /invocations", "POST /score", "GET /v2", "GET /ping"} <= set(operations)
    for operation in operations.values():
        if mode is GenerationMode.POSITIVE or operation.method == "post":  # there is nothing to get wrong in a GET
            hold(operation, mode, session)
    assert server.ask("GET", "/healthz").json == {"alive": True}
    assert "Traceback" not in server.messages()


def test_what_is_right_is_answered_as_described(
    server: Any, session: requests.Session, payment: Callable[..., dict[str, Any]]
) -> None:
    def row(id: str) -> dict[str, Any]:
        return payment(f"right {id}", country="DE")

    def line(id: str) -> str:
        return ",".join(map(str, row(id).values()))

    datatypes = {"amount": "FP64", "items": "INT64"}
    tensors = [
        {"name": name, "shape": [1], "datatype": datatypes.get(name, "BYTES"), "data": [value]}
        for name, value in row("v2").items()
    ]
    binary = {"parameters": {"binary_data_output": True}}
    infer = "POST /v2/models/plain-cards/infer"
    asked: list[tuple[str, Any, str, dict[str, str]]] = [
        ("POST /predict", row("one"), "application/json", {}),
        ("POST /predict", [row("two"), row("three")], "application/json", {}),
        ("POST /events", row("event"), "application/json", {}),
        (
            "POST /outcomes",
            {"id": "right event", "outcome": True, "at": "2024-06-02T12:00:00Z"},
            "application/json",
            {},
        ),
        ("POST /invocations", {"instances": [row("i"), list(row("j").values())]}, "application/json", {}),
        ("POST /invocations", {"dataframe_records": [row("r")], "params": {}}, "application/json", {}),
        ("POST /invocations", line("c"), "text/csv", {"accept": "text/csv"}),
        ("POST /invocations", json.dumps(row("l")), "application/jsonlines", {}),
        ("POST /score", {"input_data": [row("s")]}, "application/json", {}),
        (infer, {"inputs": tensors, "id": "7", "outputs": [{"name": "score"}]}, "application/json", {}),
        (infer, {"inputs": tensors, **binary}, "application/json", {}),
        ("POST /v2/repository/index", {"ready": True}, "application/json", {}),
    ]
    operations = described(server)
    for label, body, kind, headers in asked:
        if label in operations:
            case = operations[label].Case(body=body, media_type=kind, headers={"content-type": kind, **headers})
            answer = case.call_and_validate(session=session, timeout=ANSWER_S, checks=CHECKED)
            assert answer.status_code == 200, (label, answer.text)


def test_with_keys_every_route_but_the_probes_needs_one(
    plain_cards: Any, serve: Callable[..., Any], modelwright: Callable[..., Any], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    made = modelwright(
        "key", "create", state, "--name", "a", "--scope", "predict", "--rate", "90/s", "--json", home=state
    )
    assert made.code == 0, made.err
    server = serve(plain_cards.release, state)
    host, port = server.address
    bearer = {"authorization": f"Bearer {made.json['key']}"}
    description = server.ask("GET", "/openapi.json", headers=bearer).json
    schema = schemathesis.openapi.from_dict(description)
    schema.config.update(base_url=f"http://{host}:{port}")
    statuses: dict[str, int] = {}
    for each in schema.get_all_operations():
        operation = each.ok()
        if operation.method == "get":
            case = operation.Case()
            statuses[operation.path] = case.call_and_validate(checks=CHECKED).status_code
            with_key = case.call(headers=bearer)
            case.validate_response(with_key, checks=CHECKED, headers=bearer)
            open_to_all = description["paths"][operation.path]["get"].get("security") == []
            assert (statuses[operation.path] == 401) != open_to_all, operation.label
            assert with_key.status_code == (403 if operation.path == "/metrics" else 200)
    assert statuses["/ping"] == 200
    assert {statuses[path] for path in ("/v2", "/docs", "/version", "/metrics")} == {401}


def hold(operation: Any, mode: GenerationMode, session: requests.Session) -> None:
    """Ask one operation again and again, and check every answer."""
    asked = 0

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        nonlocal asked
        asked += 1
        case.call_and_validate(session=session, timeout=ANSWER_S, checks=CHECKED)

    holds()
    assert asked, operation.label
