"""What a server takes on: requests at a time, clients that are slow or silent, and connections that do nothing."""

import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.processes import unread

SLOW = ["--request-timeout", "1.5", "--idle-timeout", "5"]
"""Short enough to wait for, and longer than a busy machine may keep a client that is in time from going on."""


@pytest.fixture(scope="module")
def impatient(card_numbers: Any, serve: Any) -> Any:
    return serve(card_numbers.release, options=SLOW)


@pytest.fixture
def connect() -> Iterator[Callable[[Any], socket.socket]]:
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(socket.create_connection(server.address, timeout=60))


def to_the_end(connection: socket.socket) -> bytes:
    """Everything that is said until the connection is closed."""
    said = b""
    while part := connection.recv(65536):
        said += part
    return said


def head(length: int, path: str = "/predict") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode()


def come_to_wait(server: Any, count: int) -> None:
    """So many requests wait, before the first of them is given up."""
    until = time.monotonic() + 60
    while server.metric("modelwright_waiting") != count:
        assert time.monotonic() < until, server.metric("modelwright_waiting")
        time.sleep(0.01)


def come_to_read(server: Any) -> None:
    """All that was sent; a server that is slower than its clients leaves much of it with the kernel."""
    until = time.monotonic() + 120
    while unread(server.address[1]):
        assert time.monotonic() < until, unread(server.address[1])
        time.sleep(0.01)


STALLED = {
    "in the first line": b"POST /pre",
    "in the headers": b"POST /predict HTTP/1.1\r\nhost: x\r\n",
    "before the body": head(100),
    "in the body": head(100) + b'{"payment_id"',
    "in a body of chunks": b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{    \r\n",
    "in the body of no route": head(100, "/nothing/here"),
}


@pytest.mark.parametrize("where", STALLED)
def test_who_stops_in_the_middle_of_a_request_is_told_and_left(impatient: Any, connect: Any, where: str) -> None:
    before = impatient.metric('modelwright_refused_total{reason="slow"}')
    connection = connect(impatient)
    connection.sendall(STALLED[where])
    said = to_the_end(connection)
    if where != "in the body of no route":
        assert said.startswith(b"HTTP/1.1 408 ")
        first, _, body = said.partition(b"\r\n\r\n")
        assert b"connection: close" in first
        assert json.loads(body)["status"] == 408
    assert said.count(b"HTTP/1.1 ") <= 2
    assert impatient.metric('modelwright_refused_total{reason="slow"}') == before + 1
    assert impatient.metric("modelwright_waiting") == 1  # the request that asks


def test_who_sends_a_byte_now_and_then_is_left_too(impatient: Any, connect: Any) -> None:
    connection = connect(impatient)
    connection.sendall(head(1000))
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.1)


def test_who_does_not_read_is_dropped(impatient: Any, payment: Any) -> None:
    many = [
        payment(f"unread-{number}", at=f"2024-06-03T{number // 60:02}:{number % 60:02}:00Z") for number in range(900)
    ]
    body = json.dumps(many).encode()
    before = impatient.metric('modelwright_refused_total{reason="unread"}')
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(60)
        deaf.connect(impatient.address)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(150):
                deaf.sendall(head(len(body)) + body)
                time.sleep(0.04)  # each is answered before the next one comes
    assert impatient.metric('modelwright_refused_total{reason="unread"}') == before + 1
    assert impatient.metric("modelwright_waiting") == 1


def test_a_silent_connection_is_closed_without_a_word(impatient: Any, connect: Any, payment: Any) -> None:
    asked, fresh = connect(impatient), connect(impatient)
    body = json.dumps(payment("silent")).encode()
    asked.sendall(head(len(body)) + body)
    said = to_the_end(asked)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.count(b"HTTP/1.1 ") == 1
    assert to_the_end(fresh) == b""


def test_a_connection_that_works_is_not_closed(impatient: Any, payment: Any) -> None:
    connection = impatient.connect()
    for turn in range(24):
        connection.request("POST", "/predict", json.dumps(payment(f"works-{turn}")))
        assert connection.getresponse().read()
        time.sleep(0.25)
    connection.close()


def test_beyond_the_limit_requests_are_sent_away_for_a_while(
    card_numbers: Any, serve: Any, connect: Any, payment: Any
) -> None:
    server = serve(card_numbers.release, options=["--max-waiting", "3", "--request-timeout", "120"])
    body = json.dumps(payment("waits")).encode()
    held = [connect(server) for _ in range(3)]
    for connection in held[:2]:
        connection.sendall(head(len(body)) + body[:5])
    held[2].sendall(STALLED["in a body of chunks"])
    come_to_wait(server, 4)  # with the request that asks
    refused = server.post("/predict", payment("more"))
    assert (refused.status, refused.headers["retry-after"], refused.json["status"]) == (503, "1", 503)
    assert refused.headers["content-type"] == "application/problem+json"
    assert server.ask("POST", "/nothing").status == 503
    assert server.ask("GET", "/readyz").status == 200  # whoever watches is answered
    assert server.metric('modelwright_refused_total{reason="waiting"}') == 2
    held[0].sendall(body[5:])
    assert held[0].recv(65536).startswith(b"HTTP/1.1 200 ")
    held[1].close()  # gone without its answer
    come_to_wait(server, 2)
    assert server.post("/predict", payment("more")).status == 200


