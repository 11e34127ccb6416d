"""Serving inside somebody else's application: `app.mount("/ml", mw.asgi("system.py"))`.

An ASGI application over the same data planes as `serve` and `run`. A system's champion is followed as the journal's pointer
moves, from the system's own log, also beside a `modelwright run` and in several processes at once: the log is what they share.
A mounted application is told neither when its server starts nor when it ends, so this one opens with the first request, in a
thread, and closes when the event loop does. It never trains and decides nothing but a roll-back.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from modelwright.app.commands.serve import NO_LOG_NOTE, home, keep_draining, log_of, plane_of
from modelwright.app.explainer_process import ExplainerConfig, ExplainerProcess
from modelwright.app.protocols import protocols_of
from modelwright.app.server import KEYS_S, Follower, access_of, following_plane
from modelwright.app.wiring import workspace_beside
from modelwright.core.clock import SystemClock
from modelwright.core.errors import ModelwrightError, UnavailableError, UsageError
from modelwright.lake.journal import Journal
from modelwright.lake.log import Log
from modelwright.lake.store import open_store
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import open_release, read_manifest
from modelwright.serving.body import Receive, Scope
from modelwright.serving.http import HttpApp, Send
from modelwright.serving.limits import RETRY_S
from modelwright.serving.plane import Plane
from modelwright.serving.problems import PROBLEM, problem_of
from modelwright.serving.stateless import StatelessPlane


class _Opened(NamedTuple):
    """What a mounted application answers with, and what goes on beside its answers."""

    app: HttpApp
    beside: list[Callable[[], Awaitable[None]]]
    close: Callable[[], None]


def mounted(source: str | Path, *, log: bool) -> "MountedApp":
    """What `mw.asgi` gives."""
    path = Path(source).resolve()
    if path.is_dir():
        read_manifest(path)  # what is no release is said where it is written
        return MountedApp((lambda: _release_with_log(path)) if log else (lambda: _release_without_log(path)))
    if not path.is_file():
        raise UsageError(f"{source} is neither a system file nor a release folder; give one that is there")
    if not log:
        raise UsageError(f"log=False is of a release folder, and {source} is a file; give .modelwright/releases/NAME")
    return MountedApp(lambda: _champion(workspace_beside(path)))


class MountedApp:
    """The ASGI application. State: what is open, owned by a task of the event loop that asked first."""

    def __init__(self, open: Callable[[], Awaitable[_Opened]]) -> None:
        self._open = open
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: asyncio.Future[HttpApp] | None = None
        self._task: asyncio.Task[None] | None = None
        self._said = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; or the life of a server that serves nothing else."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
            return
        try:
            app = await self._ready()
        except ModelwrightError as error:
            await self._refuse(error, send)
            return
        app.root = scope.get("root_path", "")
        await app({**scope, "path": below(scope)}, receive, send)

    async def _ready(self) -> HttpApp:
        loop = asyncio.get_running_loop()
        if self._opened is None or self._loop is not loop:
            self._loop = loop
            self._opened = loop.create_future()
            self._task = loop.create_task(self._keep(self._opened))
        return await asyncio.shield(self._opened)

    async def _keep(self, opened: "asyncio.Future[HttpApp]") -> None:
        """Open, do what goes on beside the answers until the loop ends, close."""
        try:
            found = await self._open()
        except ModelwrightError as error:
            if str(error) != self._said:
                self._said = str(error)
                print(f"modelwright: {error}", file=sys.stderr, flush=True)
            opened.set_exception(error)
            opened.exception()  # nobody may be left to hear it
            await asyncio.sleep(RETRY_S)
            self._opened = None
            return
        try:
            opened.set_result(found.app)
            await asyncio.gather(*(one() for one in found.beside))
        finally:
            self._opened = None
            found.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        """A server of its own says when it starts and ends."""
        while True:
            said = (await receive())["type"]
            if said == "lifespan.startup":
                try:
                    await self._ready()
                except ModelwrightError:  # said already; requests are told
                    pass
            elif self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
            await send({"type": f"{said}.complete"})
            if said == "lifespan.shutdown":
                return

    @staticmethod
    async def _refuse(error: ModelwrightError, send: Send) -> None:
        said = "no release is live yet" if isinstance(error, UnavailableError) else "nothing can be served"
        problem = problem_of(UnavailableError(f"{said}; the server's own messages say more"))
        headers = [*PROBLEM, (b"retry-after", b"%d" % RETRY_S)]
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": msgspec.json.encode(problem)})


def below(scope: Scope) -> str:
    """The path of a request below where the application is mounted.

    >>> below({"root_path": "/ml", "path": "/ml/predict"}), below({"root_path": "/ml", "path": "/predict"}), below({"path": "/x"})
    ('/predict', '/predict', '/x')
    """
    root, path = scope.get("root_path", ""), scope["path"]
    if root and (path == root or path.startswith(f"{root}/")):  # as ASGI has it; some servers leave the root out
        return path[len(root) :] or "/"
    return str(path)


async def _champion(workspace: Workspace) -> _Opened:
    """A system's champion over its log, followed."""

    def begin() -> Log:
        nothing = UnavailableError(f"{workspace.root}: no release is live yet; `modelwright run` or `train` makes one")
        if not (workspace.log / "data.mdb").exists():
            raise nothing
        store = open_store(workspace.log)
        try:
            name = Journal(store, readonly=True).pointer().champion
        finally:
            store.close()
        if name is None:
            raise nothing
        return log_of(open_release(workspace.releases / name), workspace)

    log = await asyncio.to_thread(begin)
    try:
        name = log.journal.pointer().champion
        assert name is not None
        manifest = read_manifest(workspace.releases / name)
        plane = following_plane(log, log.schema.contract, manifest.label)
        follower = Follower(plane, workspace.releases)
        await follower.look()
        explainer = _explainer(workspace.releases, workspace)
        app = _app(plane, manifest.system, workspace, [], explainer)
    except BaseException:
        log.close()
        raise
    return _Opened(
        app, [follower.follow, lambda: _follow_keys(app), lambda: keep_draining(log)], _closing(explainer, log)
    )


