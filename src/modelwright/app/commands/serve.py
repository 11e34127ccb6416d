"""`modelwright serve`: a release folder, served alone: no training, no loop, nothing of either installed."""

import asyncio
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from modelwright.app.server import Front, listen, serve_socket
from modelwright.core.clock import SystemClock
from modelwright.core.errors import ModelwrightError, UsageError
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import Release, open_release
from modelwright.serving.dialect import Dialect
from modelwright.serving.http import HttpApp
from modelwright.serving.keys import Access, KeyFile
from modelwright.serving.limits import most_connections
from modelwright.serving.plane import Plane
from modelwright.serving.stateless import StatelessPlane

DRAIN_EVERY_S = 5.0
DRAIN_ROWS = 5_000


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
    no_log: bool = False,
    json: bool = False,
) -> int:
    """Serve a release folder (or one of the workspace's by its name) until SIGTERM (0) or Ctrl-C (KeyboardInterrupt).

    Its log is `workspace`, by default `MODELWRIGHT_HOME` or `.modelwright/` here; empty history is said in /readyz.
    `no_log`: there is none, and a release whose features read history is refused.
    """
    root = workspace or home()
    folder = release if release.is_dir() else root / "releases" / release
    if not folder.is_dir():
        raise UsageError(f"{release} is no folder, nor a release in {root / 'releases'}; give a release folder")
    if no_log and workspace is not None:
        raise UsageError("--no-log keeps nothing, so there is no --workspace; give one of the two")
    opened = open_release(folder)
    if no_log:
        _serve_without_log(opened, root, host, port, front, json=json)
    else:
        _serve_with_log(opened, root, host, port, front, json=json)
    return 0


def _app(
    plane: Plane, release: Release, front: Front, keys: Path, notes: list[str], dialects: Sequence[Dialect] = ()
) -> HttpApp:
    return HttpApp(
        plane, release.manifest.system, notes=notes, dialects=dialects, limits=front.limits,
        most_connections=most_connections(), access=Access(KeyFile(keys)), request_log=front.request_log(),
    )  # fmt: skip


def _serve_without_log(release: Release, root: Path, host: str, port: int, front: Front, *, json: bool) -> None:
    plane = StatelessPlane(release, SystemClock())
    notes = ["keeps no log: nothing that is asked or answered is written"]
    app = _app(plane, release, front, Workspace(root).keys, notes)
    with listen(host, port) as sock:
        serve_socket(app, sock, [], front, ready=lambda: _say_ready(release, front.address(sock), json=json))


def _serve_with_log(release: Release, root: Path, host: str, port: int, front: Front, *, json: bool) -> None:
    from modelwright.lake.log import Log
    from modelwright.lake.rows import LogSchema
    from modelwright.serving.dataplane import Dataplane
    from modelwright.serving.inference_protocol import InferenceProtocol

    space = Workspace(root)
    label = release.manifest.label
    schema = LogSchema(release.contract, label.name, label.kind, release.manifest.others)
    with listen(host, port) as sock, space.exclusive("run"), Log.open(space, schema, SystemClock()) as log:
        plane = Dataplane(log, release.contract, label, log.clock)
        plane.swap(plane.prepare(release), None, None)
        notes = [] if log.counts()["events"] or not release.manifest.views else ["began with empty history"]
        dialects = [InferenceProtocol(plane, release.manifest.system)]
        app = _app(plane, release, front, space.keys, notes, dialects)

        async def drain(server: Any) -> None:
            while importlib.util.find_spec("deltalake") is not None:
                await asyncio.sleep(DRAIN_EVERY_S)
                try:
                    await asyncio.to_thread(log.drain, at_least=DRAIN_ROWS)
                except ModelwrightError as error:  # what is not drained stays safe in the buffer
                    print(f"modelwright: {error}", file=sys.stderr, flush=True)

        serve_socket(app, sock, [drain], front, ready=lambda: _say_ready(release, front.address(sock), json=json))


def _say_ready(release: Release, address: str, *, json: bool) -> None:
    if json:
        print(msgspec.json.encode({"release": release.name, "address": address}).decode(), flush=True)
    else:
        line = f"{release.name} ({release.manifest.system}) at {address}  ·  POST /predict"
        print(line, file=sys.stderr, flush=True)
