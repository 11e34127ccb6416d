"""Explanations in a process of their own, as the server sees it: started when the first is asked for, kept from then on.

The server writes one frame a question and reads one back; both are a length and msgpack. The child is `app/explainer.py`.
It explains one at a time; what waits is bounded, and what takes too long is given up.
"""

import asyncio
import contextlib
import struct
import sys
from typing import Any

import msgspec

from modelwright.serving.dialect import Response
from modelwright.serving.limits import RETRY_S
from modelwright.serving.problems import HttpError

MOST_WAITING = 16
"""Questions that wait for their turn; beyond, 503."""
START_S = 60.0
"""How long a start may take, where the kernel may have to be compiled, and the first answer of a release, which is opened."""
ANSWER_S = 20.0
"""How long one explanation may take; beyond, it is given up and the child started anew when it is needed next."""
HEAD = struct.Struct(">I")


class ExplainerConfig(msgspec.Struct, kw_only=True):
    """What a child is told. `releases`: the folder of releases, or a release itself. `workspace`: whose log, empty where
    there is none. `replay`: times may be ahead of the clock."""

    releases: str
    workspace: str = ""
    replay: bool = False


class Question(msgspec.Struct, array_like=True):
    """A body, and the release that explains it where it was not answered yet."""

    release: str
    body: bytes


class Reply(msgspec.Struct, array_like=True):
    """The status of the answer, and its body."""

    status: int
    body: bytes


class ExplainerProcess:
    """The child as the server sees it. One event loop owns it."""

    def __init__(self, config: ExplainerConfig) -> None:
        self._config = msgspec.json.encode(config).decode()
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._opened: set[str] = set()
        """Releases that the process has explained by: it holds them open."""
        self._waiting = 0

    async def ask(self, release: str, body: bytes) -> Response:
        """The answer to a question; HttpError 503 where too many wait, or it takes too long."""
        if self._waiting >= MOST_WAITING:
            raise _later(f"{MOST_WAITING} explanations are waiting already; try again later")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._ask(Question(release, body))
        finally:
            self._waiting -= 1

    async def _ask(self, question: Question) -> Response:
        try:
            async with asyncio.timeout(START_S):
                process = await self._started()
            async with asyncio.timeout(ANSWER_S if question.release in self._opened else START_S):
                assert process.stdin is not None and process.stdout is not None
                data = msgspec.msgpack.encode(question)
                process.stdin.write(HEAD.pack(len(data)) + data)
                await process.stdin.drain()
                reply = msgspec.msgpack.decode(await _frame(process.stdout), type=Reply)
            self._opened.add(question.release)
        except TimeoutError:
            self.stop()
            raise _later("the explanation was not there in time and was given up") from None
        except (OSError, EOFError):
            self.stop()
            raise _later("the process that explains has ended; it is started anew with the next question") from None
        except BaseException:  # what was asked would be read as the answer to the next question
            self.stop()
            raise
        kind = b"application/json" if reply.status == 200 else b"application/problem+json"
        return reply.status, ((b"content-type", kind),), reply.body

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._opened.clear()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "modelwright.app.explainer", self._config,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True, limit=1 << 24,
            )  # fmt: skip
            assert self._process.stdout is not None
            await _frame(self._process.stdout)  # it is ready
        return self._process

    def stop(self) -> None:
        """End the child now."""
        process, self._process = self._process, None
        self._opened.clear()
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def serve_until_stopped(self, server: Any) -> None:
        """End the child with its server."""
        try:
            await asyncio.Event().wait()
        finally:
            self.stop()


def _later(detail: str) -> HttpError:
    return HttpError(503, detail, ((b"retry-after", b"%d" % RETRY_S),))


async def _frame(stream: asyncio.StreamReader) -> bytes:
    (length,) = HEAD.unpack(await stream.readexactly(HEAD.size))
    return await stream.readexactly(length)