async def _release_with_log(folder: Path) -> _Opened:
    """One release over a log of its own."""
    workspace = Workspace(home())
    release = await asyncio.to_thread(open_release, folder)
    log = await asyncio.to_thread(log_of, release, workspace)
    try:
        plane, notes = plane_of(release, log)
        explainer = _explainer(folder, workspace)
        app = _app(plane, release.manifest.system, workspace, notes, explainer)
    except BaseException:
        log.close()
        raise
    return _Opened(app, [lambda: _follow_keys(app), lambda: keep_draining(log)], _closing(explainer, log))


async def _release_without_log(folder: Path) -> _Opened:
    """One release, which remembers nothing."""
    release = await asyncio.to_thread(open_release, folder)
    plane = StatelessPlane(release, SystemClock())
    explainer = _explainer(folder, None)
    app = _app(plane, release.manifest.system, Workspace(home()), [NO_LOG_NOTE], explainer, logged=False)
    return _Opened(app, [lambda: _follow_keys(app)], explainer.stop)


def _explainer(releases: Path, workspace: Workspace | None) -> ExplainerProcess:
    root = "" if workspace is None else str(workspace.root.absolute())
    return ExplainerProcess(ExplainerConfig(releases=str(releases.absolute()), workspace=root))


def _closing(explainer: ExplainerProcess, log: Log) -> Callable[[], None]:
    """What ends both."""

    def close() -> None:
        explainer.stop()
        log.close()

    return close


def _app(
    plane: Plane, name: str, workspace: Workspace, notes: list[str], explainer: ExplainerProcess, *, logged: bool = True
) -> HttpApp:
    protocols = protocols_of(plane, name, explainer, logged=logged)
    return HttpApp(plane, name, notes=notes, dialects=protocols, access=access_of(workspace.keys, None))


async def _follow_keys(app: HttpApp) -> None:
    while True:
        await asyncio.sleep(KEYS_S)
        app.access.look()
