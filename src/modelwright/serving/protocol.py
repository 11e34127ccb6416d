"""Predictions straight from the connection: a POST to a data route makes no task, no scope and no messages.

uvicorn's protocol keeps the connection: parsing, keep-alive, pipelining, shutdown, and every other request, which goes to
the application as ASGI. What is posted to a data route in full goes to `HttpApp.submit` when its last byte is there, and its
answer is one write.
"""

from typing import Any, cast

from modelwright.serving.dialect import Response
from modelwright.serving.http import HttpApp
from modelwright.serving.limits import BODY_LIMIT
from modelwright.serving.patience import PatientProtocol
from modelwright.serving.problems import HttpError
from modelwright.serving.request_log import Traced
from modelwright.serving.wire import wire


class _Direct:
    """One such request, in the place of uvicorn's cycle: what the connection reads and sets on it."""

    __slots__ = (
        "body", "disconnected", "headers", "held", "keep_alive", "key", "message_event", "more_body", "path", "refused",
        "response_complete", "traced",
    )  # fmt: skip

    def __init__(self, path: str, headers: list[tuple[bytes, bytes]], *, keep_alive: bool) -> None:
        self.path = path
        self.headers = headers
        self.keep_alive = keep_alive
        self.refused: HttpError | None = None
        self.key = ""
        self.traced: Traced | None = None
        self.body: list[bytes] = []
        self.held = 0
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.message_event = self

    def set(self) -> None:
        """Nobody waits for the next part of the body."""


class DirectProtocol(PatientProtocol):
    """uvicorn's protocol with that shortcut."""

    def on_headers_complete(self) -> None:
        """Take the request if it is one for the data plane and will be small enough; leave any other to ASGI."""
        app = cast(HttpApp, self.app)
        path = app.path_of(self.url.decode("ascii", "replace"))
        before = self.cycle
        if (
            (before is not None and not before.response_complete)
            or self.flow.write_paused  # who does not read is not written to: ASGI waits
            or not app.takes(path)
            or self.parser.get_method() != b"POST"
            or self.expect_100_continue
            or not 0 <= self._announced() <= BODY_LIMIT
        ):
            super().on_headers_complete()
            return
        self.in_head = False
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        cycle = _Direct(path, self.headers, keep_alive=keep_alive)
        self.cycle = cast(Any, cycle)
        if app.request_log is not None:
            cycle.traced = app.request_log.begin(self.headers)
        try:
            cycle.key = app.enter(path, self.headers)
        except HttpError as error:  # answered when its body has passed
            cycle.refused = error

    def on_body(self, body: bytes) -> None:
        """A part of the body. The whole is small: there is no need to make the client wait."""
        cycle: Any = self.cycle
        if isinstance(cycle, _Direct):
            if cycle.refused is None:
                app = cast(HttpApp, self.app)
                if app.room.take(len(body)):
                    cycle.body.append(body)
                    cycle.held += len(body)
                else:
                    self._let_go(cycle, app)
                    cycle.refused = app.no_room()
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte is there."""
        cycle: Any = self.cycle
        if not isinstance(cycle, _Direct):
            super().on_message_complete()
            return
        self.reading = False
        if not cycle.more_body:
            return
        cycle.more_body = False
        app = cast(HttpApp, self.app)
        if cycle.refused is not None:
            self._answer(cycle, app.fail(cycle.path, cycle.refused))
        else:
            body = b"".join(cycle.body)
            app.submit(cycle.path, cycle.headers, body, lambda response: self._answer(cycle, response), cycle.traced)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; a request that had not come in full is none."""
        cycle: Any = self.cycle
        if isinstance(cycle, _Direct) and cycle.more_body and cycle.refused is None:
            cycle.more_body = False
            self._let_go(cycle, cast(HttpApp, self.app))
        super().connection_lost(exc)

    @staticmethod
    def _let_go(cycle: _Direct, app: HttpApp) -> None:
        """The request waits no longer, and its body needs no room."""
        app.leave()
        app.room.give_back(cycle.held)
        cycle.held = 0
        cycle.body.clear()

    def _announced(self) -> int:
        """The length of a body sent as it is; -1 where it is not said, or the body is compressed."""
        length = -1
        for name, value in self.headers:
            if name == b"content-length":
                length = int(value) if value.isdigit() else -1
            elif name == b"content-encoding":
                return -1
        return length

    def _answer(self, cycle: _Direct, response: Response) -> None:
        app = cast(HttpApp, self.app)
        if cycle.refused is None:
            self._let_go(cycle, app)
        if app.request_log is not None and cycle.traced is not None:
            status, headers, payload = response
            told = app.request_log.end(cycle.traced, "POST", cycle.path, status, cycle.key, cycle.path)
            response = status, (*headers, told), payload
        if cycle.disconnected or self.transport.is_closing():
            return
        keep_alive = cycle.keep_alive and not app.draining
        self.transport.write(wire(response, keep_alive=keep_alive))
        cycle.response_complete = True
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()
