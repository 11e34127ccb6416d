"""Explanations in a process of their own, as the server sees it: started when the first is asked for, kept from then on.

The server writes one frame a question and reads two back: an empty one when the release is open, then the answer. A frame is
a length and msgpack. The child is `app/explainer.py`. It explains one at a time; what waits is bounded, in number and in time,
and what takes too long is given up.
"""

import asyncio
import contextlib
import struct
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from modelwright.serving.dialect import Response
from modelwright.serving.limits import RETRY_S
from modelwright.serving.problems import HttpError

MOST_WAITING = 16
"""Questions that wait for their turn; beyond, 503."""
TURN_S = 30.0
"""How long a question waits for its turn; beyond, 503."""
START_S = 60.0
"""How long the child's start may take, and opening a release in it: libraries are imported, at a low priority."""
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
        self._waiting = 0

    async def ask(self, release: str, body: bytes) -> Response:
        """The answer to a question; HttpError 503 where too many wait, or it takes too long."""
        if self._waiting >= MOST_WAITING:
            raise _later(f"{MOST_WAITING} explanations are waiting already; try again later")
        self._waiting += 1
        try:
            try:
                async with asyncio.timeout(TURN_S):
                    await self._turn.acquire()
            except TimeoutError:
                raise _later(f"other explanations took more than {TURN_S:g} s; try again later") from None
            try:
                return await self._ask(Question(release, body))
            finally:
                self._turn.release()
        finally:
            self._waiting -= 1

    async def _ask(self, question: Question) -> Response:
        try:
            async with _at_most(START_S, "the process that explains was not ready"):
                process = await self._started()
            assert process.stdin is not None and process.stdout is not None
            async with _at_most(START_S, f"release {question.release} was not open"):
                data = msgspec.msgpack.encode(question)
                process.stdin.write(HEAD.pack(len(data)) + data)
                await process.stdin.drain()
                await _frame(process.stdout)
            async with _at_most(ANSWER_S, "the explanation was not there"):
                reply = msgspec.msgpack.decode(await _frame(process.stdout), type=Reply)
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
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def serve_until_stopped(self, server: Any) -> None:
        """End the child with its server."""
        try:
            await asyncio.Event().wait()
        finally:
            self.stop()


@contextlib.asynccontextmanager
async def _at_most(seconds: float, what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise _later(f"{what} after {seconds:g} s and was given up") from None


def _later(detail: str) -> HttpError:
    return HttpError(503, detail, ((b"retry-after", b"%d" % RETRY_S),))


async def _frame(stream: asyncio.StreamReader) -> bytes:
    (length,) = HEAD.unpack(await stream.readexactly(HEAD.size))
    return await stream.readexactly(length)
