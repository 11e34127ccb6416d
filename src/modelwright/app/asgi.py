"""`mw.asgi`: the name that an application's file uses. What is behind it, in `mount`, is loaded when it is called."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwright.app.mount import MountedApp


def asgi(source: str | Path, *, log: bool = True) -> "MountedApp":
    """An ASGI application that serves a system's champion, or one release.

    `source`: a system file, whose champion is served from its log and followed as it changes, or a release folder, whose log
    is `MODELWRIGHT_HOME` or `.modelwright/` here. `log=False`: answer and forget; of a release folder whose features read no
    history. All routes are below where it is mounted: `POST /ml/predict`, `GET /ml/readyz`, `GET /ml/docs`. Where there is
    nothing to serve yet, or it cannot be opened, requests are answered 503, the reason stands on standard error, and the next
    request tries again. API keys of the state folder count here too.

    Raises `UsageError` where there is no such file or folder.

        app = FastAPI()
        app.mount("/ml", mw.asgi("system.py"))
    """
    from modelwright.app.mount import mounted

    return mounted(source, log=log)
