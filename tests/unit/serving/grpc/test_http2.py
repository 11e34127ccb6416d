"""A connection without a socket: what a server promises on top of h2. Requests are answered, in whatever pieces they come; who
floods is stopped; nobody is waited for for ever; an end answers what was asked. Frames are h2's own business."""

import asyncio
import functools

import pytest
from h2.errors import ErrorCodes
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from modelwright.serving.grpc import http2
from modelwright.serving.grpc.http2 import Http2Connection
from modelwright.serving.limits import Limits

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
WHOLE = END_HEADERS | END_STREAM
ROOM = (1 << 16) - 1
"""What may be on its way where nobody says more."""


def frame(kind, flags, stream, payload=b""):
    return (len(payload) << 16 | kind << 8 | flags).to_bytes(5, "big") + stream.to_bytes(4, "big") + payload


def block(*headers):
    """Headers as any decoder reads them: none is put into a table."""
    return b"".join(b"\0" + b"".join(bytes([len(text)]) + text for text in header) for header in headers)


BEGIN = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)
MET = BEGIN + frame(SETTINGS, ACK, 0)
BLOCK = block((b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"b"))
HEAD, TAIL = [(b":status", b"200")], [(b"done", b"0")]


def small(window):
    """How a client begins that takes only so many bytes of an answer."""
    return BEGIN + frame(SETTINGS, 0, 0, b"\0\4" + window.to_bytes(4, "big"))


class Socket:
    """The transport: keeps what is written."""

    def __init__(self):
        self.sent = b""
        self.closed = self.aborted = self.reading_paused = False

    def write(self, data):
        self.sent += data

    def close(self):
        self.closed = True

    def abort(self):
        self.closed = self.aborted = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        self.reading_paused = True

    def resume_reading(self):
        self.reading_paused = False


class Host:
    """Answers each whole request with what it was sent, twice."""

    def __init__(self):
        self.told = []
        self.holds = False
        self.held = []

    def opened(self, stream, headers):
        self.told.append(("opened", stream.id, headers))
        stream.call = b""
        if stream.peer_done:
            self.received(stream, b"")

    def received(self, stream, data):
        stream.call += data
        if stream.peer_done:
            self.told.append(("done", stream.id, stream.call))
            if self.holds:
                self.held.append(stream)
            else:
                stream.send(HEAD, stream.call * 2, TAIL)

    def late(self, stream):
        self.told.append(("late", stream.id))

    def gone(self, stream):
        self.told.append(("gone", stream.id))

    def leaving(self, stream):
        self.told.append(("leaving", stream.id))


class Link:
    """One connection, and its client's view of what was sent."""

    def __init__(self, limits=Limits(), full=False):
        self.socket, self.host, self.connections = Socket(), Host(), set()
        self.connection = Http2Connection(self.host, self.connections, limits, lambda: full)
        self.connection.connection_made(self.socket)
        self._decoder = Decoder()

    async def give(self, data):
        self.connection.data_received(data)
        await asyncio.sleep(0)

    def frames(self):
        """All frames sent so far, and no longer held: (kind, flags, stream, payload, or the headers it stands for)."""
        found, data = [], self.socket.sent
        self.socket.sent = b""
        while data:
            size = int.from_bytes(data[:3], "big")
            kind, payload = data[3], data[9 : 9 + size]
            if kind == HEADERS:
                payload = [tuple(header) for header in self._decoder.decode(payload, raw=True)]
            found.append((kind, data[4], int.from_bytes(data[5:9], "big"), payload))
            data = data[9 + size :]
        return found

    def ended(self):
        """The code that the connection ended with, None while it goes on."""
        codes = [int.from_bytes(payload[4:8], "big") for kind, _, _, payload in self.frames() if kind == GOAWAY]
        assert self.socket.closed == bool(codes)
        assert len(codes) <= 1
        return codes[0] if codes else None


def run(work):
    """Run a test on a loop of its own."""

    @functools.wraps(work)
    def test(*arguments, **named):
        return asyncio.run(work(*arguments, **named))

    return test


def request(id, *parts, block=BLOCK):
    if not parts:
        return frame(HEADERS, WHOLE, id, block)
    flags = [0] * (len(parts) - 1) + [END_STREAM]
    bodies = [frame(DATA, flag, id, part) for flag, part in zip(flags, parts, strict=True)]
    return frame(HEADERS, END_HEADERS, id, block) + b"".join(bodies)


