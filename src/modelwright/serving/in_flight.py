"""What is in flight in one worker, worked off together: one durable commit serves many requests.

Every transport puts its jobs here, and the batch runs once the event loop has read everything that was there. Knows no
transport; decides nothing but when a batch is closed.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, get_args

from modelwright.core.errors import NoRoomError
from modelwright.serving.batching import Arrivals, Batching, Closed
from modelwright.serving.exposition import stage_seconds
from modelwright.serving.plane import Plane
from modelwright.serving.request_log import Traced

Done = Callable[[Any], None]
"""Told what became of a job: its answers, or the error."""


class _Job(NamedTuple):
    """What a plane is given to do, who is told what came of it, since when it waits, and how long it took to decode."""

    work: tuple[str, list[Any]]
    done: Done
    since: float
    decode_s: float


class InFlight:
    """The jobs of one worker between their arrival and their answers. `closed` counts batches by why they were closed."""

    def __init__(self, plane: Plane, batching: Batching) -> None:
        self._plane = plane
        self._batching = batching
        self._batch: list[_Job] = []
        self._rows = 0
        self._arrivals = Arrivals()
        self._waits: asyncio.TimerHandle | None = None
        self._worked_from = 0.0
        self.closed: dict[Closed, int] = dict.fromkeys(get_args(Closed), 0)
        self.stages = stage_seconds()

    def work_off(self, work: tuple[str, list[Any]], done: Done, began: float, traced: Traced | None = None) -> None:
        """Work a job off with whatever else is in flight, whoever brought it; `done` is called once, in a later turn, with its
        answers or the error. It was decoded since `began`, by `perf_counter`."""
        now = time.perf_counter()
        if traced is not None:
            traced.staged, traced.stages = began, [("decode", now)]
            done = partial(self._worked_off, done, traced)
        if not self._batch:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._gather, loop, 0)
        self._batch.append(_Job(work, done, now, now - began))
        if self._batching.wait_s:
            self._arrivals.note(now)
            self._rows += len(work[1])
            if self._waits is not None and self._rows >= self._batching.rows:
                self._waits.cancel()
                self._flush("full")

    def _worked_off(self, done: Done, traced: Traced, result: Any) -> None:
        traced.stages = [*traced.stages, ("wait", self._worked_from), *self._plane.stages.marks]
        done(result)

    def _gather(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        """Work the batch off once a whole turn of the loop has brought nothing more: fewer commits, each for more. Where it
        may wait, it then does, if the wait is likely to bring something."""
        batching = self._batching
        if len(self._batch) > seen:
            loop.call_soon(self._gather, loop, len(self._batch))
        elif not batching.wait_s:
            self._flush("idle")
        elif self._rows >= batching.rows:
            self._flush("full")
        else:
            now = time.perf_counter()
            left_s = self._batch[0].since + batching.wait_s - now
            if left_s <= 0:
                self._flush("waited")
            elif self._arrivals.expected(now, left_s):
                self._waits = loop.call_later(left_s, self._flush, "waited")
            else:
                self._flush("idle")

    def _flush(self, closed: Closed) -> None:
        batch, self._batch, self._rows, self._waits = self._batch, [], 0, None
        self.closed[closed] += 1
        self._worked_from = time.perf_counter()
        results = self._worked([job.work for job in batch])
        self._note_stages(batch)
        for job, result in zip(batch, results, strict=True):
            job.done(result)
        if self._plane.shadow_waiting:
            asyncio.get_running_loop().call_later(0.002, self._score_shadow)

    def _note_stages(self, batch: list[_Job]) -> None:
        observe, last = self.stages.observe, self._worked_from
        self.stages.observe_each("decode", [job.decode_s for job in batch])
        self.stages.observe_each("wait", [last - job.since for job in batch])
        for stage, ended in self._plane.stages.marks:
            observe(stage, ended - last, len(batch))
            last = ended

    def _worked(self, jobs: list[tuple[str, list[Any]]]) -> list[Any]:
        try:
            return self._plane.work(jobs)
        except NoRoomError as error:
            if len(jobs) == 1:
                return [error]
            # Each by itself: what is stored is answered though there is no room for what is new.
            return [result for job in jobs for result in self._worked([job])]
        except Exception as error:  # every request of the batch is told
            return [error] * len(jobs)

    def _score_shadow(self) -> None:
        if self._batch:  # the next batch brings them along
            return
        try:
            self._plane.score_shadow()
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