def test_10000_connections_idle_and_slow_disturb_nobody(card_numbers: Any, serve: Any, payment: Any) -> None:
    """Ten thousand, or as many as may be open here; a third of them have begun a request and send no more of it."""
    wanted = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted + 500:
        wanted = hard - 500
        print(f"only {hard} files may be open here: {wanted} connections")
    if soft != resource.RLIM_INFINITY and soft < wanted + 500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 500, hard))
    server = serve(card_numbers.release)
    begun = (b"POST /pre", b"POST /predict HTTP/1.1\r\nhost: x\r\n", b"GET /readyz HTTP/1.1\r\nhost")
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(server.address, timeout=60)) for _ in range(wanted)]
        for number, connection in enumerate(held[::3]):
            connection.sendall(begun[number % 3])
        for number in range(20):
            assert server.post("/predict", payment(f"beside-{number}")).status == 200
        assert server.ask("GET", "/readyz").status == 200
        assert server.metric('modelwright_refused_total{reason="connections"}') == 0
        assert server.stop() == 0  # and none of them keeps it from ending
    assert server.messages() == ""


def test_headers_have_a_bound(card_numbers: Any, serve: Any, connect: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    for line in (b"x-%d: " + b"v" * 1000 + b"\r\n", b"v" * 1000):
        connection = connect(server)
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\nx: ")
        said = b""
        try:
            for number in range(2000):
                connection.sendall(line.replace(b"%d", b"%d" % number))
                time.sleep(0.001)
        except OSError:
            with suppress(OSError):
                said = to_the_end(connection)
        else:
            raise AssertionError("two megabytes of headers were taken")
        assert said == b"" or said.startswith(b"HTTP/1.1 431 ")
    assert server.metric('modelwright_refused_total{reason="head"}') == 2
    assert server.post("/predict", payment("after")).status == 200


@pytest.mark.parametrize("path", ["/predict", "/predict?through=asgi", "/v2/models/card-numbers/infer"])
def test_bodies_have_a_bound_over_all_connections(
    card_numbers: Any, serve: Any, connect: Any, payment: Any, path: str
) -> None:
    """More connections than there is room for send most of a large body each."""
    most, each = 256 << 20, 7 << 20
    server = serve(card_numbers.release, options=["--request-timeout", "240"])
    anonymous = Path(f"/proc/{server.process.pid}/status")
    if not anonymous.exists():
        pytest.skip("a process's memory is read from /proc: run this on Linux")
    part = b" " * (1 << 20)
    held = [connect(server) for _ in range(45)]
    for some in (held[: most // each], held[most // each :]):  # those that there is room for come first
        for connection in some:
            connection.sendall(head((8 << 20) - 1, path))
            for _ in range(each >> 20):
                connection.sendall(part)
        come_to_read(server)
    refused = server.metric('modelwright_refused_total{reason="bodies"}')
    assert refused >= 45 - most // each - 1
    assert refused <= 45 - most // each + 1
    memory = int(next(line for line in anonymous.read_text().splitlines() if line.startswith("RssAnon")).split()[1])
    assert memory < (most >> 10) * 1.5 + 150_000
    rest = b" " * ((1 << 20) - 1)
    held[-1].sendall(rest)
    said = held[-1].recv(65536)
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in said.lower()
    for connection in held:
        connection.close()
    come_to_wait(server, 1)
    assert server.post("/predict", payment("after")).status == 200
    connection = connect(server)  # and there is room again
    connection.sendall(head((8 << 20) - 1, path) + part * 7 + rest)
    assert connection.recv(65536).split()[1] in (b"400", b"422")


def test_too_few_files_are_told_and_connections_beyond_refused(card_numbers: Any, tmp_path: Any, payment: Any) -> None:
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160));"
        "from modelwright.app.cli import main; sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, "serve", str(card_numbers.release), "--workspace", str(tmp_path / "state"),
         "--port", "0", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    address = ("127.0.0.1", int(json.loads(process.stdout.readline())["address"].rpartition(":")[2]))
    try:
        with ExitStack() as stack:
            held = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(60)]
            assert to_the_end(held[-1]).startswith(b"HTTP/1.1 503 ")
            body = json.dumps(payment("first")).encode()
            held[0].sendall(head(len(body)) + body)
            assert held[0].recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        process.terminate()
        _, messages = process.communicate(timeout=60)
    told = [line for line in messages.decode().splitlines() if "files may be open" in line]
    assert len(told) == 1, messages
    assert "ulimit -n" in told[0]


@pytest.mark.parametrize(
    ("option", "value"), [("--max-waiting", "0"), ("--request-timeout", "-1"), ("--idle-timeout", "soon")]
)
def test_a_limit_that_is_none_is_refused(modelwright: Any, tmp_path: Any, option: str, value: str) -> None:
    done = modelwright("serve", tmp_path, f"{option}={value}", home=tmp_path)
    assert done.code == 2
    assert value in done.err
    assert done.err.count("\n") == 1
