"""The serving process: a socket, a data plane, and whoever is champion. Imports nothing of training.

Started by `run` with a small JSON description (the user's own file is not imported here, since it imports the model
library), or called by `serve` with a release folder. Follows the champion pointer of the journal; ends when told to, or
when its parent is gone.
"""

import asyncio
import errno
import gc
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import uvicorn

from modelwright.app.console import render_console
from modelwright.app.tls import RENEWED_S, Certificate, CertificateFiles
from modelwright.control.rollback import roll_back
from modelwright.core.clock import Clock, SimulatedClock, SystemClock
from modelwright.core.errors import ModelwrightError, UsageError
from modelwright.lake.journal import Pointer
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import open_release
from modelwright.serving.dataplane import Dataplane
from modelwright.serving.http import HttpApp, Page
from modelwright.serving.inference_protocol import InferenceProtocol
from modelwright.serving.keys import Access, KeyFile
from modelwright.serving.limits import Limits, most_connections, too_few_files
from modelwright.serving.live import LiveRelease
from modelwright.serving.patience import watch
from modelwright.serving.protocol import DirectProtocol
from modelwright.serving.request_log import RequestLog
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec

_REMEDY = {
    errno.EADDRINUSE: "stop what uses it, or give another --port (0 picks a free one)",
    errno.EACCES: "give a --port above 1023",
}
FOLLOW_S = 0.05
"""How often the pointer is looked at, in seconds."""
KEYS_S = 0.5
"""How often the file of API keys is looked at, in seconds."""
CONSOLE_NOTE = "console"
"""The note in which the controller leaves what the console shows."""


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """How a server meets its network: what it takes on, its certificate, whether it writes a line a request."""

    limits: Limits = Limits()
    certificate: CertificateFiles | None = None
    log_format: Literal["none", "json"] = "none"

    def request_log(self) -> RequestLog | None:
        """Who writes down what is asked, where that is wanted."""
        return RequestLog() if self.log_format == "json" else None

    def address(self, sock: socket.socket) -> str:
        """The address of a socket that is served so."""
        host, port = sock.getsockname()[:2]
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class ServerConfig(msgspec.Struct, kw_only=True):
    """What a serving process is told. `fd`: the listening socket, inherited. `keys`: the file of API
    keys. `own_key`: the hash of the key that the parent asks with. `replay`: the clock follows the events."""

    name: str
    workspace: str
    contract: Contract
    label: LabelSpec
    others: tuple[Contract, ...] = ()
    fd: int
    keys: str
    own_key: str
    front: Front = Front()
    replay: bool = False


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket; UsageError where the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(2048)
    except OverflowError:
        sock.close()
        raise UsageError(f"cannot listen on {host}:{port}: a port is a number up to 65535") from None
    except OSError as error:
        sock.close()
        said = (error.strerror or str(error)).lower()
        remedy = _REMEDY.get(error.errno or 0, "give an address of this machine with --host")
        raise UsageError(f"cannot listen on {host}:{port}: {said}; {remedy}") from None
    return sock


