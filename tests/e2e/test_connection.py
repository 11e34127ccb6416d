"""What a connection may do: stay, be cut into pieces, ask ahead, ask for the end; predictions and pages alike."""

import itertools
import json
import socket
import threading
import time
from typing import Any

import pytest


@pytest.fixture(scope="module")
def server(card_numbers: Any, serve: Any) -> Any:
    return serve(card_numbers.release)


class Wire:
    """A raw connection: bytes out, whole answers in."""

    def __init__(self, server: Any) -> None:
        self._socket = socket.create_connection(server.address, timeout=60)
        self._rest = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        while b"\r\n\r\n" not in self._rest:
            self._receive()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(self._rest) < int(headers["content-length"]):
            self._receive()
        body, self._rest = self._rest[: int(headers["content-length"])], self._rest[int(headers["content-length"]) :]
        return int(first.split()[1]), headers, body

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        assert data, f"closed after {self._rest!r}"
        self._rest += data

    @property
    def unread(self) -> bytes:
        return self._rest

    def close(self) -> None:
        self._socket.close()

    def is_closed(self) -> bool:
        return self._socket.recv(1) == b""


@pytest.fixture
def wire(server: Any) -> Any:
    made = Wire(server)
    yield made
    made.close()


def request(body: bytes, path: str = "/predict", version: str = "1.1", *headers: str) -> bytes:
    head = [f"POST {path} HTTP/{version}", "host: x", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def ids(answers: list[tuple[int, dict[str, str], bytes]]) -> list[str]:
    return [json.loads(body)["id"] for _, _, body in answers]


def test_a_connection_answers_one_after_another(wire: Any, payment: Any) -> None:
    for number in range(5):
        wire.send(request(json.dumps(payment(f"one-{number}")).encode()))
        status, headers, body = wire.answer()
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body)["id"] == f"one-{number}"


def test_requests_sent_ahead_are_answered_in_their_order(wire: Any, payment: Any) -> None:
    bodies = [json.dumps(payment(f"ahead-{number}")).encode() for number in range(6)]
    page = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    wire.send(b"".join([*(request(body) for body in bodies[:3]), page, *(request(body) for body in bodies[3:])]))
    answers = [wire.answer() for _ in range(7)]
    assert ids(answers[:3] + answers[4:]) == [f"ahead-{number}" for number in range(6)]
    assert answers[3][2] == b'{"alive":true}'


def test_a_request_may_come_byte_by_byte(wire: Any, payment: Any) -> None:
    data = request(json.dumps(payment("bytes")).encode())
    for place in range(0, len(data), 7):
        wire.send(data[place : place + 7])
        time.sleep(0.001)
    assert ids([wire.answer()]) == ["bytes"]


def test_a_large_body_is_read_in_parts(wire: Any, payment: Any) -> None:
    many = [
        payment(f"large-{number}", at=f"2024-06-02T{number // 60:02}:{number % 60:02}:00Z") for number in range(900)
    ]
    wire.send(request(json.dumps(many).encode()))
    status, _, body = wire.answer()
    assert status == 200
    assert [one["id"] for one in json.loads(body)] == [one["payment_id"] for one in many]


def test_a_body_in_chunks_and_a_query_are_served_too(wire: Any, payment: Any) -> None:
    body = json.dumps(payment("chunks")).encode()
    wire.send(
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    )
    assert ids([wire.answer()]) == ["chunks"]
    wire.send(request(json.dumps(payment("query")).encode(), "/predict?verbose=1"))
    assert ids([wire.answer()]) == ["query"]


@pytest.mark.parametrize(("version", "headers"), [("1.1", ["connection: close"]), ("1.0", [])])
def test_who_asks_for_the_end_gets_it(wire: Any, payment: Any, version: str, headers: list[str]) -> None:
    wire.send(request(json.dumps(payment(f"end-{version}")).encode(), "/predict", version, *headers))
    status, said, _ = wire.answer()
    assert (status, said["connection"]) == (200, "close")
    assert wire.is_closed()


def test_errors_keep_the_connection(wire: Any, payment: Any) -> None:
    wire.send(request(b"{}"))
    status, headers, body = wire.answer()
    assert (status, headers["content-type"]) == (422, "application/problem+json")
    assert json.loads(body)["status"] == 422
    wire.send(request(b"not json"))
    assert wire.answer()[0] == 400
    wire.send(request(json.dumps(payment("after")).encode()))
    assert wire.answer()[0] == 200


def test_a_client_that_leaves_without_its_answer_harms_nobody(server: Any, payment: Any) -> None:
    for number in range(20):
        left = Wire(server)
        left.send(request(json.dumps(payment(f"left-{number}")).encode()))
        left.close()
    stays = Wire(server)
    stays.send(request(json.dumps(payment("left-0")).encode()))
    assert stays.answer()[0] == 200
    stays.close()
    assert "Traceback" not in server.messages()


def test_a_stop_lets_the_requests_in_flight_finish(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    wires = [Wire(server) for _ in range(8)]
    answers: list[int] = []
    cut: list[bytes] = []

    def ask(number: int) -> None:
        """Until told to end; a connection that idles between two requests may be closed on the next."""
        for turn in itertools.count():
            try:
                wires[number].send(request(json.dumps(payment(f"stop-{number}-{turn}")).encode()))
                status, headers, _ = wires[number].answer()
            except (AssertionError, OSError):
                cut.append(wires[number].unread)
                return
            answers.append(status)
            if headers.get("connection") == "close":
                return

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in asking:
        thread.start()
    while len(answers) < 50:
        time.sleep(0.01)
    code = server.stop()
    for thread in asking:
        thread.join(60)
    for wire in wires:
        wire.close()
    assert code == 0
    assert set(answers) == {200}
    assert set(cut) <= {b""}  # never in the middle of an answer
