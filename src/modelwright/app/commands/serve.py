"""`modelwright serve`: a release folder, served alone: no training, no loop, nothing of either installed.

In this process, or in several that this one keeps running.
"""

import asyncio
import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.app.drainer import drain_beside
from modelwright.app.explainer_process import ExplainerConfig, ExplainerProcess
from modelwright.app.protocols import protocols_of
from modelwright.app.server import (
    Front,
    Place,
    ServedRelease,
    access_of,
    serve_sockets,
    siblings_of,
    stop_with_parent,
    streaming,
)
from modelwright.app.sockets import Sockets, listening
from modelwright.app.streams import ENVIRONMENT
from modelwright.core.clock import SystemClock
from modelwright.core.errors import UnavailableError, UsageError
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import Release, open_release, read_manifest
from modelwright.serving.http import HttpApp
from modelwright.serving.limits import most_connections
from modelwright.serving.plane import Plane
from modelwright.serving.stateless import StatelessPlane

if TYPE_CHECKING:
    from modelwright.lake.log import Log
    from modelwright.serving.dataplane import Dataplane

DRAIN_EVERY_S = 5.0
"""How often the log is looked at for rows to drain."""
DRAIN_ROWS = 20_000
"""How many are worth the start of a process."""
LOOK_S = 0.1
"""How often the parent of several processes looks at them, in seconds."""
NO_LOG_NOTE = "keeps no log: nothing that is asked or answered is written"
START_S = 120.0
"""How long a first start may take: kernels may have to be compiled, and history built."""


def home() -> Path:
    """Where the state of a release that is served alone lies."""
    return Path(os.environ.get("MODELWRIGHT_HOME") or ".modelwright")


def serve(
    release: Path,
    workspace: Path | None,
    host: str,
    port: int,
    front: Front,
    *,
    stream: str = "",
    workers: int = 1,
    no_log: bool = False,
    json: bool = False,
) -> int:
    """Serve a release folder (or one of the workspace's by its name) until SIGTERM (0) or Ctrl-C (KeyboardInterrupt).

    Its log is `workspace`, by default `MODELWRIGHT_HOME` or `.modelwright/` here; empty history is said in /readyz.
    `no_log`: there is none, and a release whose features read history is refused. `workers`: in so many processes, which
    this one starts again where they die.
    """
    root = workspace or home()
    folder = release if release.is_dir() else root / "releases" / release
    if not folder.is_dir():
        raise UsageError(f"{release} is no folder, nor a release in {root / 'releases'}; give a release folder")
    if no_log and workspace is not None:
        raise UsageError("--no-log keeps nothing, so there is no --workspace; give one of the two")
    if no_log and stream:
        raise UsageError(
            f"--stream needs a log: a message is acknowledged once its answer is safe; leave out --no-log (or {ENVIRONMENT})"
        )
    served = ServedRelease(
        release=str(folder.resolve()), workspace=str(root.resolve()), front=front, no_log=no_log, stream=stream
    )
    system = read_manifest(folder).system
    # What cannot be served takes no port and begins no state folder.
    opened = open_release(folder) if workers == 1 else None
    with ExitStack() as held:
        sockets = held.enter_context(listening(host, port, front.grpc_port, workers))
        if not no_log:
            held.enter_context(Workspace(root).exclusive("run"))

        def say_ready() -> None:
            _say_ready(folder.name, system, front, sockets[0], json=json)

        if opened is not None:
            serve_release(served, sockets[0], ready=say_ready, opened=opened)
        else:
            _keep_serving(served, sockets, say_ready)
    return 0


def _keep_serving(served: ServedRelease, sockets: Sequence[Sockets], say_ready: Callable[[], None]) -> None:
    """Start a process for each place on the port and keep them running until SIGTERM, or KeyboardInterrupt."""
    from modelwright.app.workers import Workers

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    workers = Workers(served, sockets)
    try:
        for start in (workers.start_first, workers.start):
            start()
            until = time.monotonic() + START_S
            while not workers.are_ready() and not stop.wait(LOOK_S / 5):
                if workers.exit_code() is not None:
                    raise UnavailableError("a serving process cannot begin; its own message is above")
                if time.monotonic() > until:
                    raise UnavailableError(f"the serving processes did not begin within {START_S:.0f} s")
        if not stop.is_set():
            say_ready()
        while not stop.wait(LOOK_S):
            for said in workers.keep():
                print(f"modelwright: {said}", file=sys.stderr, flush=True)
            if not workers.running:
                raise UnavailableError("no serving process stays alive; their own messages are above")
    finally:
        workers.stop()


