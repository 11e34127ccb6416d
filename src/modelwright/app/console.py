"""The live console: the page served at `/`, which draws what `GET /console.json` says once a second.

The page holds no data of its own and is the same for every system, so it is built once and answered from memory. It keeps
what it last knew on screen while the server is away. Never opens the workspace and never decides anything.
"""

from functools import cache
from typing import Final

from modelwright.app.assets import assemble, metrics

SCRIPTS: Final = (
    "format.js",
    "tip.js",
    "scale.js",
    "timeline.js",
    "crosshair.js",
    "lanes.js",
    "journal.js",
    "lookback.js",
    "table.js",
    "findings.js",
    "quality.js",
    "slices.js",
    "meter.js",
    "console.js",
)


@cache
def render_console() -> bytes:
    """The page, UTF-8: self-contained but for its one address, `console.json` beside it."""
    slots = {"title": "modelwright"}
    page = assemble("console.html", scripts=SCRIPTS, data={"metrics": metrics()}, slots=slots, connect="'self'")
    return page.encode()
