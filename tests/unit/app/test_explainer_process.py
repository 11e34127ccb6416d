"""How long a question to the process that explains may take, and what is said beyond, with a child that is as slow as told."""

import asyncio
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwright.app import explainer_process
from modelwright.app.explainer_process import ExplainerConfig, ExplainerProcess
from modelwright.serving.problems import HttpError

CHILD = """#!{python}
import pathlib, sys, time
from modelwright.app.explainer_process import HEAD, Reply
import msgspec

def say(data):
    sys.stdout.buffer.write(HEAD.pack(len(data)) + data)
    sys.stdout.buffer.flush()

folder = pathlib.Path({folder!r})
with (folder / "starts").open("a") as starts:
    starts.write("x")
say(b"")
while head := sys.stdin.buffer.read(4):
    sys.stdin.buffer.read(*HEAD.unpack(head))
    time.sleep({opens})
    say(b"")
    time.sleep({answers})
    say(msgspec.msgpack.encode(Reply(200, b"explained")))
"""


class Watched(ExplainerProcess):
    """Keeps the children it started, so that a test can wait for their ends."""

    def __init__(self, config: ExplainerConfig) -> None:
        super().__init__(config)
        self.children: list[asyncio.subprocess.Process] = []

    async def _started(self) -> asyncio.subprocess.Process:
        child = await super()._started()
        self.children.append(child)
        return child


@pytest.fixture
def explainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """One whose child takes so many seconds to open a release and to explain, with the patience of so many."""

    def made(opens: float = 0, answers: float = 0, **patience: float) -> Watched:
        child = tmp_path / "child"
        child.write_text(CHILD.format(python=sys.executable, folder=str(tmp_path), opens=opens, answers=answers))
        child.chmod(child.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(explainer_process.sys, "executable", str(child))
        for name, seconds in patience.items():
            monkeypatch.setattr(explainer_process, name, seconds)
        return Watched(ExplainerConfig(releases=str(tmp_path)))

    return made


async def asked(process: Watched, times: int) -> list[tuple[int, str]]:
    """Status and text of questions asked at once."""
    try:
        found = await asyncio.gather(*(process.ask("r1", b"{}") for _ in range(times)), return_exceptions=True)
    finally:
        process.stop()
        for child in process.children:
            await child.wait()
    return [(one.status, str(one)) if isinstance(one, HttpError) else (one[0], one[2].decode()) for one in found]


def test_a_release_may_take_longer_to_open_than_an_explanation_may_take(explainer) -> None:
    assert asyncio.run(asked(explainer(opens=4, ANSWER_S=3), 1)) == [(200, "explained")]


def test_an_explanation_that_takes_too_long_is_given_up(explainer) -> None:
    assert asyncio.run(asked(explainer(answers=600, ANSWER_S=0.5), 1)) == [
        (503, "the explanation was not there after 0.5 s and was given up")
    ]


def test_a_release_that_does_not_open_is_given_up(explainer, tmp_path: Path) -> None:
    found = asyncio.run(asked(explainer(opens=600, START_S=5), 2))
    assert found == [(503, "release r1 was not open after 5 s and was given up")] * 2
    assert (tmp_path / "starts").read_text() == "xx"  # a child that hangs is not asked again


def test_a_question_waits_for_its_turn_so_long_and_then_hears_so(explainer) -> None:
    first, second = asyncio.run(asked(explainer(answers=600, TURN_S=0.5, ANSWER_S=3), 2))
    assert first == (503, "the explanation was not there after 3 s and was given up")
    assert second == (503, "other explanations took more than 0.5 s; try again later")