def test_a_request_is_answered_however_its_bytes_come():
    async def work(sizes):
        link = Link()
        encoder = Encoder()  # with a table, and Huffman's code
        blocks = [
            encoder.encode([(":method", "POST"), (":scheme", "http"), (":path", "/a"), (":authority", "b")])
            for _ in "ab"
        ]
        data = BEGIN + request(1, b"ab", b"", b"c", block=blocks[0]) + request(3, block=blocks[1])
        data += frame(PING, 0, 0, b"01234567")
        padded = bytes([3]) + b"p" + bytes(3)
        data += frame(HEADERS, END_HEADERS | PADDED | PRIORITIZED, 5, bytes([2]) + bytes(5) + BLOCK + bytes(2))
        data += frame(DATA, PADDED | END_STREAM, 5, padded)
        data += frame(HEADERS, 0, 7, BLOCK[:3]) + frame(CONTINUATION, 0, 7, BLOCK[3:9])
        data += frame(CONTINUATION, END_HEADERS, 7, BLOCK[9:]) + frame(DATA, 0, 7, b"t")
        data += frame(HEADERS, WHOLE, 7, block((b"trailer", b"1")))
        data += frame(99, 255, 1, b"from the future") + frame(PRIORITY, 0, 1, bytes(5))
        place = 0
        while place < len(data):
            await link.give(data[place : place + sizes])
            place += sizes
        assert not link.socket.closed
        opened = {told[1]: dict(told[2]) for told in link.host.told if told[0] == "opened"}
        assert (
            opened[1] == opened[3] == {b":method": b"POST", b":scheme": b"http", b":path": b"/a", b":authority": b"b"}
        )
        assert [told[1:] for told in link.host.told if told[0] == "done"] == [
            (1, b"abc"), (3, b""), (5, b"p"), (7, b"t"),
        ]  # fmt: skip
        return sorted(link.frames(), key=lambda one: one[2])  # streams do not wait for one another

    whole = asyncio.run(work(10_000))
    assert asyncio.run(work(1)) == asyncio.run(work(7)) == whole
    assert [one for one in whole if one[2] == 1] == [
        (HEADERS, END_HEADERS, 1, [(b":status", b"200")]), (DATA, 0, 1, b"abcabc"), (HEADERS, WHOLE, 1, [(b"done", b"0")]),
    ]  # fmt: skip
    assert (PING, ACK, 0, b"01234567") in whole
    assert (SETTINGS, ACK, 0, b"") in whole


def test_what_is_answered_in_one_turn_leaves_together():
    async def work():
        link = Link()
        writes = []
        link.socket.write = writes.append
        await link.give(BEGIN + b"".join(request(id) for id in range(1, 41, 2)))
        assert len(writes) == 2  # our settings, and all answers

    asyncio.run(work())