def serve_release(
    served: ServedRelease,
    sockets: Sockets,
    place: Place | None = None,
    *,
    ready: Callable[[], None] = lambda: None,
    opened: Release | None = None,
) -> None:
    """Serve in this process, which is alone or one of several, until it is told to end."""
    release = opened or open_release(Path(served.release))
    if served.no_log:
        _serve_without_log(release, served, sockets, place, ready)
    else:
        _serve_with_log(release, served, sockets, place, ready)


def _app(
    plane: Plane,
    release: Release,
    served: ServedRelease,
    place: Place | None,
    notes: list[str],
    explainer: ExplainerProcess,
) -> HttpApp:
    front, name = served.front, release.manifest.system
    return HttpApp(
        plane, name, notes=notes, dialects=protocols_of(plane, name, explainer, logged=not served.no_log),
        aliases=front.aliases, limits=front.limits, batching=front.batching, most_connections=most_connections(),
        access=access_of(Workspace(Path(served.workspace)).keys, place), request_log=front.request_log(name),
        siblings=siblings_of(place),
    )  # fmt: skip


def _with_parent(place: Place | None) -> list[Callable[..., Any]]:
    return [] if place is None else [stop_with_parent]


def _serve_without_log(
    release: Release, served: ServedRelease, sockets: Sockets, place: Place | None, ready: Callable[[], None]
) -> None:
    plane = StatelessPlane(release, SystemClock())
    explainer = ExplainerProcess(ExplainerConfig(releases=served.release))
    app = _app(plane, release, served, place, [NO_LOG_NOTE], explainer)
    serve_sockets(app, sockets, [*_with_parent(place), explainer.serve_until_stopped], served.front, ready=ready)


def _serve_with_log(
    release: Release, served: ServedRelease, sockets: Sockets, place: Place | None, ready: Callable[[], None]
) -> None:
    with log_of(release, Workspace(Path(served.workspace))) as log:
        plane, notes = plane_of(release, log)
        explainer = ExplainerProcess(ExplainerConfig(releases=served.release, workspace=served.workspace))
        app = _app(plane, release, served, place, notes, explainer)

        async def drain(server: Any) -> None:
            await keep_draining(log)

        first = place is None or place.slot == 0  # one sees to the draining
        background: list[Callable[..., Any]] = [*([drain] if first else []), *_with_parent(place)]
        background += [explainer.serve_until_stopped, *streaming(served.stream, app, plane, place)]
        serve_sockets(app, sockets, background, served.front, ready=ready)


def log_of(release: Release, workspace: Workspace) -> "Log":
    """A log of a release's declaration, begun where there is none."""
    from modelwright.lake.log import Log
    from modelwright.lake.rows import LogSchema

    label = release.manifest.label
    schema = LogSchema(release.contract, label.name, label.kind, release.manifest.others)
    return Log.open(workspace, schema, SystemClock())


def plane_of(release: Release, log: "Log") -> tuple["Dataplane", list[str]]:
    """A data plane on which one release is live for good, and what /readyz notes of it."""
    from modelwright.serving.dataplane import Dataplane

    plane = Dataplane(log, release.contract, release.manifest.label, log.clock)
    plane.swap(plane.prepare(release), None, None)
    return plane, [] if log.counts()["events"] or not release.manifest.views else ["began with empty history"]


async def keep_draining(log: "Log") -> None:
    """Have what the log has buffered moved into its tables now and then, where the tables' library is installed."""
    while importlib.util.find_spec("deltalake") is not None:
        await asyncio.sleep(DRAIN_EVERY_S)
        if log.buffered() >= DRAIN_ROWS:
            await asyncio.to_thread(drain_beside, log)


def _say_ready(release: str, system: str, front: Front, sockets: Sockets, *, json: bool) -> None:
    address, grpc = front.address(sockets.http), sockets.grpc_address
    if json:
        said = {"release": release, "address": address, **({"grpc": grpc} if grpc else {})}
        print(msgspec.json.encode(said).decode(), flush=True)
    else:
        more = f"  ·  gRPC at {grpc}" if grpc else ""
        print(f"{release} ({system}) at {address}  ·  POST /predict{more}", file=sys.stderr, flush=True)
