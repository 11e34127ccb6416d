"""How a server ends: it takes no more connections, answers whatever still comes on those there are, and tells each to close.

A client that keeps a connection may send its next request just when the server ends; closing on it would lose that request.
So every answer from then on says `Connection: close`, and a connection without a request is closed a moment later. Nor may a
client be lost that has connected and was not accepted yet: closing a listening socket resets it.
"""

import asyncio
import ctypes
import socket
import struct
import sys
from contextlib import suppress

import uvicorn

from modelwright.serving.http import HttpApp

LAST_S = 1.0
"""How long a connection without a request is kept for one that is on its way, in seconds."""
LOOK_S = 0.02
_SO_BINDTOIFINDEX = 62
_NO_INTERFACE = 2**31 - 1
_SO_ATTACH_FILTER = 26
_RETURN = 0x06


def deafen(sock: socket.socket) -> None:
    """Let nobody connect to a listening socket any more; those who have are accepted as before.

    On Linux it is bound to an interface that there is not, and who comes is refused at once: any user may do that from Linux
    5.7 on. Before, a packet filter drops what opens a connection; newer kernels allow that to administrators alone. Elsewhere
    this does nothing, and who connects in the last instant is reset.
    """
    if sys.platform != "linux":
        return
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)
    except OSError:
        drop_all = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(drop_all)))


class DrainingServer(uvicorn.Server):
    """uvicorn's server with that end. `shared`: the socket is somebody else's, who goes on with it or has deafened it."""

    def __init__(self, config: uvicorn.Config, app: HttpApp, *, shared: bool) -> None:
        super().__init__(config)
        self._app = app
        self._shared = shared

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, then drain; uvicorn's own shutdown waits for what is in flight, within its bound."""
        self._app.draining = True
        for sock in sockets or []:
            if not self._shared:
                deafen(sock)
        for _ in range(2):  # a turn of the loop accepts whoever has connected
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for _ in range(round(LAST_S / LOOK_S)):  # turns, no clock: while the machine holds us up we read nothing
            if not self.server_state.connections or self.force_exit:
                break
            await asyncio.sleep(LOOK_S)
        await super().shutdown(sockets)
