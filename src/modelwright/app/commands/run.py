"""`modelwright run`: the main job. Ingest, train if nothing is live, serve, monitor, retrain, roll out, until stopped.

Three processes: this one decides and shows, one serves, one trains. This one owns the workspace; the others end when it
does. In a replay the clock is the data's. A second run of a system waits for the first to end, in whatever way, and goes on.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from modelwright.app.commands.ingest import into_log, keep_history, source_paths
from modelwright.app.frozen import frozen_answers
from modelwright.app.notifiers import Named, notifiers_of
from modelwright.app.replay import History, play
from modelwright.app.runner import Runner
from modelwright.app.server import DRAIN_S, Front
from modelwright.app.sockets import Sockets, listening
from modelwright.app.stopping import Stopped, Stopping
from modelwright.app.streams import ENVIRONMENT, declared
from modelwright.app.terminal import figures, number, terminal
from modelwright.app.wiring import emptied, open_log, trial_of, workspace_of
from modelwright.core.clock import Clock, SimulatedClock, SystemClock, iso
from modelwright.core.errors import UsageError
from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow
from modelwright.lake.workspace import Workspace
from modelwright.registry.publish import sweep
from modelwright.release.folder import open_release
from modelwright.spec.system import System

IDLE_S = 0.25
GRACE_US = 5_000_000
"""A window ahead of an event is closed so long after its end, so that events slightly out of order cost nothing."""
RETRY_GROWTH = 1.5
"""Where history was too short to begin, another attempt is made when there are so many times more outcomes."""


class RunOptions(msgspec.Struct, kw_only=True):
    """How `run` is called. `once` ends it when the replay is over; `seconds` bounds the replay."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    front: Front = Front()
    stream: str = ""
    replay: Path | None = None
    start: float | None = None
    once: bool = False
    seconds: float | None = None
    json: bool = False


class RunResult(msgspec.Struct, kw_only=True):
    """What `run --replay --once --json` prints."""

    metric: str
    frozen: float | None
    self_running: float | None
    predictions: int
    trainings: int
    promotions: int
    rejections: int
    rollbacks: int
    replayed: float
    seconds: float
    journal_sha256: str


def run(system: System, options: RunOptions) -> int:
    """Run until Ctrl-C (130), SIGTERM (0), or, with `once`, until the replay is over (0)."""
    if system.path is None:
        raise UsageError("run needs a system file: the training process loads it; call modelwright run system.py")
    if options.stream and options.replay is not None:
        raise UsageError(f"a replay plays a file, not a stream; leave out --stream, and {ENVIRONMENT} unset")
    declared(options.stream, system)  # what is wrong with it is said before anything starts
    notifiers = notifiers_of(system) if options.replay is None else []  # a replay is history: nobody is told of it
    workspace = workspace_of(system)
    stopping = Stopping()
    stopping.listen()
    try:
        if options.replay is not None:
            with _listening(options) as sockets, workspace.exclusive("run"):
                return _replay(system, trial_of(system, "replay"), sockets, options, stopping)
        with _alone(workspace, options) as sockets:
            return _live(system, workspace, sockets, options, notifiers, stopping)
    except Stopped:
        return 0


@contextmanager
def _alone(workspace: Workspace, options: RunOptions) -> Iterator[list[Sockets]]:
    """The sockets, and the role of the one that runs the system: as soon as nobody else does. A port that is taken is told
    before anything is done, but where it is waited for."""
    with ExitStack() as held:
        if workspace.holder("run") is None:
            sockets = held.enter_context(_listening(options))
            if held.enter_context(workspace.attempt("run")):
                yield sockets
                return
            held.close()  # another was quicker: nobody may connect to what does not answer
        held.enter_context(workspace.awaited("run", _standing_by))
        # What a killed run has left behind answers its last requests before it lets go of the port.
        yield held.enter_context(_listening(options, DRAIN_S + 5.0))


def _listening(options: RunOptions, patience_s: float = 0.0) -> AbstractContextManager[list[Sockets]]:
    return listening(options.host, options.port, options.front.grpc_port, options.workers, patience_s=patience_s)


def _standing_by(holder: str) -> None:
    print(f"modelwright: {holder} runs this system; standing by, to go on where it ends", file=sys.stderr, flush=True)


