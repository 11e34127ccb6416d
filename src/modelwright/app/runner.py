"""The running system's moving parts, held together: the controller and its trainer, the server, the log's reader, the
state that the console and the terminal show. Used as a context manager: whatever ends it, everything ends."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from modelwright.app.notifiers import Named
from modelwright.app.server import CONSOLE_NOTE, Front
from modelwright.app.server_process import ServerProcess
from modelwright.app.sockets import Sockets
from modelwright.app.state import StateBoard
from modelwright.app.streams import declared
from modelwright.app.terminal import decision_line
from modelwright.app.tracking import track
from modelwright.app.trainer_process import TrainerProcess
from modelwright.control.ahead import Closing
from modelwright.control.challenge import APPROVAL
from modelwright.control.controller import Controller
from modelwright.control.outbox import Outbox
from modelwright.control.quality_alerts import live_since
from modelwright.core.clock import Clock, iso
from modelwright.core.errors import WorkspaceError
from modelwright.lake.journal import Journal, JournalRow
from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow
from modelwright.monitoring.parity import ParityReport
from modelwright.monitoring.tail import LogReader
from modelwright.release.folder import open_release
from modelwright.spec.system import System

PUBLISH_S = 1.0
PUBLISH_SHARE = 0.05
"""Of this process's time, what the console's state may take: it looks through all answers whose outcome is known."""
DRAIN_ROWS = 25_000
DRAIN_S = 30.0
ASK_S = 10.0
"""How often the server is asked what it has counted."""
LAST_WORD_S = 3.0
TELL_S = 60.0
"""How often the same trouble with the state folder is told."""


class LiveParity:
    """The `ParityCheck` of a running system: the trainer's process computes again what the log's reader has read since the
    last check, which the journal remembers."""

    def __init__(self, trainer: TrainerProcess, reader: LogReader, journal: Journal) -> None:
        self._trainer = trainer
        self._reader = reader
        self._upto = max((row.observed["upto_seq"] for row in journal.rows() if row.kind == "parity"), default=0)

    def check(self) -> ParityReport:
        report = self._trainer.check_parity(self._upto, self._reader.cursor)
        self._upto = report.upto_seq
        return report


class Runner:
    """Everything of a run but its clock's pace. One thread."""

    def __init__(
        self,
        system: System,
        log: Log,
        clock: Clock,
        sockets: Sequence[Sockets],
        console: Console,
        *,
        front: Front,
        mode: str,
        stream: str = "",
        notifiers: Sequence[Named] = (),
        on_event: Callable[[EventRow], None] = lambda row: None,
    ) -> None:
        assert system.path is not None
        self._system = system
        self._log = log
        self._clock = clock
        self._stream = stream
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._publish_at = 0.0
        self._asked = 0.0
        self._drained = time.monotonic()
        self._followed: str | None = None
        self._seen = 0
        self._drains = True
        self._told: dict[str, float] = {}
        self._closing: Closing | None = None
        self.rows: list[JournalRow] = []
        classes = (False, True) if system.label.kind == "bool" else ("",) if system.label.kind == "str" else ()
        self.reader = LogReader(log, system.metric.name, classes, on_event, system.monitor, arrival=mode == "live")
        self.board = StateBoard(system, log, self.reader, mode)
        self.server = ServerProcess(system, log.workspace, sockets, front, replay=mode == "replay", stream=stream)
        self._trainer = TrainerProcess(system.path, log.workspace, self.idle)
        parity = LiveParity(self._trainer, self.reader, log.journal)
        self.controller = Controller(
            system, log.journal, self.reader.ledger, self._trainer, log.workspace.releases, parity, self.reader.drift,
            self.reader.quality, approved=mode == "replay",
        )  # fmt: skip
        self._outbox = Outbox(system, log.journal, notifiers, clock)

    def __enter__(self) -> Self:
        self._live.start()
        self._trainer.start()
        self.server.start()
        others = "".join(f", /events/{contract.name}" for contract in self._system.others)
        streams = "".join(f"  ·  {address.name}" for address in declared(self._stream, self._system))
        outcomes = ", /outcomes" if self._system.label.ahead is None else ""
        grpc = f"  ·  gRPC at {self.server.grpc_address}" if self.server.grpc_address else ""
        self._console.print(
            f"[bold]{self._system.name}[/]  ·  {self.server.address}/  ·  POST /predict, /events{others}{outcomes}{grpc}"
            f"{streams}",
            soft_wrap=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        self._last_word()
        self._trainer.stop()
        self.server.stop()
        self._log.drain()
        self._log.close()

    def _last_word(self) -> None:
        """Note what receivers acknowledge in this moment; what they have not is sent when the system runs again."""
        until = time.monotonic() + LAST_WORD_S
        with self.bearing():
            self._outbox.keep()
            while self._outbox.busy and time.monotonic() < until:
                time.sleep(0.02)
                self._outbox.keep()

    def say(self, phase: str, message: str) -> None:
        """What is going on, for whoever looks."""
        self.board.phase, self.board.message = phase, message
        self.publish(force=True)

    def read_ahead(self, since_us: int) -> None:
        """Where outcomes are read from later events: derive those that history tells, and watch from `since_us` on."""
        if self._system.label.ahead is not None:
            self._closing = Closing(self._system, self._log, since_us)

    def close_some(self, now_us: int) -> None:
        """Append the outcomes of windows that have closed, a bounded number at a time."""
        if self._closing is not None:
            self._closing.step(now_us)

    def close_all(self, now_us: int) -> None:
        """The same without a bound: a replay's clock waits for it."""
        if self._closing is not None:
            self._closing.close(now_us)

    def begin(self) -> None:
        """Bring up the first champion where there is none, and serve it. Where there is one the log is read from `look` on,
        when it is followed."""
        self.say("training", "training the first release")
        if self.controller.pointer.champion is None:  # the outcomes that it learns from have not come since
            self.reader.catch_up()
        self._take(self.controller.start(self._clock.now_us()))
        self._rest()

    def look(self) -> None:
        """Read what the log has new, and what others (serving, a person) have decided."""
        self.reader.catch_up()
        known = {row.seq for row in self.rows[-50:]}
        fresh = list(self._log.journal.rows(after=self._seen))
        if fresh:
            self._seen = fresh[-1].seq
            self._take([row for row in fresh if row.seq not in known], others=True)
            self._rest()

    def guard(self, now_us: int) -> None:
        """Between decision points: what breaches a guard does not wait for the next one."""
        rows = self.controller.guard(now_us)
        if rows:
            self._take(rows)
            self._rest()

    def decide(self, now_us: int) -> None:
        """One decision point."""
        rows = self.controller.step(now_us)
        if rows:
            self._take(rows)
            self._rest()

    def follow_pointer(self) -> None:
        """Wait until serving answers with the champion, so that a decision is in force before the next request."""
        pointer = self.controller.pointer
        wanted = (pointer.champion, pointer.challenger, pointer.share)
        self.server.wait_until(lambda said: (said["release"], said["challenger"], said["share"]) == wanted)

    def idle(self) -> None:
        """What must happen now and then, training or not: publish, drain, keep serving alive."""
        for summary in self.server.keep():
            with self.bearing():
                self._take([self._log.journal.append("error", self._clock.now_us(), summary=summary)])
        now = time.monotonic()
        if (self._drains and self._log.buffered() >= DRAIN_ROWS) or now - self._drained > DRAIN_S:
            self._drained, self._drains = now, False
            with self.bearing():  # what is not drained stays safe in the buffer
                self._log.drain()
                self._drains = True
        if self.board.mode == "live" and now - self._asked >= ASK_S:
            self._asked = now
            self._look_after()
        with self.bearing():
            self._outbox.keep()
        self.publish()

    def _look_after(self) -> None:
        """What does not wait for a decision point, nor for the end of a training: what breaches a guard, and what is off in how
        data arrives and requests are answered, which the server alone has counted."""
        said, now_us = self.server.metrics(), self._clock.now_us()
        if said is not None:
            self.reader.quality.requests.look(said, now_us)
        with self.bearing():
            self.reader.catch_up()  # what came meanwhile is no silence
            self.guard(now_us)
            rows = self.controller.tell(now_us)
            if rows:
                self._take(rows)

    @contextmanager
    def bearing(self) -> Iterator[None]:
        """What the state folder does not let happen now, on a full disk above all, is told now and then and tried again;
        serving meanwhile answers what is stored."""
        try:
            yield
        except WorkspaceError as error:
            message, now = str(error), time.monotonic()
            if now - self._told.get(message, -TELL_S) >= TELL_S:
                self._told[message] = now
                print(f"modelwright: {message}", file=sys.stderr, flush=True)

    def finish(self, done: float) -> None:
        """The replay is over."""
        if self.board.replay is not None:
            self.board.replay["done"] = done
        self.say("done", "the replay is over; still serving")

    def publish(self, *, force: bool = False) -> None:
        """Leave the state for the console, at most once a second, and less often where much is to be looked through."""
        now = time.monotonic()
        if not force and now < self._publish_at:
            return
        with self.bearing():
            self._log.journal.note(CONSOLE_NOTE, self.board.snapshot(self.controller, self._clock.now_us()))
        took = time.monotonic() - now
        self._publish_at = now + max(PUBLISH_S, took / PUBLISH_SHARE)
        self._live.update(self._status_line())

    def _take(self, rows: list[JournalRow], *, others: bool = False) -> None:
        for row in rows:
            self._console.print(decision_line(row), soft_wrap=True)
        self.rows += rows
        self.board.decided(rows)
        if not others:  # who trains beside us tracks that training
            track(self._system, self._log.workspace, rows)
        pointer = self.controller.pointer
        if pointer.champion is not None and pointer.champion != self._followed:
            self._followed = pointer.champion
            release = open_release(self._log.workspace.releases / pointer.champion)
            self.reader.drift.follow(release)
            self.reader.quality.follow(release, live_since(self._log.journal))
        if self.board.mode == "replay" and pointer.champion is not None and self.server.exit_code() is None:
            self.follow_pointer()
        self.publish(force=True)

    def _rest(self) -> None:
        pointer = self.controller.pointer
        if pointer.champion is None:
            self.say("starting", "waiting for enough outcomes to train on; events and outcomes are taken")
        elif pointer.paused:
            self.say("serving", f"{pointer.champion} answers; paused, nothing is trained or promoted")
        elif pointer.phase == APPROVAL:
            self.say("shadow", f"{pointer.challenger} waits for `modelwright approve`, {pointer.champion} answers")
        elif pointer.share:
            self.say(
                "canary",
                f"{pointer.challenger} answers {pointer.share:.4g} of the requests, {pointer.champion} the others",
            )
        elif pointer.challenger is not None:
            self.say("shadow", f"{pointer.challenger} scores what {pointer.champion} answers")
        else:
            self.say("serving", f"{pointer.champion} answers")

    def _status_line(self) -> Text:
        board = self.board
        line = Text()
        line.append(f" {board.phase} ", style="black on cyan" if board.phase != "training" else "black on yellow")
        line.append(f"  {iso(self._clock.now_us())[:16].replace('T', ' ')}", style="dim")
        line.append(f"  {self.reader.ledger.predictions:,} predictions, {self.reader.ledger.outcomes:,} outcomes")
        if board.replay is not None:
            line.append(f"  {board.replay['done']:.0%}", style="bold")
        figure = board.figure(self.reader.ledger.account, slice(None)) if board.mode == "replay" else None
        if figure is not None:
            line.append(f"  {self._system.metric.name} {figure:.4f}", style="green")
        line.append(f"  {board.message}", style="dim")
        return line
