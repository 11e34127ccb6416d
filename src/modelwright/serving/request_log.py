"""What is told of each request when it is answered: a line of JSON on standard error, and a trace, each where it is wanted.

A line says what was asked, how it was answered, how long it took and by whose key. A request is known by its
`X-Request-Id`: the client's own, or one that is made; the answer carries it back, and a trace holds it. Nothing of a body,
of a query or of a key is written.
"""

import asyncio
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

import msgspec

from modelwright.core.clock import Clock, SystemClock, iso
from modelwright.serving.traces import Span, Traces

ID = re.compile(rb"[!-~]{1,128}")
"""An id that a client may give: visible ASCII."""
PATH_LIMIT = 200


class Traced(msgspec.Struct, gc=False):
    """A request on its way: its id, when it began (monotonic and by the wall clock), the trace it is part of, and its stages
    with when each ended, from `staged` on."""

    id: bytes
    began: float
    began_ns: int
    traceparent: bytes = b""
    tracestate: bytes = b""
    staged: float = 0.0
    stages: Sequence[tuple[str, float]] = ()


class _Line(msgspec.Struct):
    at: str
    id: str
    method: str
    route: str
    status: int
    ms: float
    key: str | None
    trace: str | msgspec.UnsetType = msgspec.UNSET


class RequestLog:
    """Writes the lines of one turn of the event loop together. `lines`: whether there are any; `traces`: who takes spans."""

    def __init__(
        self, clock: Clock | None = None, out: TextIO | None = None, *, lines: bool = True, traces: Traces | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._out = out or sys.stderr
        self._encode = msgspec.json.Encoder().encode
        self._wanted = lines
        self._traces = traces
        self._lines: list[bytes] = []

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> Traced:
        """A request whose headers are there."""
        traced = Traced(b"", time.perf_counter(), time.time_ns())
        for name, value in headers:
            if name == b"x-request-id" and ID.fullmatch(value):
                traced.id = value
            elif name == b"traceparent":
                traced.traceparent = value
            elif name == b"tracestate":
                traced.tracestate = value
        traced.id = traced.id or os.urandom(8).hex().encode()
        return traced

    def end(
        self, traced: Traced, method: str, path: str, status: int, key: str, route: str = ""
    ) -> tuple[bytes, bytes]:
        """It is answered; the header that tells its id. `route` is empty for a path that is none."""
        seconds = time.perf_counter() - traced.began
        trace: str | msgspec.UnsetType = msgspec.UNSET
        if self._traces is not None:
            trace = self._traces.record(_span(traced, method, path[:PATH_LIMIT], route, status, seconds))
        if self._wanted:
            at = iso(self._clock.now_us())
            ms = round(seconds * 1000, 3)
            line = _Line(at, traced.id.decode(), method, path[:PATH_LIMIT], status, ms, key or None, trace)
            if not self._lines:
                asyncio.get_running_loop().call_soon(self._flush)
            self._lines.append(self._encode(line))
        return b"x-request-id", traced.id

    def close(self) -> None:
        """Send what spans wait; for no longer than a server may take to end."""
        if self._traces is not None:
            self._traces.close()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        self._out.write(b"\n".join([*lines, b""]).decode())
        self._out.flush()


def _span(traced: Traced, method: str, path: str, route: str, status: int, seconds: float) -> Span:
    def wall_ns(moment: float) -> int:
        return traced.began_ns + int((moment - traced.began) * 1e9)

    begins = [traced.staged, *(ended for _, ended in traced.stages)]
    stages = [
        (stage, wall_ns(began), wall_ns(ended)) for began, (stage, ended) in zip(begins, traced.stages, strict=False)
    ]
    return Span(
        method=method, path=path, route=route, status=status, id=traced.id.decode(), began_ns=traced.began_ns,
        ended_ns=traced.began_ns + int(seconds * 1e9), stages=stages,
        parent={"traceparent": traced.traceparent.decode("latin-1"), "tracestate": traced.tracestate.decode("latin-1")},
    )  # fmt: skip
