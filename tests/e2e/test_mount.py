"""`app.mount("/ml", mw.asgi("system.py"))` in a real FastAPI application under uvicorn."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest

import modelwright as mw
from modelwright.app.wiring import open_log
from modelwright.core.errors import ReleaseError, UsageError
from modelwright.lake.workspace import Workspace
from modelwright.testing.ports import free_port

MAIN = """\
from pathlib import Path

from fastapi import FastAPI

import modelwright as mw

ml = mw.asgi({source!r}{more})
app = FastAPI()


@app.get("/own")
def own() -> dict[str, str]:
    return {{"whose": "theirs"}}


app.mount("/ml", ml)
"""


class Theirs:
    """Their application under uvicorn; a context manager."""

    def __init__(self, folder: Path, home: Path, app: str = "app", options: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", f"main:{app}", "--port", str(self.port), "--log-level", "warning", *options],
            cwd=folder, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "MODELWRIGHT_HOME": str(home), "PYTHONWARNINGS": "default"},
        )  # fmt: skip

    def __enter__(self) -> Self:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                assert self.process.poll() is None, self.process.communicate()
                time.sleep(0.05)
        raise AssertionError("their server did not begin")

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        _, messages = self.process.communicate(timeout=60)
        return self.process.returncode, messages

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            said = answer.read()
            is_json = "json" in (answer.getheader("content-type") or "")
            return answer.status, json.loads(said) if is_json else said.decode()
        finally:
            connection.close()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Theirs]]:
    with ExitStack() as stack:

        def start(source: Path, home: Path, more: str = "", **how: Any) -> Theirs:
            (tmp_path / "main.py").write_text(MAIN.format(source=str(source), more=more))
            return stack.enter_context(Theirs(tmp_path, home, **how))

        yield start


def test_a_mounted_system_serves_its_champion_from_its_log(
    card_numbers: Any, mounted: Any, payment: Any, tmp_path: Path
) -> None:
    state = shutil.copytree(card_numbers.home, tmp_path / "state")
    theirs = mounted(card_numbers.file, state)
    status, ready = theirs.ask("GET", "/ml/readyz")
    assert (status, ready["release"], ready["events"]) == (200, card_numbers.release.name, 500)
    status, answer = theirs.ask("POST", "/ml/predict", payment("q1"))
    assert (status, answer["id"], answer["release"]) == (200, "q1", card_numbers.release.name)
    assert theirs.ask("POST", "/ml/predict", payment("q1")) == (200, answer)
    assert theirs.ask("POST", "/ml/predict", payment("q1", amount=99.0))[0] == 409
    assert theirs.ask("POST", "/ml/outcomes", {"id": "q1", "outcome": True})[0] == 200
    assert theirs.ask("GET", "/ml/v2/health/ready")[0] == 200
    assert theirs.ask("GET", "/ml/nothing")[0] == 404
    assert theirs.ask("GET", "/ml/docs")[0] == 200
    assert theirs.ask("GET", "/ml/openapi.json")[1]["servers"] == [{"url": "/ml"}]
    assert 'modelwright_responses_total{route="/predict",status="200"} 2' in theirs.ask("GET", "/ml/metrics")[1]
    assert theirs.ask("GET", "/own") == (200, {"whose": "theirs"})
    assert theirs.end() in ((0, ""), (-signal.SIGTERM, ""))  # as uvicorn has it
    with open_log(mw.load(card_numbers.file), Workspace(state), readonly=True) as log:
        assert log.counts() == {"events": 501, "predictions": 1, "outcomes": 501}


def test_several_of_their_processes_are_one_server(
    card_numbers: Any, mounted: Any, payment: Any, tmp_path: Path
) -> None:
    state = shutil.copytree(card_numbers.home, tmp_path / "state")
    theirs = mounted(card_numbers.file, state, options=("--workers", "2"))
    said = [theirs.ask("POST", "/ml/predict", payment("same")) for _ in range(20)]
    assert said[0][0] == 200
    assert all(one == said[0] for one in said)
    theirs.end()
    with open_log(mw.load(card_numbers.file), Workspace(state), readonly=True) as log:
        assert log.counts()["predictions"] == 1


def test_what_is_not_trained_yet_is_served_once_it_is(
    card_numbers: Any, mounted: Any, payment: Any, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    theirs = mounted(card_numbers.file, state)
    status, problem = theirs.ask("POST", "/ml/predict", payment("q1"))
    assert (status, problem["status"]) == (503, 503)
    assert "no release is live yet" in problem["detail"]
    assert str(tmp_path) not in problem["detail"]
    assert theirs.ask("GET", "/own")[0] == 200
    assert not state.exists()
    shutil.copytree(card_numbers.home, tmp_path / "made")
    (tmp_path / "made").rename(state)
    until = time.monotonic() + 60
    while (said := theirs.ask("POST", "/ml/predict", payment("q1")))[0] == 503:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert said[0] == 200
    _, messages = theirs.end()
    assert re.fullmatch(r"modelwright: .*no release is live yet; `modelwright run` or `train` makes one\n", messages)


@pytest.mark.parametrize("app", ["app", "ml"])
def test_a_release_folder_without_a_log(plain_cards: Any, mounted: Any, payment: Any, tmp_path: Path, app: str) -> None:
    theirs = mounted(plain_cards.release, tmp_path / "state", ", log=False", app=app)
    root = "/ml" if app == "app" else ""  # or it is the whole application, and is told when it starts and ends
    status, answer = theirs.ask("POST", f"{root}/predict", payment("q1"))
    assert (status, answer["release"]) == (200, plain_cards.release.name)
    assert theirs.ask("POST", f"{root}/events", payment("q1"))[0] == 404
    assert theirs.end()[1] == ""
    assert not (tmp_path / "state").exists()


def test_what_can_never_be_served_is_said_where_it_is_written(card_numbers: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a system file nor a release folder"):
        mw.asgi(tmp_path / "nowhere.py")
    with pytest.raises(UsageError, match="log=False is of a release folder"):
        mw.asgi(card_numbers.file, log=False)
    with pytest.raises(ReleaseError, match="is no release"):
        mw.asgi(tmp_path)
