"""Predictions straight from the connection: a POST to a data route makes no task, no scope and no messages.

uvicorn's protocol keeps the connection: parsing, keep-alive, pipelining, shutdown, and every other request, which goes to
the application as ASGI. What is posted to a data route in full goes to `HttpApp.submit` when its last byte is there, and its
answer is one write.
"""

from typing import Any, cast

from modelwright.serving.dialect import Response
from modelwright.serving.http import BODY_LIMIT, HttpApp
from modelwright.serving.transport import OneWrite

REASONS = {200: b"OK", 400: b"Bad Request", 404: b"Not Found", 409: b"Conflict", 413: b"Content Too Large",
           422: b"Unprocessable Content", 500: b"Internal Server Error", 503: b"Service Unavailable"}  # fmt: skip


class _Direct:
    """One such request, in the place of uvicorn's cycle: what the connection reads and sets on it."""

    __slots__ = ("body", "disconnected", "keep_alive", "message_event", "more_body", "path", "response_complete")

    def __init__(self, path: str, *, keep_alive: bool) -> None:
        self.path = path
        self.keep_alive = keep_alive
        self.body: list[bytes] = []
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.message_event = self

    def set(self) -> None:
        """Nobody waits for the next part of the body."""


class DirectProtocol(OneWrite):
    """uvicorn's protocol with that shortcut."""

    def on_headers_complete(self) -> None:
        """Take the request if it is one for the data plane and will be small enough; leave any other to ASGI."""
        app = cast(HttpApp, self.app)
        path = self.url.decode("ascii", "replace")
        before = self.cycle
        if (
            (before is not None and not before.response_complete)
            or not app.takes(path)
            or self.parser.get_method() != b"POST"
            or self.expect_100_continue
            or not 0 <= self._announced() <= BODY_LIMIT
        ):
            super().on_headers_complete()
            return
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.cycle = cast(Any, _Direct(path, keep_alive=keep_alive))

    def on_body(self, body: bytes) -> None:
        """A part of the body. The whole is small: there is no need to make the client wait."""
        cycle: Any = self.cycle
        if isinstance(cycle, _Direct):
            cycle.body.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte is there."""
        cycle: Any = self.cycle
        if not isinstance(cycle, _Direct):
            super().on_message_complete()
        elif cycle.more_body:
            cycle.more_body = False
            cast(HttpApp, self.app).submit(
                cycle.path, b"".join(cycle.body), lambda response: self._answer(cycle, response)
            )

    def _announced(self) -> int:
        """The length of the body; -1 where it is not said."""
        for name, value in self.headers:
            if name == b"content-length":
                return int(value) if value.isdigit() else -1
        return -1

    def _answer(self, cycle: _Direct, response: Response) -> None:
        if cycle.disconnected or self.transport.is_closing():
            return
        status, headers, payload = response
        lines = [b"HTTP/1.1 %d %s" % (status, REASONS.get(status, b"Error"))]
        lines += [b"%s: %s" % header for header in headers]
        lines.append(b"content-length: %d" % len(payload))
        if not cycle.keep_alive:
            lines.append(b"connection: close")
        self.transport.write(b"\r\n".join([*lines, b"", payload]))
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
