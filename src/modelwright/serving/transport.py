"""One system call for an answer: what is written to a connection in one turn of the event loop leaves together.

uvicorn writes an answer's head and its body apart, and uvloop sends each at once; the second send costs as much as the
model does.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Gathered:
    """A transport whose writes of one turn of the loop are one."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send with whatever else this turn of the loop sends."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def _flush(self) -> None:
        if self._waiting:
            if not self._transport.is_closing():  # a client that is gone gets nothing
                self._transport.write(b"".join(self._waiting))
            self._waiting.clear()

    def close(self) -> None:
        """Send what waits, then close."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWrite(HttpToolsProtocol):
    """uvicorn's protocol on such a transport."""

    def connection_made(self, transport: Any) -> None:
        """A connection is open."""
        super().connection_made(cast(asyncio.Transport, Gathered(transport, self.loop)))
