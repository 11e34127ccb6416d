"""How long a connection waits for its client: for the rest of a request, for the next one, for an answer to be read.

Between uvicorn's protocol and the shortcut of `DirectProtocol`. No request sets a timer: a connection notes when it began
to wait, and `watch` looks at all of them now and then.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from modelwright.serving.http import HttpApp
from modelwright.serving.limits import HEAD_BYTES
from modelwright.serving.problems import HttpError
from modelwright.serving.transport import OneWrite

LOOKS = 8
"""How often a limit is looked at while it passes: it may be passed by an eighth."""


class PatientProtocol(OneWrite):
    """uvicorn's protocol, which knows what it waits for, and since when. The app's limits hold."""

    since = 0.0
    """When it began to wait, by the loop's clock."""
    reading = False
    """Whether a request has begun and has not ended."""
    in_head = False
    """Whether its headers have not ended."""
    head_bytes = 0
    """How much of them has come, where they did not come at once."""

    def connection_made(self, transport: Any) -> None:
        """A connection is open, if there is room for it."""
        super().connection_made(transport)
        self.since = self.loop.time()
        app = cast(HttpApp, self.app)
        if len(self.connections) > app.most_connections:
            self.refuse(app.refused("connections", HttpError(503, "too many connections; try again later")))

    def data_received(self, data: bytes) -> None:
        """What the client sent. uvicorn holds headers without a bound."""
        super().data_received(data)
        if self.in_head:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES and not self.transport.is_closing():
                app = cast(HttpApp, self.app)
                self.refuse(
                    app.refused(
                        "head", HttpError(431, f"the headers are larger than {HEAD_BYTES >> 10} KiB; send less")
                    )
                )

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self.reading = self.in_head = True
        self.head_bytes = 0
        self.since = self.loop.time()

    def on_headers_complete(self) -> None:
        """The last byte of its headers."""
        self.in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The last one."""
        self.reading = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """What uvicorn does then, but for its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self.since = self.loop.time()

    def look(self, now: float) -> None:
        """End the connection where its client has been waited for too long."""
        app = cast(HttpApp, self.app)
        waited = now - self.since
        too_long = waited > app.limits.request_s
        if self.flow.write_paused or self.transport.is_closing():
            if too_long and self.transport.get_write_buffer_size():
                self.drop(app)
        elif self.reading:
            if too_long and not self.flow.read_paused:
                self.refuse(
                    app.refused("slow", HttpError(408, "the request did not come in full in time; send it faster"))
                )
        elif self.cycle is not None and not self.cycle.response_complete:
            pass  # we are what it waits for
        elif self.transport.get_write_buffer_size():
            if too_long:
                self.drop(app)
        elif waited > app.limits.idle_s:
            self.transport.close()

    def drop(self, app: HttpApp) -> None:
        """Give up on a client that does not read its answers."""
        app.refused("unread", HttpError(408, "the answer was not read"))
        self.transport.abort()

    def refuse(self, error: HttpError) -> None:
        """Answer with an error, unless an answer has begun, and close."""
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete or not getattr(cycle, "response_started", False):
            self.transport.write(cast(HttpApp, self.app).last_words(error))
        self.transport.close()


async def watch(connections: Iterable[Any], loop: asyncio.AbstractEventLoop, shortest_s: float) -> None:
    """Look at every connection for ever, often enough for the shortest of the limits."""
    while True:
        await asyncio.sleep(min(1.0, shortest_s / LOOKS))
        now = loop.time()
        for connection in list(connections):
            connection.look(now)
