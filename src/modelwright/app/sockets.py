"""The sockets that a server listens on: opened before anything else is done, and kept by whoever may start it again."""

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple, Self

from modelwright.core.errors import UsageError

_REMEDY = {
    errno.EADDRINUSE: "stop what uses it, or give another {option} (0 picks a free one)",
    errno.EACCES: "give a {option} above 1023",
}


class Sockets(NamedTuple):
    """Those of one serving process: that of HTTP, and that of gRPC where it is spoken. A context manager that closes them."""

    http: socket.socket
    grpc: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close them."""
        for sock in self.all:
            sock.close()

    @property
    def all(self) -> list[socket.socket]:
        """Those that there are, in this order."""
        return [self.http] if self.grpc is None else [self.http, self.grpc]

    @property
    def grpc_address(self) -> str | None:
        """Where gRPC is spoken, as its clients take it."""
        return None if self.grpc is None else host_and_port(self.grpc)


def host_and_port(sock: socket.socket) -> str:
    """The address of a socket."""
    host, port = sock.getsockname()[:2]
    return f"{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def listening(
    host: str, port: int, grpc_port: int | None = None, workers: int = 1, *, patience_s: float = 0.0
) -> Iterator[list[Sockets]]:
    """Bound, listening sockets for each of so many processes, closed at the end: all on the same ports, among which the
    kernel spreads connections. UsageError where a port is taken, for longer than `patience_s`, or the address is not ours."""
    until = time.monotonic() + patience_s
    with ExitStack() as held:
        while True:
            try:
                http = _share(held, host, port, "--port", workers)
                grpc = None if grpc_port is None else _share(held, host, grpc_port, "--grpc-port", workers)
                break
            except UsageError:
                held.close()
                if time.monotonic() >= until:
                    raise
                time.sleep(0.05)
        if grpc is None:
            yield [Sockets(sock) for sock in http]
        else:
            yield [Sockets(*pair) for pair in zip(http, grpc, strict=True)]


def _share(held: ExitStack, host: str, port: int, option: str, count: int) -> list[socket.socket]:
    """So many sockets on one port."""
    sockets = [held.enter_context(_listen(host, port, option, first=True if count > 1 else None))]
    port = sockets[0].getsockname()[1]
    return sockets + [held.enter_context(_listen(host, port, option, first=False)) for _ in range(count - 1)]


def _listen(host: str, port: int, option: str, *, first: bool | None) -> socket.socket:
    """A socket. `first`: whether it is the first of several on this port, or a further one; None where it is alone."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if first is False:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        if first is True:  # only now: bound so, it would share a port that somebody else listens on
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.listen(2048)
    except OverflowError:
        sock.close()
        raise UsageError(f"cannot listen on {host}:{port}: a port is a number up to 65535") from None
    except OSError as error:
        sock.close()
        said = (error.strerror or str(error)).lower()
        remedy = _REMEDY.get(error.errno or 0, "give an address of this machine with --host")
        raise UsageError(f"cannot listen on {host}:{port}: {said}; {remedy.format(option=option)}") from None
    return sock