class Follower:
    """Keeps the data plane's releases those of the journal's pointer."""

    def __init__(self, plane: Dataplane, releases: Path) -> None:
        self._plane = plane
        self._releases = releases
        self._generation = -1
        self._loaded: dict[str, LiveRelease] = {}

    async def follow(self) -> None:
        """Look at the pointer for ever. What cannot be loaded is said once, and what is live stays live."""
        said = ""
        while True:
            try:
                await self.look()
            except ModelwrightError as error:
                if str(error) != said:
                    said = str(error)
                    print(f"modelwright: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(FOLLOW_S)

    async def look(self) -> None:
        """Load what the pointer names, aside, and swap it in between two batches."""
        pointer = self._plane.log.journal.pointer()
        if pointer.generation == self._generation:
            return
        names = [pointer.champion, pointer.previous, pointer.challenger]
        for name in names:
            if name is not None and name not in self._loaded:
                release = await asyncio.to_thread(open_release, self._releases / name)
                self._loaded[name] = self._plane.prepare(release)
        self._take(pointer, names)

    def _take(self, pointer: Pointer, names: list[str | None]) -> None:
        champion, previous, challenger = (self._loaded[name] if name else None for name in names)
        self._plane.swap(champion, previous, challenger)
        self._generation = pointer.generation
        self._loaded = {name: live for name, live in self._loaded.items() if name in names}


def serve_socket(
    app: HttpApp,
    sock: socket.socket,
    background: list[Callable[[uvicorn.Server], Any]],
    front: Front,
    *,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let the requests in flight finish.

    Returns after a SIGTERM; a SIGINT goes on as KeyboardInterrupt.
    """
    # uvicorn sends itself the signal again when it has finished, which would end us before our files are closed.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    config = uvicorn.Config(
        app, loop="none", http=DirectProtocol, ws="none", lifespan="off", interface="asgi3", access_log=False,
        log_level="warning", timeout_graceful_shutdown=10, server_header=False, date_header=False,
        proxy_headers=False,
    )  # fmt: skip
    certificate = Certificate(front.certificate) if front.certificate is not None else None
    if certificate is not None:
        config.ssl_context_factory = lambda config, default: certificate.context
    server = uvicorn.Server(config)
    for told in (too_few_files(app.most_connections, app.limits), _open_to_all(app, sock)):
        if told:
            print(f"modelwright: {told}", file=sys.stderr, flush=True)

    async def watch_connections(server: uvicorn.Server) -> None:
        shortest_s = min(app.limits.request_s, app.limits.idle_s)
        await watch(server.server_state.connections, asyncio.get_running_loop(), shortest_s)

    async def watch_keys(server: uvicorn.Server) -> None:
        while True:
            await asyncio.sleep(KEYS_S)
            app.access.look()

    async def watch_certificate(server: uvicorn.Server) -> None:
        while certificate is not None:
            await asyncio.sleep(RENEWED_S)
            certificate.look()

    gc.freeze()  # what is loaded stays: no collection has to look through it again

    async def main() -> None:
        tasks = [
            asyncio.create_task(start(server))
            for start in (*background, watch_connections, watch_keys, watch_certificate)
        ]
        ready()
        try:
            await server.serve(sockets=[sock])
        finally:
            for task in tasks:
                task.cancel()

    try:
        import uvloop

        factory: Any = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


def _open_to_all(app: HttpApp, sock: socket.socket) -> str:
    """What to tell whoever lets a network at a server without keys."""
    host, port = sock.getsockname()[:2]
    if app.access.closed or ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        return ""
    return (
        f"whoever reaches {host}:{port} may predict, write events and outcomes, and read /metrics; to ask for keys: "
        f"modelwright key create {app.access.place} --name NAME --scope predict"
    )


async def stop_with_parent(server: uvicorn.Server) -> None:
    """End when the pipe from the parent closes: no serving process outlives its controller."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), closed.set)  # nothing is ever written to it
    await closed.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.should_exit = True


def main(config_path: str) -> int:
    """The serving process of `run`."""
    config = msgspec.json.decode(Path(config_path).read_bytes(), type=ServerConfig)
    workspace = Workspace(Path(config.workspace))
    event_clock = SimulatedClock() if config.replay else None
    clock: Clock = event_clock or SystemClock()
    schema = LogSchema(config.contract, config.label.name, config.label.kind, config.others)
    log = Log.open(workspace, schema, clock)

    def failed(release: str, error: str) -> None:
        for row in roll_back(log.journal, clock.now_us(), release, error, {"errors": 1}):
            print(f"modelwright: {row.kind}: {row.summary}", file=sys.stderr)

    plane = Dataplane(log, config.contract, config.label, clock, failed, event_clock=event_clock)
    follower = Follower(plane, workspace.releases)
    page = render_console()
    pages: dict[str, Page] = {
        "/": (b"text/html; charset=utf-8", lambda: page),
        "/console.json": (b"application/json", lambda: log.journal.read_note(CONSOLE_NOTE) or b"{}"),
    }
    app = HttpApp(
        plane, config.name, pages, limits=config.front.limits, most_connections=most_connections(),
        access=Access(KeyFile(Path(config.keys)), config.own_key), request_log=config.front.request_log(),
        dialects=[InferenceProtocol(plane, config.name)],
    )  # fmt: skip
    sock = socket.socket(fileno=config.fd)

    async def follow(server: uvicorn.Server) -> None:
        await follower.follow()

    serve_socket(app, sock, [follow, stop_with_parent], config.front)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
