"""`modelwright serve`: a release folder, served alone: no training, no loop, nothing of either installed."""

import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from modelwright.app.server import listen, serve_socket
from modelwright.core.clock import SystemClock
from modelwright.core.errors import ModelwrightError, UsageError
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import open_release
from modelwright.serving.dataplane import Dataplane
from modelwright.serving.http import HttpApp
from modelwright.serving.inference_protocol import InferenceProtocol

DRAIN_EVERY_S = 5.0
DRAIN_ROWS = 5_000


def serve(release: Path, workspace: Path | None, host: str, port: int, *, json: bool = False) -> int:
    """Serve a release folder (or one of the workspace's by its name) until SIGTERM (0) or Ctrl-C (KeyboardInterrupt).

    Its log is `workspace`, by default `MODELWRIGHT_HOME` or `.modelwright/` here; empty history is said in /readyz.
    """
    root = workspace or Path(os.environ.get("MODELWRIGHT_HOME") or ".modelwright")
    space = Workspace(root)
    folder = release if release.is_dir() else space.releases / release
    if not folder.is_dir():
        raise UsageError(f"{release} is no folder, nor a release in {space.releases}; give a release folder")
    opened = open_release(folder)
    label = opened.manifest.label
    schema = LogSchema(opened.contract, label.name, label.kind, opened.manifest.others)
    with listen(host, port) as sock, space.exclusive("run"), Log.open(space, schema, SystemClock()) as log:
        plane = Dataplane(log, opened.contract, label, log.clock)
        plane.swap(plane.prepare(opened), None, None)
        notes = [] if log.counts()["events"] or not opened.manifest.views else ["began with empty history"]
        name = opened.manifest.system
        app = HttpApp(plane, name, notes=notes, dialects=[InferenceProtocol(plane, name)])

        async def drain(server: Any) -> None:
            while importlib.util.find_spec("deltalake") is not None:
                await asyncio.sleep(DRAIN_EVERY_S)
                try:
                    await asyncio.to_thread(log.drain, at_least=DRAIN_ROWS)
                except ModelwrightError as error:  # what is not drained stays safe in the buffer
                    print(f"modelwright: {error}", file=sys.stderr, flush=True)

        def ready() -> None:
            address = f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"
            if json:
                print(msgspec.json.encode({"release": opened.name, "address": address}).decode(), flush=True)
            else:
                print(
                    f"{opened.name} ({opened.manifest.system}) at {address}  ·  POST /predict",
                    file=sys.stderr,
                    flush=True,
                )

        serve_socket(app, sock, [drain], ready=ready)
    return 0
