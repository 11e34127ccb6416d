"""A socket that nobody may connect to any more still has those who did, and what they sent is read before the end."""

import asyncio
import socket
import sys
import time
from types import SimpleNamespace

import pytest
import uvicorn

from modelwright.serving import draining
from modelwright.serving.draining import DrainingServer, deafen

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere who connects in the last instant is reset")


class Ordinary(socket.socket):
    """A socket as newer kernels give it to an ordinary user: with no packet filter."""

    def setsockopt(self, level, option, value):
        if option == 26:  # SO_ATTACH_FILTER
            raise PermissionError
        super().setsockopt(level, option, value)


class Old(socket.socket):
    """As an old kernel gives it: bound to no interface by a user."""

    def setsockopt(self, level, option, value):
        if option == 62:  # SO_BINDTOIFINDEX
            raise PermissionError
        try:
            super().setsockopt(level, option, value)
        except PermissionError:
            pytest.skip("this kernel lets administrators alone attach a packet filter")


@linux
@pytest.mark.parametrize("kind", [Ordinary, Old])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_who_has_connected_is_served_and_nobody_connects_any_more(kind, host):
    with kind() as listening:
        listening.bind((host, 0))
        listening.listen()
        address = ("127.0.0.1", listening.getsockname()[1])
        with socket.create_connection(address, 10) as early:
            early.sendall(b"asked")
            deafen(listening)
            with pytest.raises(OSError, match="refused|timed out"):
                socket.create_connection(address, 0.5)
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.recv(10) == b"asked"
                accepted.sendall(b"answered")
            assert early.recv(10) == b"answered"


def test_what_came_while_the_machine_held_the_server_up_is_read_before_the_end(monkeypatch):
    """It may not run for longer than it keeps a connection without a request."""
    uvloop = pytest.importorskip("uvloop", reason="uvloop's timers come before what was received: pip install uvloop")
    monkeypatch.setattr(draining, "LAST_S", 0.4)
    came, by_the_end = [], []

    async def end(self, sockets=None):
        by_the_end.extend(came)

    monkeypatch.setattr(uvicorn.Server, "shutdown", end)

    async def drain():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            loop.add_reader(ours, lambda: came.append(ours.recv(9)))
            app = SimpleNamespace(draining=False)
            server = DrainingServer(uvicorn.Config(app), app, shared=True)
            server.servers = []
            server.server_state.connections.add(ours)

            def hold_up():
                theirs.send(b"asked")
                time.sleep(1)

            loop.call_later(0.1, hold_up)
            await server.shutdown()
            loop.remove_reader(ours)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(drain())
    assert by_the_end == [b"asked"]
