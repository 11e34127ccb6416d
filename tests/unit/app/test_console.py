"""The console page: whole, self-contained, asking only its own server, and drawing what the server says."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.unit.app.browser import CHROMIUM, digest, dom

from modelwright.app.assets import read_asset
from modelwright.app.console import SCRIPTS, render_console

HOSTILE = "</script><img src=x onerror=alert(1)>"

DIGEST = digest(HOSTILE, seq=7)
STATE: dict[str, Any] = {
    "digests": dict.fromkeys(("1d", "7d", "30d"), DIGEST),
    "system": {"name": HOSTILE, "event": "HalfHour", "label": "up", "model": "m", "description": ""},
    "now": "1997-01-01T00:00:00Z",
    "mode": "replay",
    "phase": "shadow",
    "message": "Comparing two releases",
    "replay": {"from": "1996-11-14T00:00:00Z", "to": "1998-12-05T00:00:00Z", "done": 0.42},
    "metric": {"name": "accuracy", "higher_is_better": True},
    "counts": {"events": 100, "predictions": 90, "outcomes": 80},
    "requests_per_second": 812.3,
    "champion": {
        "release": "r1-a",
        "since": None,
        "runtime": "onnx",
        "live": 0.91,
        "n": 1200,
        "validation": 0.88,
        "estimate": {"value": 0.892, "low": 0.87, "high": 0.914, "rows": 700},
    },
    "challenger": {
        "release": "r2-b",
        "since": None,
        "pairs": 120,
        "needed": 240,
        "difference": 0.012,
        "lower": -0.004,
        "margin": 0.01,
    },
    "frozen": 0.8466,
    "self_running": 0.899,
    "series": {
        "at": ["1996-11-14T00:00:00Z", "1996-11-15T00:00:00Z"],
        "n": [10, 10],
        "self_running": [0.9, 0.91],
        "frozen": [0.8, 0.8],
        "baseline": [None, None],
    },
    "drift": {
        "columns": ["transfer", "period"],
        "psi": [0.4, 0.01],
        "missing": [0.0, 0.0],
        "unseen": [0.1, None],
        "importance": [0.2, 0.8],
        "threshold": 0.2,
        "false_alarm_every": "12d",
        "findings": [
            {
                "name": "transfer",
                "release": "r1-a",
                "importance": 0.2,
                "noticed": "1996-11-14T11:00:00Z",
                "since": "1996-11-14T09:00:00Z",
                "sure": "10,000 times likelier",
                "log10": 4.0,
                "size": 0.41,
                "change": HOSTILE,
            }
        ],
        "score_psi": 0.03,
    },
    "parity": {
        "at": "1996-11-14T12:00:00Z",
        "checked": 1440,
        "differ": {},
        "not_comparable": {},
        "summary": HOSTILE,
        "differed": 0,
    },
    "journal": [
        {
            "seq": 7,
            "at": "1996-11-14T12:00:00Z",
            "kind": "promoted",
            "release": "r1-a",
            "summary": HOSTILE,
            "evidence": {},
        }
    ],
    "journal_rows": 123,
}
EMPTY: dict[str, Any] = STATE | {
    "digests": {},
    "mode": "live",
    "phase": "starting",
    "replay": None,
    "champion": None,
    "challenger": None,
    "frozen": None,
    "self_running": None,
    "requests_per_second": None,
    "series": {"at": [], "n": [], "self_running": [], "frozen": [], "baseline": []},
    "drift": None,
    "parity": None,
    "journal": [],
    "journal_rows": 0,
}


class Ids(HTMLParser):
    """The ids of a page's elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name == "id" and value]


def test_the_page_is_bytes_and_always_the_same() -> None:
    assert render_console() == render_console()
    assert render_console().startswith(b"<!doctype html>")


def test_the_page_asks_nobody_but_its_own_server() -> None:
    page = render_console().decode()
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert re.findall(r"fetch\(([^,)]+)", page) == ['"console.json"']
    assert "connect-src 'self'" in page
    assert "'unsafe-inline'" not in page


def test_scripts_use_only_elements_that_exist() -> None:
    ids = Ids(render_console().decode()).found
    assert len(ids) == len(set(ids))
    source = "".join(read_asset(name) for name in SCRIPTS)
    used = set(re.findall(r'(?:getElementById|part|say)\("([\w-]+)"', source))
    assert len(used) > 15
    assert used <= set(ids)


