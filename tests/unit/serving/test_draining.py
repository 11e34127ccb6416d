"""A socket that nobody may connect to any more still has those who did."""

import socket
import sys

import pytest

from modelwright.serving.draining import deafen

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere who connects in the last instant is reset")


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
