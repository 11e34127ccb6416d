"""Every row that a receiver wants reaches it, in order, once noted never again, and a dead one holds up nobody."""

import signal
import subprocess
import sys
import threading

import msgspec
import pytest

from modelwright.control.notice import QUIET_US
from modelwright.control.notifier import InMemory
from modelwright.control.outbox import FIRST_PAUSE_US, GIVE_UP_US, LONGEST_PAUSE_US, Outbox
from modelwright.control.receiver import receivers
from modelwright.core.clock import SimulatedClock
from modelwright.core.errors import NoRoomError, NotifyError
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace

DAY = 86_400_000_000
T0 = 1_767_225_600_000_000
PROBLEM = NotifyError("it answers 503")


class Office:
    """A journal, receivers by name, and an outbox that `open()` starts again, as a restart does."""

    def __init__(self, stage) -> None:
        self.stage = stage
        self.journal = stage.journal
        self.clock = SimulatedClock(T0)
        self.desks = {"a": InMemory()}
        self.kinds = {}
        self.spawn = lambda work: work()

    def open(self) -> Outbox:
        named = [(key, f"desk {key}", self.kinds.get(key, ()), desk) for key, desk in self.desks.items()]
        self.outbox = Outbox(self.stage.system, self.journal, named, self.clock, self.spawn)
        return self.outbox

    def happen(self, summary, kind="error", after_us=0, **evidence):
        return self.journal.append(kind, self.clock.now_us() + after_us, summary=summary, evidence=evidence)

    def wait(self, us):
        self.clock.advance(self.clock.now_us() + us)
        self.keep()

    def keep(self):
        self.outbox.keep()  # sends
        self.outbox.keep()  # notes

    def told(self, key="a"):
        return [notice.what for notice in self.desks[key].sent]

    def noted(self, key="a"):
        return next(one for one in receivers(self.journal) if one.key == key)


@pytest.fixture
def office(stage):
    return Office(stage)


def settle(office, times=10):
    for _ in range(times):
        office.outbox.keep()


def test_what_happens_is_told_in_order_and_noted(office):
    office.open()
    rows = [office.happen(f"thing {word}") for word in ("one", "two", "three")]
    settle(office)
    assert office.told() == ["thing one", "thing two", "thing three"]
    assert (office.noted().upto, office.noted().sent, office.noted().waiting) == (rows[-1].seq, 3, 0)
    assert len({notice.id for notice in office.desks["a"].sent}) == 3


def test_a_new_receiver_is_told_from_now_on(office):
    office.happen("long ago")
    office.open()
    office.happen("now")
    settle(office)
    assert office.told() == ["now"]


def test_a_restart_repeats_nothing_and_loses_nothing(office):
    office.open()
    office.happen("told")
    settle(office)
    office.happen("not yet told")  # the process ends before anybody looks
    office.open()
    office.happen("after the restart")
    settle(office)
    assert office.told() == ["told", "not yet told", "after the restart"]
    office.open()
    settle(office)
    assert len(office.told()) == 3


def test_what_was_sent_but_not_noted_is_sent_again_under_the_same_id(office):
    office.open()
    office.happen("sent")
    office.outbox.keep()  # sends; the process ends before it is noted
    office.open()
    settle(office)
    first, again = office.desks["a"].sent
    assert first == again


