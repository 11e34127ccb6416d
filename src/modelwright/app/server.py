"""The serving process: a socket, a data plane, and whoever is champion. Imports nothing of training.

Started by `run` with a small JSON description (the user's own file is not imported here, since it imports the model
library), or called by `serve` with a release folder. Follows the champion pointer of the journal; ends when told to, or
when its parent is gone. Beside others of its kind (`workers`) it shares the port, the log, /metrics and the keys' rates.
"""

import asyncio
import gc
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import uvicorn

from modelwright.app.alert_metrics import alert_metrics
from modelwright.app.console import render_console
from modelwright.app.explainer_process import ExplainerConfig, ExplainerProcess
from modelwright.app.protocols import protocols_of
from modelwright.app.sockets import Sockets, host_and_port
from modelwright.app.streams import consumers_of
from modelwright.app.tls import RENEWED_S, Certificate, CertificateFiles
from modelwright.control.receiver import receivers
from modelwright.control.rollback import roll_back
from modelwright.core.clock import Clock, SimulatedClock, SystemClock
from modelwright.core.errors import ModelwrightError
from modelwright.lake.journal import JournalRow, Pointer
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import open_release
from modelwright.serving.allowance import of_this_process, shared_in
from modelwright.serving.batching import Batching
from modelwright.serving.consumer import consume
from modelwright.serving.dataplane import Dataplane
from modelwright.serving.draining import DrainingServer
from modelwright.serving.http import HttpApp, Page
from modelwright.serving.keys import Access, KeyFile
from modelwright.serving.limits import Limits, most_connections, too_few_files
from modelwright.serving.live import LiveRelease
from modelwright.serving.patience import watch
from modelwright.serving.plane import Plane
from modelwright.serving.protocol import DirectProtocol
from modelwright.serving.request_log import RequestLog
from modelwright.serving.siblings import PUBLISH_S, Siblings
from modelwright.serving.slowness import Slow, SlownessGuard
from modelwright.serving.traces import traces_of
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec

FOLLOW_S = 0.05
"""How often the pointer is looked at, in seconds."""
KEYS_S = 0.5
"""How often the file of API keys is looked at, in seconds."""
DRAIN_S = 10
"""How long the requests in flight may take when the server ends, in seconds."""
CONSOLE_NOTE = "console"
"""The note in which the controller leaves what the console shows."""


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """How a server meets its network: what it takes on and for how long it gathers it, its certificate, whether it writes a
    line a request, paths that stand for others, and the port of gRPC, None where it is not spoken."""

    limits: Limits = Limits()
    batching: Batching = Batching()
    certificate: CertificateFiles | None = None
    log_format: Literal["none", "json"] = "none"
    aliases: dict[str, str] = {}
    grpc_port: int | None = None

    def request_log(self, service: str) -> RequestLog | None:
        """Who tells what is asked, where that is wanted: lines of JSON, traces under the service's name."""
        scheme = "http" if self.certificate is None else "https"
        traces, lines = traces_of(os.environ, service, scheme), self.log_format == "json"
        return RequestLog(lines=lines, traces=traces) if lines or traces is not None else None

    def address(self, sock: socket.socket) -> str:
        """The address of a socket that is served so."""
        return f"{'http' if self.certificate is None else 'https'}://{host_and_port(sock)}"


class ServerConfig(msgspec.Struct, kw_only=True, tag="system"):
    """What a serving process of `run` is told. `keys`: the file of API keys. `own_key`: the hash of the key that the parent
    asks with. `replay`: the clock follows the events. `stream`: the URL where events come from besides.
    `slowest_us`: what a call of the model may take, 0 where nothing is declared."""

    name: str
    workspace: str
    contract: Contract
    label: LabelSpec
    others: tuple[Contract, ...] = ()
    keys: str
    own_key: str
    front: Front = Front()
    replay: bool = False
    stream: str = ""
    slowest_us: int = 0


