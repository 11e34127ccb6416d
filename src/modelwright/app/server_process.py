"""The serving process as its parent sees it: started on an open socket, restarted if it dies, stopped gracefully."""

import json
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import msgspec

from modelwright.app.client import Connection
from modelwright.app.server import Front, ServerConfig
from modelwright.app.tls import unverified
from modelwright.app.wiring import workspace_of
from modelwright.core.errors import UnavailableError
from modelwright.lake.workspace import Workspace
from modelwright.serving.keys import PREFIX, digest_of
from modelwright.spec.system import System

START_S = 60.0
"""How long the first start may take: the feature kernel may have to be compiled."""


class ServerProcess:
    """One serving process on a socket that the parent keeps open, so that a restart loses no connection attempt."""

    def __init__(
        self, system: System, workspace: Workspace, sock: socket.socket, front: Front, *, replay: bool
    ) -> None:
        self._sock = sock
        self.address = front.address(sock)
        self._tls = unverified() if front.certificate is not None else None
        self._key = PREFIX + secrets.token_urlsafe(32)
        config = ServerConfig(
            name=system.name,
            workspace=str(workspace.root),
            contract=system.contract,
            label=system.label,
            others=system.others,
            fd=sock.fileno(),
            front=front,
            keys=str(workspace_of(system).keys),
            own_key=digest_of(self._key),
            replay=replay,
        )
        self._config = workspace.root / "server.json"
        self._config.write_bytes(msgspec.json.encode(config))
        self._process: subprocess.Popen[bytes] | None = None
        self.restarts = -1

    def start(self) -> None:
        """Start it, or start it again."""
        self.restarts += 1
        self._process = subprocess.Popen(
            [sys.executable, "-m", "modelwright.app.server", str(self._config)],
            stdin=subprocess.PIPE, pass_fds=[self._sock.fileno()], start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The serving process's id."""
        assert self._process is not None
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll() if self._process is not None else None

    def connect(self) -> Connection:
        """A connection that may ask for everything."""
        return Connection(self.address, self._key, self._tls)

    def ready(self) -> dict[str, Any] | None:
        """What /readyz says; None where nobody answers."""
        try:
            address = f"{self.address}/readyz"
            with urllib.request.urlopen(address, timeout=5, context=self._tls) as answer:  # noqa: S310 - our own
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)
        except (OSError, ValueError):
            return None
        return found

    def wait_until(self, said: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until /readyz says so; UnavailableError where the process ends or does not get there."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.exit_code() is not None:
                raise UnavailableError(
                    f"the serving process ended with code {self.exit_code()}; its messages are above"
                )
            found = self.ready()
            if found is not None and said(found):
                return
            time.sleep(0.02)
        raise UnavailableError(f"the serving process did not get ready within {START_S:.0f} s")

    def stop(self) -> None:
        """Let the requests in flight finish, then end it."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=12)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