def _live(
    system: System, workspace: Workspace, sockets: Sequence[Sockets], options: RunOptions, notifiers: Sequence[Named],
    stopping: Stopping,
) -> int:  # fmt: skip
    clock = SystemClock()
    log = _open(system, workspace, clock)
    console = terminal(quiet=options.json)
    with Runner(
        system,
        log,
        clock,
        sockets,
        console,
        front=options.front,
        mode="live",
        stream=options.stream,
        notifiers=notifiers,
    ) as runner:
        _tell_address(runner, options)
        if system.source is not None or system.history:
            runner.say("starting", "reading the source")
            into_log(system, log, source_paths(system))
        runner.read_ahead(clock.now_us())
        keep_history(system, log)
        runner.say("starting", "training the first release")
        runner.begin()
        attempted = log.counts()["outcomes"]
        next_us = 0
        while True:
            with runner.bearing():
                runner.close_some(clock.now_us() - GRACE_US)
                runner.look()
                now_us = clock.now_us()
                if runner.controller.pointer.champion is None:
                    outcomes = log.counts()["outcomes"]
                    if outcomes > max(20, attempted * RETRY_GROWTH):
                        attempted = outcomes
                        runner.begin()
                elif now_us >= next_us:
                    runner.decide(now_us)
                    next_us = (now_us // system.check_us + 1) * system.check_us
                else:
                    runner.guard(now_us)
            runner.idle()
            stopping.heed()
            time.sleep(IDLE_S)


def _replay(
    system: System, workspace: Workspace, sockets: Sequence[Sockets], options: RunOptions, stopping: Stopping
) -> int:
    assert options.replay is not None
    began = time.monotonic()
    emptied(workspace)
    console = terminal(quiet=options.json)
    history = History(system, options.replay, options.start)
    clock = SimulatedClock(int(history.at_us[history.start]))
    log = _open(system, workspace, clock)
    with Runner(
        system, log, clock, sockets, console, front=options.front, mode="replay", on_event=lambda row: note(row)
    ) as runner:
        frozen: dict[str, Any] = {}

        def note(row: EventRow) -> None:
            if row.id in frozen:
                runner.board.frozen_said[row.seq] = frozen[row.id]

        runner.reader.quality.until_us = int(history.at_us[-1])
        _tell_address(runner, options)
        runner.say("starting", f"{history.start:,} events given, {len(history) - history.start:,} to replay")
        history.give(log)
        runner.read_ahead(int(history.at_us[history.start - 1]))
        runner.close_all(clock.now_us())
        keep_history(system, log)
        runner.begin()
        first = next((row.release for row in runner.rows if row.kind == "trained"), None)
        if runner.controller.pointer.champion is None:
            raise UsageError(f"{runner.rows[-1].summary}; give a larger --from")
        if first is not None:
            frozen.update(frozen_answers(system, history, open_release(workspace.releases / first)))

        def decide(now_us: int, position: int) -> None:
            clock.advance(now_us)
            runner.look()
            runner.board.replay = {
                "from": iso(int(history.at_us[history.start])),
                "to": iso(int(history.at_us[-1])),
                "done": (position - history.start) / (len(history) - history.start),
            }
            runner.decide(now_us)
            runner.idle()
            stopping.heed()

        def late() -> bool:
            return options.seconds is not None and time.monotonic() - began > options.seconds

        runner.follow_pointer()
        close = None if system.label.ahead is None else runner.close_all
        reached = play(history, runner.server.connect, system.check_us, decide, late, close)
        runner.look()
        done = (reached - history.start) / (len(history) - history.start)
        runner.finish(done)
        result = _result(system, log, runner, done, time.monotonic() - began)
        _show(console, result, runner, options)
        if options.once:
            if options.json:
                print(msgspec.json.encode(result).decode(), flush=True)
            return 0
        while True:
            runner.look()
            runner.idle()
            stopping.heed()
            time.sleep(IDLE_S)


def _tell_address(runner: Runner, options: RunOptions) -> None:
    """With --json a run that goes on says where it listens; one that ends by itself prints its figures instead."""
    if options.json and not options.once:
        said = {"address": runner.server.address, "grpc": runner.server.grpc_address}
        print(msgspec.json.encode({key: value for key, value in said.items() if value}).decode(), flush=True)


def _open(system: System, workspace: Workspace, clock: Clock) -> Log:
    log = open_log(system, workspace, clock)
    with workspace.attempt("training") as nobody_trains:
        if nobody_trains:
            sweep(workspace.releases)
    log.history.repair()
    return log


def _result(system: System, log: Log, runner: Runner, replayed: float, seconds: float) -> RunResult:
    kinds = [row.kind for row in runner.rows]
    account = runner.reader.ledger.account
    return RunResult(
        metric=system.metric.name,
        frozen=runner.board.figure(runner.board.frozen_account(), slice(None)),
        self_running=runner.board.figure(account, slice(None)),
        predictions=runner.reader.ledger.predictions,
        trainings=kinds.count("trained"),
        promotions=kinds.count("promoted") - 1,
        rejections=kinds.count("rejected"),
        rollbacks=kinds.count("rolled_back"),
        replayed=round(replayed, 4),
        seconds=round(seconds, 1),
        journal_sha256=log.journal.head_hash(),
    )


def _show(console: Any, result: RunResult, runner: Runner, options: RunOptions) -> None:
    better = (
        "" if result.frozen is None or result.self_running is None else f"{result.self_running - result.frozen:+.4f}"
    )
    rows = [
        (result.metric, ""),
        ("  self-running", f"{number(result.self_running)}   {better} against the frozen first model"),
        ("  frozen first model", number(result.frozen)),
        ("predictions", f"{result.predictions:,} over HTTP, {result.replayed:.0%} of what there was to replay"),
        (
            "trainings",
            f"{result.trainings}: {result.promotions} promoted after the first, {result.rejections} rejected",
        ),
        ("seconds", f"{result.seconds:.1f}"),
        ("journal", result.journal_sha256),
    ]
    console.print()
    figures(console, rows)
    if not options.once:
        console.print(f"\nStill serving at {runner.server.address}/  ·  Ctrl-C ends it")