class ServedRelease(msgspec.Struct, kw_only=True, frozen=True, tag="release"):
    """What a serving process of `serve` serves: a release folder, with a log in the workspace unless `no_log`, and
    events from a `stream` besides."""

    release: str
    workspace: str
    front: Front = Front()
    no_log: bool = False
    stream: str = ""


class Place(msgspec.Struct, frozen=True):
    """Where one of several serving processes stands: its number, the sockets it inherits, the folder that all share."""

    slot: int
    fds: list[int]
    shared: str

    def sockets(self) -> Sockets:
        """The inherited sockets."""
        return Sockets(*(socket.socket(fileno=fd) for fd in self.fds))


class Task(msgspec.Struct, frozen=True):
    """What a serving process is told, as a line on its standard input: where it stands, and what it serves."""

    place: Place
    serves: ServerConfig | ServedRelease


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
        self._plane.swap(champion, previous, challenger, pointer)
        self._generation = pointer.generation
        self._loaded = {name: live for name, live in self._loaded.items() if name in names}


def access_of(keys: Path, place: Place | None, own_key: str = "") -> Access:
    """Who may ask: the keys of a file, whose rates all workers of a server count together."""
    allow = of_this_process if place is None else shared_in(Path(place.shared))
    return Access(KeyFile(keys), own_key, allow=allow)


def siblings_of(place: Place | None) -> Siblings | None:
    """The other workers of the server, where there may be some."""
    return None if place is None else Siblings(Path(place.shared), place.slot)


class _Server(DrainingServer):
    """The server, with gRPC's connections among its own: they are counted, looked at and drained together."""

    def __init__(self, config: uvicorn.Config, app: HttpApp, grpc: socket.socket | None, tls: Any) -> None:
        super().__init__(config, app, shared=app.siblings is not None)
        self._grpc = grpc
        self._tls = tls
        if grpc is not None:
            from modelwright.serving.grpc.listener import GrpcListener

            self._listener = GrpcListener(app)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on all sockets."""
        await super().startup(sockets)
        if self._grpc is not None:
            connections: Any = self.server_state.connections
            made = await asyncio.get_running_loop().create_server(
                lambda: self._listener.connection(connections), sock=self._grpc, ssl=self._tls, backlog=2048
            )
            self.servers.append(made)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening on all of them, then drain."""
        await super().shutdown([*(sockets or []), *([] if self._grpc is None else [self._grpc])])