BREAKS = {
    "HTTP/1": (b"GET / HTTP/1.1\r\n\r\n", ErrorCodes.PROTOCOL_ERROR),
    "a frame that is too large": (BEGIN + frame(DATA, 0, 1, bytes(16_385)), ErrorCodes.FRAME_SIZE_ERROR),
    "a frame that does not end": (
        BEGIN + b"\xff" * 3 + frame(DATA, 0, 1)[3:] + bytes(2 * http2.SILENCE), ErrorCodes.FRAME_SIZE_ERROR,
    ),
    "headers without an end": (
        BEGIN + frame(HEADERS, 0, 1) + 100 * frame(CONTINUATION, 0, 1), ErrorCodes.PROTOCOL_ERROR,
    ),
    "headers of no code": (BEGIN + request(1, block=b"\xff"), ErrorCodes.PROTOCOL_ERROR),
    "too many headers": (MET + request(1, block=BLOCK + 500 * block((b"a", b"b"))), ErrorCodes.ENHANCE_YOUR_CALM),
    "a short request that stands for long headers": (
        MET + request(1, block=BLOCK + b"\x40\x01a\x7f\xa1\x1e" + bytes(4000) + 100 * b"\xbe"),
        ErrorCodes.ENHANCE_YOUR_CALM,
    ),
    "a window beyond all": (BEGIN + frame(WINDOW_UPDATE, 0, 0, b"\x7f" + b"\xff" * 3), ErrorCodes.FLOW_CONTROL_ERROR),
    "streams begun and given up": (
        BEGIN + b"".join(
            frame(HEADERS, END_HEADERS, id, BLOCK) + frame(RST_STREAM, 0, id, bytes(4)) for id in range(1, 500, 2)
        ),
        ErrorCodes.ENHANCE_YOUR_CALM,
    ),
    "more streams than it has been told of": (
        MET + b"".join(frame(HEADERS, END_HEADERS, id, BLOCK) for id in range(1, 2 * http2.STREAMS + 2, 2)),
        ErrorCodes.PROTOCOL_ERROR,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKS)
@run
async def test_what_breaks_the_protocol_or_floods_ends_the_connection(what):
    link = Link()
    data, code = BREAKS[what]
    await link.give(data)
    assert link.ended() == code
    link.host.told.clear()
    await link.give(request(10_001))
    assert link.host.told == []


@run
async def test_who_floods_is_stopped_within_few_bytes():
    link = Link()
    link.host.holds = True
    flood = b"".join(request(id) + frame(RST_STREAM, 0, id, bytes(4)) for id in range(1, 20_001, 2))
    await link.give(BEGIN + flood)
    assert link.ended() == ErrorCodes.ENHANCE_YOUR_CALM
    assert len([told for told in link.host.told if told[0] == "opened"]) == http2.RESETS + 1
    assert link.connection._h2.highest_inbound_stream_id < 2_000  # h2 has not seen the rest


@run
async def test_who_did_not_know_how_many_streams_there_may_be_is_refused_one():
    link = Link()
    link.host.holds = True
    most = http2.STREAMS
    await link.give(BEGIN + b"".join(request(id) for id in range(1, 2 * most + 2, 2)))
    refused = [(id, payload) for kind, _, id, payload in link.frames() if kind == RST_STREAM]
    assert refused == [(2 * most + 1, ErrorCodes.REFUSED_STREAM.to_bytes(4, "big"))]
    link.host.held[0].send(HEAD, b"", TAIL)
    await link.give(frame(SETTINGS, ACK, 0) + request(2 * most + 3))
    assert link.host.held[-1].id == 2 * most + 3
    assert link.ended() is None


@run
async def test_an_answer_waits_for_room():
    link = Link()
    await link.give(small(10) + request(1, b"x" * 15))

    def body():
        return b"".join(payload for kind, _, id, payload in link.frames() if kind == DATA and id == 1)

    assert body() == b"x" * 10
    await link.give(frame(WINDOW_UPDATE, 0, 1, (5).to_bytes(4, "big")))
    assert body() == b"x" * 5
    await link.give(frame(SETTINGS, 0, 0, b"\0\4" + (14).to_bytes(4, "big")))
    assert body() == b"x" * 4
    await link.give(frame(WINDOW_UPDATE, 0, 1, (100).to_bytes(4, "big")))
    assert [(one[0], one[1], one[3]) for one in link.frames()] == [
        (DATA, 0, b"x" * 11), (HEADERS, WHOLE, [(b"done", b"0")]),
    ]  # fmt: skip


@run
async def test_the_connections_room_is_shared_and_given_back():
    link = Link()
    half = [bytes(10_000)] * 2
    await link.give(small(1 << 20) + frame(SETTINGS, ACK, 0) + request(1, *half) + request(3, *half))
    # 40,000 bytes each are answered, twice, with 65,535 of room
    sent = [(id, len(payload)) for kind, _, id, payload in link.frames() if kind == DATA]
    assert sum(size for _, size in sent) == ROOM
    assert max(size for _, size in sent) <= 1 << 14
    await link.give(frame(WINDOW_UPDATE, 0, 0, (1 << 20).to_bytes(4, "big")))
    assert sum(len(payload) for kind, _, _, payload in link.frames() if kind == DATA) == 80_000 - ROOM
    for id in range(5, 5 + 2 * 20, 2):  # 19 MiB one after another: what has come makes room
        await link.give(request(id, *[bytes(16_384)] * 60))
        await link.give(frame(RST_STREAM, 0, id, bytes(4)))
    await link.give(frame(HEADERS, END_HEADERS, 101, BLOCK))
    for _ in range(10):  # and 3 MiB of one stream
        await link.give(frame(DATA, 0, 101, bytes(16_384)) * 20)
    assert link.ended() is None


@run
async def test_a_request_that_is_given_up_at_once_is_not_answered():
    link = Link()
    await link.give(BEGIN + request(1) + frame(RST_STREAM, 0, 1, bytes(4)) + request(3))
    assert ("gone", 1) in link.host.told
    assert ("gone", 3) not in link.host.told
    assert [id for kind, flags, id, _ in link.frames() if kind == HEADERS and flags & END_STREAM] == [3]


@run
async def test_an_early_answer_ends_the_request():
    link = Link()
    link.host.opened = lambda stream, headers: stream.send(HEAD, b"", ())
    await link.give(BEGIN + frame(HEADERS, END_HEADERS, 1, BLOCK))
    assert [one for one in link.frames() if one[2] == 1] == [
        (HEADERS, WHOLE, 1, HEAD), (RST_STREAM, 0, 1, bytes(4)),
    ]  # fmt: skip
    for _ in range(20):  # what was on its way
        await link.give(frame(DATA, 0, 1, bytes(16_384)))
    assert link.ended() is None


@run
async def test_the_end_answers_what_the_client_had_sent():
    link = Link()
    link.host.holds = True
    await link.give(BEGIN + request(1))
    link.connection.shutdown()
    await asyncio.sleep(0)
    frames = link.frames()
    assert ("leaving", 1) in link.host.told
    farewells = [payload for kind, _, _, payload in frames if kind == GOAWAY]
    assert farewells == [b"\x7f\xff\xff\xff" + bytes(4)]
    (ping,) = [payload for kind, flags, _, payload in frames if kind == PING and not flags]
    await link.give(request(3) + frame(PING, ACK, 0, ping) + request(5))
    frames = link.frames()
    assert [payload[:4] for kind, _, _, payload in frames if kind == GOAWAY] == [bytes([0, 0, 0, 3])]
    assert [id for kind, _, id, _ in frames if kind == RST_STREAM] == [5]
    assert [stream.id for stream in link.host.held] == [1, 3]
    assert not link.socket.closed
    for stream in link.host.held:
        stream.send(HEAD, b"answer", TAIL)
    assert link.socket.closed
    assert [id for kind, flags, id, _ in link.frames() if kind == HEADERS and flags & END_STREAM] == [1, 3]


@run
async def test_a_client_that_begins_nothing_more_gets_its_answers():
    link = Link()
    link.host.holds = True
    await link.give(BEGIN + request(1))
    link.host.held[0].send(HEAD, b"answer", TAIL)
    link.connection.data_received(request(3) + frame(GOAWAY, 0, 0, bytes(8)))  # before the answer has left
    await asyncio.sleep(0)
    assert not link.socket.closed
    link.host.held[1].send(HEAD, b"answer", TAIL)
    assert link.socket.closed
    assert [id for kind, _, id, payload in link.frames() if kind == DATA and payload == b"answer"] == [1, 3]


@run
async def test_a_lost_connection_is_told():
    link = Link()
    link.host.holds = True
    await link.give(BEGIN + request(1) + request(3, b"a", b"b")[:-1])
    assert link.connection in link.connections
    link.connection.connection_lost(None)
    assert link.connections == set()
    assert {told for told in link.host.told if told[0] == "gone"} == {("gone", 1), ("gone", 3)}
    link.host.held[0].send(HEAD, b"answer", TAIL)  # to nobody


@run
async def test_clients_are_waited_for_so_long():
    loop = asyncio.get_running_loop()
    limits = Limits(request_s=1_000, idle_s=2_000)
    silent, idle, slow, deaf, stuck = (Link(limits) for _ in range(5))
    await idle.give(BEGIN)
    await slow.give(BEGIN + frame(HEADERS, END_HEADERS, 1, BLOCK))
    await deaf.give(BEGIN)
    deaf.connection.pause_writing()
    assert deaf.socket.reading_paused
    await stuck.give(small(0) + request(1, b"abc"))
    links = (silent, idle, slow, deaf, stuck)
    for link in links:
        link.frames()
        link.connection.look(loop.time() + 900)
        await asyncio.sleep(0)
        assert (link.socket.closed, link.frames()) == (False, [])
    for link in links:
        link.connection.look(loop.time() + 1_100)
        await asyncio.sleep(0)
    assert silent.ended() == ErrorCodes.CANCEL
    assert idle.ended() is None
    assert deaf.socket.aborted
    assert ("late", 1) in slow.host.told
    for link in (slow, stuck):
        assert [(one[0], one[2]) for one in link.frames()] == [(RST_STREAM, 1)]
        assert ("gone", 1) in link.host.told
    idle.connection.look(loop.time() + 2_100)
    await asyncio.sleep(0)
    assert idle.ended() == ErrorCodes.NO_ERROR


@run
async def test_beyond_the_most_a_connection_is_closed_again():
    link = Link(full=True)
    await asyncio.sleep(0)
    assert link.ended() == ErrorCodes.ENHANCE_YOUR_CALM


@run
async def test_a_connection_that_lasts_does_not_grow():
    link = Link()
    await link.give(MET)
    for id in range(1, 20_001, 2):
        link.connection.data_received(request(id))
    assert len(link.connection._streams) == 0
    assert len(link.connection._h2._closed_streams) <= 4 * http2.STREAMS


FRAMES = st.builds(
    frame, st.integers(0, 12), st.integers(0, 255), st.sampled_from([0, 1, 3, 5, 2**31 - 1]),
    st.binary(max_size=40) | st.sampled_from([BLOCK, bytes(4), bytes(8), b"\0\0\0\1"]),
)  # fmt: skip


@given(st.booleans(), st.lists(FRAMES | st.binary(max_size=30), max_size=12))
def test_any_frames_are_taken_or_end_the_connection(settled, frames):
    async def work():
        link = Link()
        await link.give(MET if settled else BEGIN)
        for one in frames:
            await link.give(one)
        link.connection.connection_lost(None)
        assert link.connections == set()
        done = [told[1] for told in link.host.told if told[0] == "done"]
        assert len(done) == len(set(done))

    asyncio.run(work())
