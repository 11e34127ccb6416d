"""A lean HTTP client on one connection to our own server: for the replay, which sends tens of thousands of requests."""

import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import msgspec

from modelwright.core.errors import UnavailableError


class Connection:
    """One keep-alive connection, which shows a key."""

    def __init__(self, address: str, key: str, tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(address)
        self._host = parts.netloc
        self._key = key
        self._sock = socket.create_connection((parts.hostname, parts.port), timeout=60)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._sock = tls.wrap_socket(self._sock, server_hostname=parts.hostname)
        self._file = self._sock.makefile("rb", buffering=1 << 16)

    def send(self, path: str, body: bytes) -> None:
        """POST a JSON body; the answer is read by `receive`."""
        self._sock.sendall(
            b"POST %s HTTP/1.1\r\nhost: %s\r\nx-api-key: %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
            % (path.encode(), self._host.encode(), self._key.encode(), len(body), body)
        )

    def receive(self) -> Any:
        """The decoded body of the next answer; UnavailableError for any answer that is no 200."""
        head = self._file.readline().split(None, 2)
        length = 0
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if len(head) < 2:
            raise UnavailableError("the serving process closed the connection")
        body = self._file.read(length)
        if head[1] != b"200":
            raise UnavailableError(
                f"the serving process answered {head[1].decode()}: {body[:300].decode(errors='replace')}"
            )
        return msgspec.json.decode(body)

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._sock.close()
