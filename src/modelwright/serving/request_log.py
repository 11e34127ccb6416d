"""One line of JSON a request on standard error: what was asked, how it was answered, how long it took and by whose key.

A request is known by its `X-Request-Id`: the client's own, or one that is made; the answer carries it back. Nothing of a
body, of a query or of a key is written.
"""

import asyncio
import os
import re
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple, TextIO

import msgspec

from modelwright.core.clock import Clock, SystemClock, iso

ID = re.compile(rb"[!-~]{1,128}")
"""An id that a client may give: visible ASCII."""
PATH_LIMIT = 200


class Traced(NamedTuple):
    """A request on its way: its id, and when it began."""

    id: bytes
    began: float


class _Line(msgspec.Struct):
    at: str
    id: str
    method: str
    route: str
    status: int
    ms: float
    key: str | None


class RequestLog:
    """Writes the lines of one turn of the event loop together."""

    def __init__(self, clock: Clock | None = None, out: TextIO | None = None) -> None:
        self._clock = clock or SystemClock()
        self._out = out or sys.stderr
        self._encode = msgspec.json.Encoder().encode
        self._lines: list[bytes] = []

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> Traced:
        """A request whose headers are there."""
        given = next((value for name, value in headers if name == b"x-request-id"), b"")
        return Traced(given if ID.fullmatch(given) else os.urandom(8).hex().encode(), time.perf_counter())

    def end(self, traced: Traced, method: str, path: str, status: int, key: str) -> tuple[bytes, bytes]:
        """It is answered; the header that tells its id."""
        ms = round((time.perf_counter() - traced.began) * 1000, 3)
        at = iso(self._clock.now_us())
        line = _Line(at, traced.id.decode(), method, path[:PATH_LIMIT], status, ms, key or None)
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._flush)
        self._lines.append(self._encode(line))
        return b"x-request-id", traced.id

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        self._out.write(b"\n".join([*lines, b""]).decode())
        self._out.flush()