def serve_sockets(
    app: HttpApp,
    sockets: Sockets,
    background: Sequence[Callable[[uvicorn.Server], Any]],
    front: Front,
    *,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then let the requests in flight finish.

    Returns after a SIGTERM; a SIGINT goes on as KeyboardInterrupt.
    """
    config = uvicorn.Config(
        app, loop="none", http=DirectProtocol, ws="none", lifespan="off", interface="asgi3", access_log=False,
        log_level="warning", timeout_graceful_shutdown=DRAIN_S, server_header=False, date_header=False,
        proxy_headers=False,
    )  # fmt: skip
    certificate = Certificate(front.certificate) if front.certificate is not None else None
    if certificate is not None:
        config.ssl_context_factory = lambda config, default: certificate.context
    server = _Server(config, app, sockets.grpc, None if certificate is None else certificate.h2)
    # uvicorn sends itself the signal again when it has finished, which would end us before our files are closed; and one may
    # come after the server has said that it is ready, before uvicorn listens to signals.
    signal.signal(signal.SIGTERM, lambda number, frame: setattr(server, "should_exit", True))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
    for told in (too_few_files(app.most_connections, app.limits), _open_to_all(app, sockets.http)):
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

    async def publish_metrics(server: uvicorn.Server) -> None:
        while app.siblings is not None:
            app.publish()
            await asyncio.sleep(PUBLISH_S)

    gc.freeze()  # what is loaded stays: no collection has to look through it again

    async def main() -> None:
        tasks = [
            asyncio.create_task(start(server))
            for start in (*background, watch_connections, watch_keys, watch_certificate, publish_metrics)
        ]
        ready()
        try:
            await server.serve(sockets=[sockets.http])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            app.publish()

    try:
        import uvloop

        factory: Any = uvloop.new_event_loop
    except ImportError:
        factory = None
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
    finally:
        if app.request_log is not None:
            app.request_log.close()


def _open_to_all(app: HttpApp, sock: socket.socket) -> str:
    """What to tell whoever lets a network at a server without keys."""
    host, port = sock.getsockname()[:2]
    if app.access.closed or ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        return ""
    return (
        f"whoever reaches {host}:{port} may predict, write events and outcomes, and read /metrics; to ask for keys: "
        f"modelwright key create {app.access.place} --name NAME --scope predict"
    )


def streaming(url: str, app: HttpApp, plane: Plane, place: Place | None) -> list[Callable[[uvicorn.Server], Any]]:
    """What consumes the stream at a URL: in one process of a server, for it is one consumer."""
    if not url or (place is not None and place.slot != 0):
        return []
    consumers = consumers_of(url, app.name, app, plane)

    async def consuming(server: uvicorn.Server) -> None:
        await consume(consumers)

    return [consuming]


async def stop_with_parent(server: uvicorn.Server) -> None:
    """End when the pipe from the parent closes: no serving process outlives its controller."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), closed.set)  # nothing is ever written to it
    await closed.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.should_exit = True


def following_plane(
    log: Log, contract: Contract, label: LabelSpec, event_clock: SimulatedClock | None = None, slowest_us: int = 0
) -> Dataplane:
    """A data plane whose releases a `Follower` keeps those of the pointer, and which takes out of service what fails, or is
    slower than `slowest_us` where that is given."""

    def failed(release: str, error: str) -> None:
        tell(roll_back(log.journal, log.clock.now_us(), release, error, {"errors": 1}))

    def slow(release: str, found: Slow) -> None:
        reason = f"{found.slow} of its latest {found.calls:,} calls took more than {found.bound_ms:g} ms"
        evidence = {"by": "latency", "bound_ms": found.bound_ms}
        tell(roll_back(log.journal, log.clock.now_us(), release, reason, evidence, msgspec.to_builtins(found)))

    def tell(rows: list[JournalRow]) -> None:
        for row in rows:
            print(f"modelwright: {row.kind}: {row.summary}", file=sys.stderr)

    slowness = SlownessGuard(slowest_us / 1e6, slow) if slowest_us else None
    return Dataplane(log, contract, label, log.clock, failed, event_clock=event_clock, slowness=slowness)


def serve_system(config: ServerConfig, sockets: Sockets, place: Place) -> None:
    """A serving process of `run`, until it is told to end or its parent is gone."""
    workspace = Workspace(Path(config.workspace))
    event_clock = SimulatedClock() if config.replay else None
    clock: Clock = event_clock or SystemClock()
    schema = LogSchema(config.contract, config.label.name, config.label.kind, config.others)
    log = Log.open(workspace, schema, clock)
    plane = following_plane(log, config.contract, config.label, event_clock, config.slowest_us)
    follower = Follower(plane, workspace.releases)
    explainer = ExplainerProcess(
        ExplainerConfig(releases=str(workspace.releases), workspace=config.workspace, replay=config.replay)
    )
    page = render_console()
    pages: dict[str, Page] = {
        "/": (b"text/html; charset=utf-8", lambda: page),
        "/console.json": (b"application/json", lambda: log.journal.read_note(CONSOLE_NOTE) or b"{}"),
    }
    app = HttpApp(
        plane, config.name, pages, limits=config.front.limits, most_connections=most_connections(),
        access=access_of(Path(config.keys), place, config.own_key), request_log=config.front.request_log(config.name),
        batching=config.front.batching, aliases=config.front.aliases, siblings=siblings_of(place),
        dialects=protocols_of(plane, config.name, explainer, logged=True),
        beside=lambda: alert_metrics(receivers(log.journal)),
    )  # fmt: skip

    async def follow(server: uvicorn.Server) -> None:
        await follower.follow()

    background = [follow, stop_with_parent, explainer.serve_until_stopped, *streaming(config.stream, app, plane, place)]
    serve_sockets(app, sockets, background, config.front)
