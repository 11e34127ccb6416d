"""Connections of gRPC for the closed loop of `benchmarks.load`: N of them, one call at a time on each.

Its HTTP/2 is as little as a server accepts, so that it costs a fraction of what the servers do. Frames are made
beforehand but for the stream's number. A call without an answer's message ends the run.
"""

import itertools
import socket
import struct
from collections.abc import Sequence

from benchmarks.load import Load, drive_on

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
WIDE = 0x3FFF0000


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _headers(path: str) -> bytes:
    pairs = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "bench"), ("te", "trailers"),
             ("content-type", "application/grpc"))  # fmt: skip
    return b"".join(b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in pair) for pair in pairs)


class _Connection:
    """One socket, its call, and what has come of the answer."""

    def __init__(self, port: int, path: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = _headers(path)
        settings = struct.pack(">HI", 4, WIDE)
        grow = frame(WINDOW, 0, 0, struct.pack(">I", WIDE))
        self.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings) + grow)
        self._buffer = b""
        self._stream = -1
        self._size = 0
        self.due = 0.0

    def send(self, request: bytes, due: float) -> None:
        self._stream += 2
        self._size = 0
        self.due = due
        data = b"\0" + struct.pack(">I", len(request)) + request
        self.sock.sendall(frame(HEADERS, 4, self._stream, self._head) + frame(DATA, 1, self._stream, data))

    def answered(self) -> bool:
        """Read what is there; True once the whole answer is."""
        more = self.sock.recv(1 << 18)
        if not more:
            raise RuntimeError("the server closed a connection")
        buffer, place, done = self._buffer + more, 0, False
        while len(buffer) - place >= 9:
            end = place + 9 + int.from_bytes(buffer[place : place + 3], "big")
            if end > len(buffer):
                break
            kind, flags, payload = buffer[place + 3], buffer[place + 4], buffer[place + 9 : end]
            place = end
            if kind == DATA:
                self._size += len(payload)
            elif kind in (SETTINGS, PING) and not flags & 1:
                self.sock.sendall(frame(kind, 1, 0, payload if kind == PING else b""))
            elif kind == GOAWAY or (kind == RESET and not done):
                raise RuntimeError(f"the server ended a call: {payload!r}")
            if kind in (DATA, HEADERS) and flags & 1:
                done = True
                if self._size <= 5:
                    raise RuntimeError(f"no message in an answer: {payload!r}")
        self._buffer = buffer[place:]
        return done


def drive(
    port: int, path: str, messages: Sequence[bytes], *, connections: int, warm_up_s: float, seconds: float
) -> Load:
    """Send messages in turn until the time is over; every call begun is answered before it returns."""
    held = [_Connection(port, path) for _ in range(connections)]
    return drive_on(held, itertools.cycle(messages), warm_up_s=warm_up_s, seconds=seconds)
