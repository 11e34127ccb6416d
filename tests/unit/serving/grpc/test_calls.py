"""Calls without a connection: the room that their messages take is that of all bodies, and is given back."""

import pytest

from modelwright.serving.grpc.calls import Calls, Method
from modelwright.serving.http import HttpApp
from modelwright.serving.limits import Limits

HEADERS = ((b":path", b"/service/method"), (b"content-type", b"application/grpc"))
UNAVAILABLE = b"14"


class Stream:
    """What a call is on: keeps the status that it ended with."""

    def __init__(self):
        self.call = None
        self.peer_done = False
        self.status = None

    def send(self, head, data, tail):
        for block in (head, tail):
            self.status = dict(block or ()).get(b"grpc-status", self.status)


@pytest.fixture
def app(plane):
    return HttpApp(plane, "pay", limits=Limits(body_bytes=100))


class Message:
    """Any bytes."""

    FromString = bytes


def begun(app, size, *, streamed=False):
    """A call whose message has not come in full, and what takes the rest of it."""
    method = Method(Message, lambda call, asked: None, stream=streamed, lasting=streamed)
    stream, calls = Stream(), Calls(app, {"/service/method": method})
    calls.opened(stream, HEADERS)
    calls.received(stream, b"\0" + (1000).to_bytes(4, "big") + b"x" * (size - 5))
    return stream, calls


@pytest.mark.parametrize("streamed", [False, True])
def test_messages_that_fill_the_room_are_refused_until_others_are_gone(app, streamed):
    first, calls = begun(app, 80, streamed=streamed)
    assert (first.status, app.room.held) == (None, 80)
    second, _ = begun(app, 30, streamed=streamed)
    assert (second.status, app.room.held) == (UNAVAILABLE, 80)
    assert app._refused == {"bodies": 1}
    calls.gone(first)
    assert app.room.held == 0
    third, calls = begun(app, 30, streamed=streamed)
    assert (third.status, app.room.held) == (None, 30)
    calls.late(third)
    assert app.room.held == 0


def test_a_message_of_a_stream_that_is_worked_off_needs_no_room(app):
    worked = []
    method = Method(Message, lambda call, asked: worked.append(asked), stream=True)
    stream, calls = Stream(), Calls(app, {"/service/method": method})
    calls.opened(stream, HEADERS)
    for _ in range(10):
        calls.received(stream, b"\0" + (20).to_bytes(4, "big") + b"x" * 20 + b"\0\0")
        calls.received(stream, b"\0\0\0")
    assert (stream.status, worked) == (None, [b"x" * 20, b""] * 10)
    calls.received(stream, b"\0")
    assert app.room.held == 1
    calls.gone(stream)
    assert app.room.held == 0
