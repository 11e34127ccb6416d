"""The serving processes of `run` as the controller sees them: kept running, asked, and waited for."""

import json
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from modelwright.app.client import Connection
from modelwright.app.server import Front, ServerConfig
from modelwright.app.sockets import Sockets
from modelwright.app.tls import unverified
from modelwright.app.wiring import workspace_of
from modelwright.app.workers import Workers
from modelwright.core.errors import UnavailableError
from modelwright.lake.workspace import Workspace
from modelwright.serving.keys import PREFIX, digest_of
from modelwright.spec.guard import Latency
from modelwright.spec.system import System

START_S = 60.0
"""How long the first start may take: the feature kernel may have to be compiled."""


def slowest_us(system: System) -> int:
    """What a call of the model may take where `guard.latency` is declared, else 0."""
    return next((guard.slowest_us for guard in system.rollout.guards if isinstance(guard, Latency)), 0)


class ServerProcess:
    """The serving processes of a running system: usually one, else one for each place on the port."""

    def __init__(
        self,
        system: System,
        workspace: Workspace,
        sockets: Sequence[Sockets],
        front: Front,
        *,
        replay: bool,
        stream: str = "",
    ) -> None:
        self.address = front.address(sockets[0].http)
        self.grpc_address = sockets[0].grpc_address
        self._tls = unverified() if front.certificate is not None else None
        # Our own server: a proxy of the environment does not reach it.
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(context=self._tls))
        self._key = PREFIX + secrets.token_urlsafe(32)
        config = ServerConfig(
            name=system.name,
            workspace=str(workspace.root),
            contract=system.contract,
            label=system.label,
            others=system.others,
            front=front,
            keys=str(workspace_of(system).keys),
            own_key=digest_of(self._key),
            replay=replay,
            stream=stream,
            slowest_us=0 if replay else slowest_us(system),
        )
        self._workers = Workers(config, sockets)

    def start(self) -> None:
        """Start serving."""
        self._workers.start()

    def keep(self) -> list[str]:
        """Start again what has ended; a sentence about each."""
        return self._workers.keep()

    def exit_code(self) -> int | None:
        """Of a process that has ended; None while all run."""
        return self._workers.exit_code()

    def connect(self) -> Connection:
        """A connection that may ask for everything."""
        return Connection(self.address, self._key, self._tls)

    def metrics(self) -> str | None:
        """What /metrics says, of all workers; None where nobody answers."""
        asked = Request(f"{self.address}/metrics", headers={"x-api-key": self._key})  # noqa: S310 - our own
        try:
            with self._opener.open(asked, timeout=5) as answer:
                said: bytes = answer.read()
        except (OSError, ValueError):
            return None
        return said.decode()

    def ready(self) -> dict[str, Any] | None:
        """What /readyz says; None where nobody answers."""
        try:
            with self._opener.open(f"{self.address}/readyz", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except HTTPError as error:
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
        self._workers.stop()
