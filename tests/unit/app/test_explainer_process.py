"""How long the process that explains is waited for. That it explains is tested end to end."""

import asyncio

import msgspec
import pytest

from modelwright.app import explainer_process
from modelwright.app.explainer_process import HEAD, ExplainerConfig, ExplainerProcess, Question, Reply
from modelwright.serving.problems import HttpError


class Child:
    """A process that takes its time with the first question of a release, which it has to open, and is silent on `never`."""

    def __init__(self, opening_s):
        self.returncode = None
        self.stdin = self
        self.stdout = asyncio.StreamReader()
        self._opening_s = opening_s
        self._opened = set()

    def write(self, data):
        question = msgspec.msgpack.decode(data[HEAD.size :], type=Question)
        said = msgspec.msgpack.encode(Reply(200, question.body))
        wait_s = 0 if question.release in self._opened else self._opening_s
        self._opened.add(question.release)
        if question.body != b"never":
            asyncio.get_running_loop().call_later(wait_s, self.stdout.feed_data, HEAD.pack(len(said)) + said)

    async def drain(self):
        pass

    def kill(self):
        self.returncode = -9


def test_a_release_may_take_as_long_to_open_as_the_process_to_start(monkeypatch):
    monkeypatch.setattr(explainer_process, "ANSWER_S", 0.1)
    children = []

    async def started(self):
        if self._process is None:
            self._process = Child(opening_s=0.5)
            children.append(self._process)
        return self._process

    monkeypatch.setattr(ExplainerProcess, "_started", started)

    async def asked():
        explainer = ExplainerProcess(ExplainerConfig(releases="x"))
        for release in ("r1", "r2"):
            assert (await explainer.ask(release, b"why"))[::2] == (200, b"why")
        with pytest.raises(HttpError, match="given up"):
            await explainer.ask("r1", b"never")
        assert (await explainer.ask("r1", b"why"))[0] == 200  # the next process opens it again

    asyncio.run(asked())
    assert [child.returncode for child in children] == [-9, None]