def test_the_same_thing_is_told_once_until_it_has_been_quiet_for_a_day(office):
    office.open()
    for figure in (3, 4, 5):
        office.happen(f"serving ended with signal {figure}")
        office.wait(QUIET_US // 2)
    assert office.told() == ["serving ended with signal 3"]
    office.open()  # nor after a restart
    office.happen("serving ended with signal 9")
    settle(office)
    assert len(office.told()) == 1
    office.wait(QUIET_US)
    office.happen("serving ended with signal 6")
    settle(office)
    assert office.told()[1:] == ["serving ended with signal 6"]


def test_a_receiver_gets_the_kinds_it_asks_for(office):
    office.desks["b"] = InMemory()
    office.kinds["b"] = ("promoted", "rejected")
    office.open()
    office.happen("r2 is better", "promoted")
    office.happen("no evidence in time", "rejected", by="shadow")
    office.happen("fails: division", "rejected", by="errors")
    office.happen("0 of 10 differ", "parity", differ={})
    office.happen("amount differs", "parity", differ={"amount": 3})
    office.happen("retrain", "trigger")
    settle(office)
    assert office.told() == ["challenger fails: division", "amount differs"]
    assert office.told("b") == [
        "promoted: r2 is better", "rejected: no evidence in time", "challenger fails: division",
    ]  # fmt: skip


def test_other_kinds_do_not_bring_up_the_past(office):
    office.open()
    office.happen("r2 is better", "promoted")
    settle(office)
    office.kinds["a"] = ("promoted",)
    office.open()
    settle(office)
    assert office.told() == []


def test_a_dead_receiver_is_tried_less_and_less_and_holds_up_nobody(office):
    office.desks["b"] = InMemory()
    office.desks["a"].trouble = PROBLEM
    tries = []
    office.spawn = lambda work: (tries.append(office.clock.now_us()), work())
    office.desks = {"a": office.desks["a"]}
    office.open()
    office.happen("one")
    for _ in range(4_000):
        office.wait(1_000_000)
    pauses = [later - earlier for earlier, later in zip(tries, tries[1:], strict=False)]
    assert pauses[:3] == [FIRST_PAUSE_US, 2 * FIRST_PAUSE_US, 4 * FIRST_PAUSE_US]
    assert max(pauses) == LONGEST_PAUSE_US
    noted = office.noted()
    assert (noted.sent, noted.waiting, noted.error) == (0, 1, "it answers 503")
    assert noted.failing_us == T0 + 1_000_000
    office.desks["a"].trouble = None
    office.wait(LONGEST_PAUSE_US)
    noted = office.noted()
    assert (noted.sent, noted.waiting, noted.error, noted.failing_us) == (1, 0, "", 0)


def test_one_that_hangs_holds_up_nobody(office):
    release, began = threading.Event(), threading.Event()

    class Hangs:
        def send(self, notice):
            began.set()
            release.wait(60)

    office.desks = {"a": Hangs(), "b": InMemory()}
    threads = []

    def spawn(work):
        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()

    office.spawn = spawn
    office.open()
    office.happen("one")
    office.happen("two")
    office.outbox.keep()
    assert began.wait(60)
    while len(office.told("b")) < 2:
        office.outbox.keep()
    settle(office)
    assert office.outbox.busy and office.noted("a").waiting == 2
    release.set()
    for thread in threads:
        thread.join(60)


def test_after_a_day_of_attempts_a_message_is_given_up_and_counted(office):
    office.open()
    office.desks["a"].trouble = PROBLEM
    office.happen("one")
    office.keep()
    office.wait(GIVE_UP_US)
    assert (office.noted().dropped, office.noted().waiting) == (1, 0)
    office.desks["a"].trouble = None
    office.happen("two")
    office.wait(LONGEST_PAUSE_US)
    assert office.told() == ["two"]


def test_whatever_a_notifier_raises_the_loop_goes_on(office):
    office.open()
    office.desks["a"].trouble = ZeroDivisionError("oh")
    office.happen("one")
    office.keep()
    assert office.noted().error == "ZeroDivisionError: oh"


def test_on_a_full_disk_what_was_acknowledged_is_not_sent_again(office, monkeypatch):
    office.open()
    office.happen("one")
    office.outbox.keep()

    def full(key, value):
        raise NoRoomError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(office.journal, "note", full)
        for _ in range(5):
            with pytest.raises(NoRoomError):
                office.outbox.keep()
    settle(office)
    assert office.told() == ["one"]
    assert office.noted().sent == 1


DIES = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
import msgspec
from modelwright.control.outbox import Outbox
from modelwright.core.clock import SystemClock
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.spec.contract import Contract

class Dies:
    def send(self, notice):
        os.kill(os.getpid(), signal.SIGKILL)

state, contract = sys.argv[1:]
schema = LogSchema(msgspec.json.decode(contract, type=Contract), "disputed", "bool")
log = Log.open(Workspace(Path(state)), schema, SystemClock())
named = [("a", "desk a", (), Dies())]
outbox = Outbox(SimpleNamespace(name="disputes"), log.journal, named, SystemClock(), lambda work: work())
log.journal.append("error", 0, summary="decided")
outbox.keep()
"""


def test_kill_9_between_the_decision_and_its_message_loses_nothing(system, tmp_path):
    """The journal is the queue: whoever opens it next finds what was decided and not yet told."""
    contract = msgspec.json.encode(system.contract).decode()
    arguments = [sys.executable, "-c", DIES, str(tmp_path / "state"), contract]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    schema = LogSchema(system.contract, system.label.name, system.label.kind)
    desk, clock = InMemory(), SimulatedClock(T0)
    with Log.open(Workspace(tmp_path / "state"), schema, clock) as log:
        for _ in range(2):
            outbox = Outbox(system, log.journal, [("a", "desk a", (), desk)], clock, lambda work: work())
            outbox.keep()
            outbox.keep()
    assert [notice.what for notice in desk.sent] == ["decided"]
