"""What may be wrong with a request: each gets its status and a problem in JSON, and the server lives on unchanged."""

import gzip
import json
import socket
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


@pytest.fixture(scope="module")
def server(card_numbers: Any, serve: Callable[..., Any]) -> Any:
    """One server for the whole file: whatever is done to it, it must answer the next test."""
    return serve(card_numbers.release)


@pytest.fixture(autouse=True)
def unharmed(server: Any) -> Iterator[None]:
    """After each test the server answers, and it never said a traceback."""
    yield
    assert server.ask("GET", "/healthz").json == {"alive": True}
    assert "Traceback" not in server.messages()


def events_of(server: Any) -> int:
    return int(server.ask("GET", "/readyz").json["events"])


def refused(reply: Any, status: int, field: str = "") -> dict[str, Any]:
    """The problem of a refused request; its form is the same everywhere, and it shows nothing of the machine."""
    assert reply.status == status, reply.body[:500]
    assert reply.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = reply.json
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem.get("field", "") == field, problem
    for secret in ("Traceback", "/home", "/work", "/tmp", ".py", "site-packages", "line "):
        assert secret not in reply.body.decode(), problem
    return problem


NOT_JSON = {
    "nothing": b"",
    "space": b"   \n",
    "words": b"hello",
    "half an object": b'{"payment_id": "x"',
    "half a list": b'[{"payment_id": "x"',
    "single quotes": b"{'payment_id': 'x'}",
    "a comma too many": b'{"payment_id": "x",}',
    "no UTF-8": b'{"payment_id": "\xff\xfe"}',
    "UTF-16": '{"payment_id": "x"}'.encode("utf-16"),
    "half a surrogate": b'{"payment_id": "\\ud800"}',
    "a raw control character": b'{"payment_id": "a\nb"}',
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep lists, cut": b"[" * 100_000,
}


@pytest.mark.parametrize("route", ["/predict", "/events", "/outcomes"])
@pytest.mark.parametrize("what", NOT_JSON)
def test_what_is_not_json_is_refused(server: Any, route: str, what: str) -> None:
    id = b"id" if route == "/outcomes" else b"payment_id"
    reply = server.post(route, NOT_JSON[what].replace(b"payment_id", id))
    # A list within a list is against the contract as soon as it opens: either answer is true of it.
    status = reply.status if what.startswith("deep") else 400
    assert status in (400, 422)
    refused(reply, status)


def test_nothing_may_follow_the_value(server: Any, payment: Any) -> None:
    body = json.dumps(payment("followed")).encode()
    for rest in (b"{}", b"]", b"x", b"\x00"):
        refused(server.post("/predict", body + rest), 400)
    assert server.post("/predict", b" \n" + body + b"\r\n ").status == 200


NOT_NUMBERS = {"NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "too large": b"1e400"}


@pytest.mark.parametrize("what", NOT_NUMBERS)
def test_numbers_that_json_does_not_know_are_refused(server: Any, payment: Any, what: str) -> None:
    body = json.dumps(payment("odd", amount=0.5)).encode().replace(b"0.5", NOT_NUMBERS[what])
    reply = server.post("/predict", body)
    assert reply.status in (400, 422)
    refused(reply, reply.status, "amount" if reply.status == 422 else "")


@pytest.mark.parametrize("depth", [500, 100_000])
def test_nesting_is_refused_wherever_it_stands(server: Any, payment: Any, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for route, member in (
        ("/predict", b"amount"),
        ("/predict", b"nobody"),
        ("/outcomes", b"outcome"),
        ("/outcomes", b"x"),
    ):
        reply = server.post(route, b'{"id": "deep", "%s": %s}' % (member, deep))
        assert reply.status in (400, 422), (route, member)
    objects = b'{"a":' * depth + b"1" + b"}" * depth
    assert server.post("/outcomes", b'{"id": "deep", "outcome": %s}' % objects).status in (400, 422)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a required field is null": ({"amount": None}, "amount"),
    "a text for a number": ({"amount": "20"}, "amount"),
    "a boolean for a number": ({"amount": True}, "amount"),
    "a number that must be above zero": ({"amount": 0}, "amount"),
    "a fraction for a whole number": ({"items": 1.5}, "items"),
    "a whole number beyond 64 bits": ({"items": 2**63}, "items"),
    "a negative one": ({"items": -(2**63) - 1}, "items"),
    "one of 400 digits": ({"items": 10**400}, "items"),
    "a float of 400 digits": ({"amount": 10**400}, "amount"),
    "a number for a text": ({"card": 5}, "card"),
    "a list for a text": ({"merchant": ["a"]}, "merchant"),
    "an object for a text": ({"country": {"iso": "DE"}}, "country"),
    "a number for the id": ({"payment_id": 7}, "payment_id"),
    "a time that is none": ({"at": "yesterday"}, "at"),
    "a date that is none": ({"at": "2024-02-30T00:00:00Z"}, "at"),
    "a date without a time": ({"at": "2024-02-03"}, "at"),
    "a number for a time": ({"at": 1717243200}, "at"),
    "a time before the first year": ({"at": "0001-01-01T00:00:00+14:00"}, "at"),
    "a field that is not declared": ({"colour": "red"}, "colour"),
    "the label": ({"is_fraud": True}, "is_fraud"),
}


@pytest.mark.parametrize("route", ["/predict", "/events"])
@pytest.mark.parametrize("what", WRONG)
def test_an_event_against_the_contract_names_the_field(server: Any, payment: Any, route: str, what: str) -> None:
    changes, field = WRONG[what]
    before = events_of(server)
    problem = refused(server.post(route, payment("wrong", **changes)), 422, field)
    assert problem["detail"].startswith(f"{field}: ")
    in_list = refused(server.post(route, [payment("right"), payment("wrong", **changes)]), 422, field)
    assert "entry 1" in in_list["detail"]
    assert events_of(server) == before, "a list is decoded as a whole before any of it counts"


@pytest.mark.parametrize("field", ["payment_id", "card", "at", "amount", "items", "merchant"])
def test_a_missing_field_is_named(server: Any, payment: Any, field: str) -> None:
    body = payment("missing")
    del body[field]
    refused(server.post("/predict", body), 422, field)


@pytest.mark.parametrize("body", [b"null", b"5", b'"x"', b"true", b"[5]", b"[null]", b"[[]]", b"[]"])
@pytest.mark.parametrize("route", ["/predict", "/events", "/outcomes"])
def test_json_that_is_no_event_is_refused(server: Any, route: str, body: bytes) -> None:
    refused(server.post(route, body), 422)


def test_a_long_unknown_field_is_not_sent_back_whole(server: Any, payment: Any) -> None:
    for name in ("x" * 1_000_000, "a`b` - at `$.c", 'new\nline"quote'):
        reply = server.post("/predict", payment("odd", **{name: 1}))
        assert reply.status == 422
        assert len(reply.body) < 2_000
        assert reply.json["status"] == 422


def test_a_time_from_the_future_is_refused_and_a_little_skew_is_not(server: Any, payment: Any) -> None:
    def ahead(minutes: float) -> str:
        return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()

    assert "5 minutes" in refused(server.post("/predict", payment("ahead", at=ahead(6))), 422, "at")["detail"]
    refused(server.post("/events", [payment("ahead", at="9999-12-31T23:59:59Z")]), 422, "at")
    assert server.post("/predict", payment("skewed", at=ahead(4))).status == 200
    refused(server.post("/outcomes", {"id": "skewed", "outcome": True, "at": ahead(6)}), 422, "at")
    refused(server.post("/outcomes", {"id": "skewed", "outcome": True, "at": 5}), 422, "at")
    refused(server.post("/outcomes", {"id": "skewed", "outcome": True, "at": "soon"}), 422, "at")


OUTCOMES: dict[str, tuple[dict[str, Any], str]] = {
    "no outcome": ({"id": "known"}, "outcome"),
    "no id": ({"outcome": True}, "id"),
    "null": ({"id": "known", "outcome": None}, "outcome"),
    "a number": ({"id": "known", "outcome": 1}, "outcome"),
    "a text": ({"id": "known", "outcome": "true"}, "outcome"),
    "a list": ({"id": "known", "outcome": [True]}, "outcome"),
    "a number of 5000 digits": ({"id": "known", "outcome": 10**4000}, "outcome"),
    "an unknown member": ({"id": "known", "outcome": True, "who": "me"}, "who"),
    "an id that is no text": ({"id": 5, "outcome": True}, "id"),
}


@pytest.mark.parametrize("what", OUTCOMES)
def test_an_outcome_of_another_kind_is_refused(server: Any, payment: Any, what: str) -> None:
    server.post("/events", payment("known"))
    body, field = OUTCOMES[what]
    reply = server.post("/outcomes", body)
    if reply.status == 400:  # a number that no JSON decoder here holds
        assert what == "a number of 5000 digits"
    else:
        refused(reply, 422, field)


def test_an_outcome_of_an_unknown_event_is_not_found(server: Any) -> None:
    refused(server.post("/outcomes", {"id": "nobody", "outcome": True}), 404)
    refused(server.post("/outcomes", [{"id": "nobody", "outcome": True}]), 404)


def test_an_id_names_one_event_for_good(server: Any, payment: Any) -> None:
    first = server.post("/predict", payment("once"))
    assert first.status == 200
    before = events_of(server)
    for route in ("/predict", "/events"):
        for change in ({"amount": 21.0}, {"card": "c2"}, {"at": "2024-06-01T12:00:01Z"}, {"country": "DE"}):
            assert "once" in refused(server.post(route, payment("once", **change)), 409)["detail"]
    assert events_of(server) == before
    assert server.post("/predict", payment("once")).body == first.body


def test_too_many_entries_are_refused_whole(server: Any, payment: Any) -> None:
    before = events_of(server)
    many = [payment(f"many{number}") for number in range(20_000)]
    assert "20000" in refused(server.post("/events", many), 413)["detail"].replace(",", "")
    assert events_of(server) == before


def chunked(server: Any, total: int) -> tuple[bytes, int]:
    """Sends a chunked body of so many bytes as fast as it is taken; the head of the answer and the bytes sent."""
    chunk = b"%x\r\n%s\r\n" % (1 << 16, b" " * (1 << 16))
    sent = 0
    with socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        while sent < total:
            client.sendall(chunk)
            sent += 1 << 16
        client.sendall(b"0\r\n\r\n")
        return client.recv(65536), sent


def test_a_body_of_60_mb_is_refused_to_whoever_sends_it_all(server: Any) -> None:
    body = b'{"payment_id": "' + b"x" * (60 << 20) + b'"}'
    refused(server.post("/predict", body), 413)
    answer, _ = chunked(server, 60 << 20)
    assert b" 413 " in answer.splitlines()[0]


def test_a_client_that_asks_first_is_told_before_it_sends(server: Any) -> None:
    with socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 60000000\r\n\r\n")
        assert b" 413 " in client.recv(65536).splitlines()[0]


def test_a_body_without_an_end_is_cut_off(server: Any) -> None:
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        chunked(server, 4 << 30)


def test_a_truncated_body_harms_nobody(server: Any, payment: Any) -> None:
    before = events_of(server)
    for sent in (b"", b'{"payment_id": "cut"'):
        with socket.create_connection(server.address, timeout=60) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n" + sent)
            client.shutdown(socket.SHUT_WR)
            client.recv(65536)
    assert events_of(server) == before


def test_what_is_no_http_is_refused(server: Any) -> None:
    with socket.create_connection(server.address, timeout=60) as client:
        client.sendall(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
        assert b" 400 " in client.recv(65536).splitlines()[0]


def test_a_wrong_method_is_told_which_are_right(server: Any) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        reply = server.ask(method, "/predict")
        refused(reply, 405)
        assert reply.headers["allow"] == "POST"
    reply = server.ask("POST", "/metrics", b"{}")
    refused(reply, 405)
    assert reply.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/nothing", "/predict/", "//predict", "/../etc/passwd", "/%2e%2e/x", "/" + "x" * 5_000]
)
def test_an_unknown_route_is_not_found(server: Any, path: str) -> None:
    for method in ("GET", "POST"):
        assert len(refused(server.ask(method, path), 404)["detail"]) < 600


def test_head_answers_as_get_without_a_body(server: Any) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        reply = server.ask("HEAD", path)
        assert reply.status == 200
        assert reply.body == b""
        assert int(reply.headers["content-length"]) > 0
    assert server.ask("HEAD", "/nothing").status == 404


def test_the_content_type_is_not_asked_for(server: Any, payment: Any) -> None:
    body = json.dumps(payment("typed")).encode()
    for number, kind in enumerate(["text/plain", "application/xml", "application/x-www-form-urlencoded", ""]):
        reply = server.ask("POST", "/predict", body.replace(b"typed", b"typed%d" % number), {"content-type": kind})
        assert reply.status == 200


def test_a_compressed_body_is_refused_and_never_unpacked(server: Any, payment: Any) -> None:
    small = json.dumps(payment("packed")).encode()
    bomb = gzip.compress(bytes(256 << 20), 9)  # 256 KiB that hold 256 MiB
    before = server.memory_mb()
    for route in ("/predict", "/events", "/outcomes", "/invocations", "/score"):
        for body, coding in (
            (gzip.compress(small), "gzip"),
            (bomb, "gzip"),
            (zlib.compress(small), "deflate"),
            (small, "br"),
        ):
            reply = server.ask("POST", route, body, {"content-encoding": coding})
            assert "compressed" in refused(reply, 415)["detail"]
    assert server.memory_mb() < before + 64
    assert server.ask("POST", "/predict", small, {"content-encoding": "identity"}).status == 200


def test_odd_texts_are_texts(server: Any, payment: Any) -> None:
    for number, text in enumerate(
        ["", " ", "\x00", "\u2028", "💳" * 1000, "x" * 1_000_000, '"; drop table', "\ufeff", "NaN"]
    ):
        body = payment(f"odd{number}", card=text, merchant=text, country=text)
        first = server.post("/predict", body)
        assert first.status == 200, first.body
        assert server.post("/predict", {**body, "payment_id": text + "!"}).json["id"] == text + "!"
        assert server.post("/predict", body).body == first.body


def test_numbers_at_the_edge_are_served(server: Any, payment: Any) -> None:
    edges = [1.7976931348623157e308, 1.7e308, 5e-324, 1e-6, 1e12]
    for number, amount in enumerate(edges):
        body = payment(f"edge{number}", card="edge", at=f"2024-06-02T00:00:0{number}Z", amount=amount, items=2**63 - 1)
        reply = server.post("/predict", body)
        assert reply.status == 200, reply.body
        assert server.post("/predict", body).body == reply.body
