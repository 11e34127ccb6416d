"""From a stream's messages to the data plane and back: one operation (predictions, events or outcomes), bodies as over HTTP.

Messages in flight are worked off in one commit with the HTTP requests in flight. A message is acknowledged only after its
rows are committed and its answer is with the broker, so it is answered at least once; its id makes it count once, with the
same answer. What can never be taken goes to the rejections, with the reason, and is acknowledged. What cannot be
kept now (no room, no release, no broker) is not: the stream is let go and opened again after a pause, and the broker
delivers again.

Knows no broker and decides nothing; HTTP goes on whatever happens here.
"""

import asyncio
import hashlib
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

import msgspec

from modelwright.core.errors import (
    ModelwrightError,
    UnavailableError,
    UnknownEventError,
    WorkspaceError,
    first_line,
)
from modelwright.serving.entries import EntryReader
from modelwright.serving.http import TELL_S, HttpApp
from modelwright.serving.limits import BODY_LIMIT
from modelwright.serving.plane import Plane
from modelwright.serving.problems import HttpError, Problem
from modelwright.serving.stream import Received, Sent, Stream

PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Between two openings of a stream, as long as nothing is settled."""
LATER_S = (0.1, 0.4, 1.5, 3.0)
"""What may go well a moment later is tried again after so long, each message by itself; then it is rejected."""
QUOTED = 100_000
"""Characters of a message that its rejection quotes."""


class Rejection(Problem):
    """Problem JSON, with the message that it is about (its first part, where it is long)."""

    message: str = ""


class _Held(msgspec.Struct, gc=False):
    """A message in flight: the ids of its entries, whether they came as a list, and what became of it."""

    message: Received
    ids: list[str]
    many: bool
    result: Any = None


class Consumer:
    """The one consumer of a stream. `in_flight` bounds the messages received and not settled."""

    def __init__(self, stream: Stream, app: HttpApp, plane: Plane, operation: str, in_flight: int) -> None:
        self._stream = stream
        self._app = app
        self._plane = plane
        self._operation = operation
        self._answers = operation == "predict"
        self._reader = EntryReader(plane.operations[operation])
        self._most = in_flight
        self._encode = msgspec.json.Encoder().encode
        self._room = asyncio.Event()
        self._in_flight = 0
        self._settled = False
        self._told = -TELL_S
        counters = plane.counters
        for counts in (counters.stream_received, counters.stream_redelivered, counters.stream_answered,
                       counters.stream_rejected, counters.stream_in_flight, counters.stream_connected):  # fmt: skip
            counts[operation] = 0

    async def run(self) -> None:
        """Consume for ever; ends by being cancelled, and what is then in flight is delivered again."""
        failed = 0
        while True:
            while self._answers and self._plane.champion is None:
                await asyncio.sleep(PAUSES_S[0])  # the broker keeps them
            self._settled = False
            try:
                await self._stream.open()
                self._plane.counters.stream_connected[self._operation] = 1
                await self._flow()
            except Exception as error:
                self._tell(error)
            finally:
                self._plane.counters.stream_connected[self._operation] = 0
                self._fly(-self._in_flight)
                await self._stream.close()
            failed = 0 if self._settled else failed + 1
            await asyncio.sleep(PAUSES_S[min(failed, len(PAUSES_S) - 1)])

    async def _flow(self) -> None:
        """Take and settle side by side until one of them meets trouble."""
        batches: asyncio.Queue[list[asyncio.Future[_Held]]] = asyncio.Queue()
        tasks = [asyncio.create_task(self._take(batches)), asyncio.create_task(self._settle(batches))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, batches: "asyncio.Queue[list[asyncio.Future[_Held]]]") -> None:
        counters = self._plane.counters
        while True:
            room = self._most - self._in_flight
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            # No more than half at a time: while one half is published the other is worked off.
            received = await self._stream.receive(min(room, -(-self._most // 2)))
            if received:
                self._add(counters.stream_received, len(received))
                self._add(counters.stream_redelivered, sum(message.again for message in received))
                self._fly(len(received))
                batches.put_nowait([self._hand_in(message) for message in received])

    def _hand_in(self, message: Received) -> "asyncio.Future[_Held]":
        """Into the batch of whatever else is in flight; done, with the message, once that is committed."""
        done: asyncio.Future[_Held] = asyncio.get_running_loop().create_future()
        held, began = _Held(message, [], False), time.perf_counter()
        try:
            if len(message.body) > BODY_LIMIT:
                raise HttpError(413, f"the message is larger than {BODY_LIMIT >> 20} MiB; send fewer entries at a time")
            entries, held.many = self._reader.decode(message.body, message.identity)
        except Exception as error:
            held.result = error
            done.set_result(held)
            return done
        held.ids = [entry.id for entry in entries]

        def worked(result: Any) -> None:
            held.result = result
            if not done.cancelled():
                done.set_result(held)

        self._app.in_flight.work_off((self._reader.kind, entries), worked, began)
        return done

    async def _settle(self, batches: "asyncio.Queue[list[asyncio.Future[_Held]]]") -> None:
        counters = self._plane.counters
        while True:
            batch = [await done for done in await batches.get()]
            batch = await self._insist(batch)
            trouble = next((held.result for held in batch if self._is_trouble(held.result)), None)
            settled = [held for held in batch if not self._is_trouble(held.result)]
            rejected = [self._rejection(held, held.result) for held in settled if isinstance(held.result, Exception)]
            answers = [self._answer(held) for held in settled if self._answers and isinstance(held.result, list)]
            rejected += [sent for sent in answers if sent.rejected]
            sent = [*(sent for sent in answers if not sent.rejected), *rejected]
            if sent:
                await self._stream.publish(sent)
            await self._stream.ack([held.message for held in settled])
            self._settled = self._settled or bool(settled)
            self._add(counters.stream_answered, len(settled) - len(rejected))
            self._add(counters.stream_rejected, len(rejected))
            self._fly(-len(batch))
            self._room.set()
            if trouble is not None:
                raise trouble

    def _is_trouble(self, result: Any) -> bool:
        """Whether it is ours, not the message's: it is not acknowledged."""
        return isinstance(result, WorkspaceError) or (
            isinstance(result, UnavailableError) and self._plane.champion is None
        )

    async def _insist(self, batch: list[_Held]) -> list[_Held]:
        """What may go well a moment later, by itself: an outcome that overtook its event, what nobody expected."""
        for pause_s in LATER_S:
            if not any(_may_pass(held.result) for held in batch):
                break
            await asyncio.sleep(pause_s)
            batch = [await self._hand_in(held.message) if _may_pass(held.result) else held for held in batch]
        return batch

    def _answer(self, held: _Held) -> Sent:
        body = self._encode(held.result if held.many else held.result[0])
        if len(body) > self._stream.largest:
            error = HttpError(
                413,
                f"the answer has {len(body):,} bytes and the broker takes {self._stream.largest:,}; it is in the log; send "
                "fewer entries in a message",
            )
            return self._rejection(held, error)
        id = hashlib.sha256("\n".join(held.ids).encode()).hexdigest() if held.many else held.ids[0]
        return Sent(body, id, held.message)

    def _rejection(self, held: _Held, error: Exception) -> Sent:
        problem = self._app.told_problem(error)[0]
        room = max(min(QUOTED, self._stream.largest // 8), 0)  # JSON may need six bytes for a character
        rejection = Rejection(
            problem.title, problem.status, problem.detail, problem.field,
            message=held.message.body[: 4 * room].decode(errors="replace")[:room],
        )  # fmt: skip
        return Sent(self._encode(rejection), held.message.identity, held.message, rejected=True)

    def _add(self, counts: dict[str, int], more: int) -> None:
        counts[self._operation] += more

    def _fly(self, more: int) -> None:
        self._in_flight += more
        self._plane.counters.stream_in_flight[self._operation] = self._in_flight

    def _tell(self, error: Exception) -> None:
        """On standard error: once a minute, not with every attempt, unless it went well in between."""
        now = time.monotonic()
        if not self._settled and now - self._told < TELL_S:
            return
        self._told = now
        if not isinstance(error, ModelwrightError):
            traceback.print_exception(error, file=sys.stderr)
        message = str(error) if isinstance(error, ModelwrightError) else first_line(error)
        sys.stderr.write(f"modelwright: {self._stream.name}: {message}; trying again\n")
        sys.stderr.flush()


def _may_pass(result: Any) -> bool:
    return isinstance(result, UnknownEventError) or (
        isinstance(result, Exception) and not isinstance(result, (ModelwrightError, HttpError))
    )


async def consume(consumers: Sequence[Consumer]) -> None:
    """Run them until cancelled; what ends one by a mistake of ours is raised."""
    async with asyncio.TaskGroup() as group:
        for consumer in consumers:
            group.create_task(consumer.run())