def test_no_script_can_end_its_own_element() -> None:
    for name in SCRIPTS:
        assert "</script" not in read_asset(name)
        assert "innerHTML" not in read_asset(name)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_draws_what_the_server_says() -> None:
    with serving([STATE]) as address:
        drawn = dom(address, 800)
    assert 'data-link="up"' in drawn
    assert ">89.9<" in drawn
    assert ">+5.2<" in drawn
    assert 'class="meter cleared"' in drawn
    assert drawn.count('class="mark promoted"') == 1
    assert "The latest 1 of 123 rows" in drawn
    assert 'aria-valuenow="42"' in drawn
    assert ">Equal<" in drawn
    assert ">90.1% to 92.3%, 336 outcomes<" in drawn
    assert ">R2 waits for `modelwright approve`<" in drawn
    assert "and 3 before, in the journal" in drawn
    assert ">over 1,440 answers<" in drawn
    assert ">89.2% (87.0% to 91.4%), of 700 answers<" in drawn
    assert "<img" not in drawn


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(
    ("hours", "since", "shown"),
    [("0.1", "While you were away", "1d"), ("50", "Since you were here, ", "7d"), ("900", "", "30d")],
)
def test_a_browser_reaches_back_to_when_somebody_last_looked(hours: str, since: str, shown: str) -> None:
    digests = {span: DIGEST | {"headline": f"this is {span}"} for span in ("1d", "7d", "30d")}
    live = STATE | {"mode": "live", "digests": digests, "system": STATE["system"] | {"name": "away"}}
    with serving([live]) as address:
        drawn = dom(f"{address}looked/{hours}", 1500)
    assert f">this is {shown}<" in drawn
    assert since in drawn


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_what_has_drifted_and_columns_by_their_importance() -> None:
    with serving([STATE]) as address:
        drawn = dom(address, 800)
    assert re.search(
        r"transfer<small>20% of importance</small>.*14 Nov 1996, 09:00<small>noticed 14 Nov 1996, 11:00", drawn
    )
    assert ">index 0.41<" in drawn
    assert ">10,000 times likelier<" in drawn
    bars = drawn[drawn.index('id="drift-bars"') :]
    assert bars.index(">period<") < bars.index(">transfer<")
    assert bars.count('class="over"') == 1
    assert "trained on; at most one false alarm in 12d is to be expected. Its own scores" in drawn


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_says_where_nothing_has_drifted() -> None:
    with serving([STATE | {"drift": STATE["drift"] | {"findings": []}}]) as address:
        drawn = dom(address, 800)
    assert "No drift was noticed; at most one false alarm in 12d is to be expected." in drawn
    assert 'class="over"' not in drawn


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_draws_a_system_that_just_started() -> None:
    with serving([EMPTY]) as address:
        drawn = dom(address, 800)
    assert 'data-link="up"' in drawn
    assert "No release is live yet." in drawn
    assert "No decision yet." in drawn
    assert ">not checked yet<" in drawn


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(
    ("differ", "said"), [({"usual": 3}, "1 feature differs"), ({"a": 1, "b": 2}, "2 features differ")]
)
def test_a_browser_shows_that_served_features_differ(differ: dict[str, int], said: str) -> None:
    with serving([STATE | {"parity": STATE["parity"] | {"differ": differ}}]) as address:
        drawn = dom(address, 800)
    assert f">{said}<" in drawn
    assert 'class="wrong"' in drawn


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_page_keeps_its_figures_and_asks_again_while_the_server_is_away() -> None:
    with serving([STATE, None]) as address:
        drawn = dom(address, 3000)
    assert 'data-link="away"' in drawn
    assert "Server away" in drawn
    assert ">89.9<" in drawn
    with serving([STATE, None, STATE | {"self_running": 0.95}]) as address:
        drawn = dom(address, 5000)
    assert 'data-link="up"' in drawn
    assert ">95.0<" in drawn


LOOKED = """<script>
localStorage.setItem("modelwright.looked.away", String(Date.now() - HOURS * 3600000));
location = "/";
</script>"""


@contextmanager
def serving(answers: list[dict[str, Any] | None]) -> Iterator[str]:
    """A server of the page whose `console.json` gives one answer after the other, the last for ever; None is a 503."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self._answer(200, "text/html; charset=utf-8", render_console())
            elif self.path.startswith("/looked/"):  # as if this browser had shown the page so many hours ago
                self._answer(200, "text/html; charset=utf-8", LOOKED.replace("HOURS", self.path[8:]).encode())
            else:
                state = left.pop(0) if len(left) > 1 else left[0]
                self._answer(
                    503 if state is None else 200,
                    "application/json",
                    json.dumps({"status": 503} if state is None else state).encode(),
                )

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
