"""The loop goes on where it was, whenever it is killed: no half release, no promotion twice, no decision lost."""

import os
import random
import signal
import time
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from tests.unit.control.conftest import DAY, T0, Stage

from modelwright.core.clock import SimulatedClock, to_us
from modelwright.lake.journal import Journal, Pointer
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.ledger import Scored
from modelwright.registry.publish import sweep
from modelwright.release.folder import read_manifest

DAYS = 32
STEPS = 90
"""More than there are: journal rows and their pointers, publications, before and after each."""


def opened(system, home: Path) -> Log:
    schema = LogSchema(system.contract, system.label.name, system.label.kind)
    return Log.open(Workspace(home), schema, SimulatedClock(T0))


def drive(system, home: Path) -> None:
    """Live through the days from the last decision on: a first champion, one that takes over in a canary and is rolled back,
    one that fails its gates, one that is left within its canary."""
    system.rollout = msgspec.structs.replace(system.rollout, shares=(0.1, 0.5), step=50)
    with opened(system, home) as log:
        stage = Stage(system, log, log.workspace.releases)
        sweep(log.workspace.releases)
        rows = list(log.journal.rows())
        begin = (to_us(datetime.fromisoformat(rows[-1].at)) - T0) // DAY if rows else 0
        if log.journal.pointer().champion is None:
            stage.controller.start(T0)
        for day in range(begin, DAYS):
            number = stage.controller.number
            stage.trainer.script = ["bad"] if number == 2 else []
            pointer, now_us = log.journal.pointer(), T0 + day * DAY
            if now_us == pointer.since_us:
                pass  # killed on the day of that decision: the next day's outcomes are not there yet
            elif pointer.challenger is not None:
                stage.outcomes(100, champion=False)
            elif now_us < pointer.watch_until_us:
                turned_out_worse(stage, pointer, now_us)
            stage.controller.step(now_us)


def turned_out_worse(stage: Stage, pointer: Pointer, now_us: int) -> None:
    """What the champion says turns out wrong, and what the release before it says beside it right."""
    for event in range(10_000 * now_us, 10_000 * now_us + 100):
        stage.ledger.predicted(event, now_us, Scored(pointer.champion, False, None))
        stage.ledger.predicted(event, now_us, Scored(pointer.previous, True, None), challenger=True)
        stage.ledger.known(event, True)
    stage.ledger.settle()


def die_at(step: int) -> None:
    """Count what may be interrupted, and die at one of it."""
    left = [step]

    def crossing() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(function):
        def called(*given, **named):
            crossing()
            result = function(*given, **named)
            crossing()
            return result

        return called

    Journal.append = around(Journal.append)
    Path.rename = around(Path.rename)


def killed(system, home: Path, step: int) -> bool:
    """Drive in a process that dies at that step; False where it came to its end before."""
    child = os.fork()
    if child == 0:
        try:
            die_at(step)
            drive(system, home)
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def told(system, home: Path):
    """What the journal and the releases say in the end."""
    with opened(system, home) as log:
        log.journal.verify()
        rows = list(log.journal.rows())
        names = {row.release for row in rows if row.release}
        for name in names:
            read_manifest(log.workspace.releases / name)  # whole
        kinds = {name: [row.kind for row in rows if row.release == name] for name in names}
        for name, seen in kinds.items():
            assert seen.count("promoted") <= 1, (name, seen)
            assert seen.count("rolled_back") <= 1, (name, seen)
            shares = [row.evidence["share"] for row in rows if row.kind == "canary" and row.release == name]
            assert shares == [0.1, 0.5][: len(shares)], (name, shares)  # each step once, and in order
            assert seen.count("registered") + seen.count("rejected") >= 1, (name, seen)
            if "trained" in seen:
                assert seen[seen.index("trained") + 1] == "gated", (name, seen)
        pointer = log.journal.pointer()
        assert pointer.champion in names
        champions: list[str | None] = []
        for row in rows:
            if row.kind == "promoted":
                champions.append(row.release)
            elif row.kind == "rolled_back":
                assert champions.pop() == row.release
        assert champions[-1] == pointer.champion
        steps = [row for row in rows if row.kind == "canary" and row.release == pointer.challenger]
        assert pointer.share == (steps[-1].evidence["share"] if steps else 0.0)
        rejected = {name for name, seen in kinds.items() if "rejected" in seen}
        live = {pointer.champion, pointer.challenger}
        # Whatever passed its gates was compared, and came to an end or is in the middle of it.
        for name, seen in kinds.items():
            if "registered" in seen and name.partition("-")[0] != "r0":
                assert "promoted" in seen or name in rejected | live, (name, seen)
        ends = [kind for kind in (row.kind for row in rows) if kind in ("promoted", "rolled_back", "rejected")]
        return ends, pointer.phase, pointer.share


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_at_any_step_the_loop_goes_on_to_the_same_end(system, tmp_path):
    drive(system, tmp_path / "whole")
    expected = told(system, tmp_path / "whole")
    assert expected == (["promoted", "promoted", "rolled_back", "rejected"], "canary", 0.1)
    for step in range(1, STEPS):
        home = tmp_path / f"died-{step}"
        died = killed(system, home, step)
        drive(system, home)
        assert told(system, home) == expected, step
        if not died:
            break
    assert not died, "there are more steps than were tried"
    assert step > 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("seed", range(12))
def test_killed_again_and_again_at_any_instant_the_loop_gets_there(system, tmp_path, seed):
    """By the clock and not at a step: within a commit, a rename, a file half written."""
    took_s = []
    for name in ("first", "whole"):
        began = time.perf_counter()
        drive(system, tmp_path / name)
        took_s.append(time.perf_counter() - began)
    ends, *_ = told(system, tmp_path / "whole")
    chance, home, died = random.Random(seed), tmp_path / "died", 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                drive(system, home)
                os._exit(0)
            except BaseException:
                os._exit(1)
        time.sleep(
            min(took_s) * chance.uniform(0.01, 0.25 + 0.05 * died)
        )  # longer each time, so that it comes to an end
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        died += 1
    assert died >= 3
    assert told(system, home)[0] == ends
