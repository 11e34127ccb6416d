"""What a run looks after while a training takes its time."""

from types import SimpleNamespace

import pytest
from rich.console import Console

import modelwright as mw
from modelwright.app.runner import Runner
from modelwright.app.server import Front
from modelwright.app.wiring import open_log, workspace_of
from modelwright.core.clock import SimulatedClock
from modelwright.lake.journal import Pointer

T0 = 1_767_225_600_000_000
HOUR = 3_600_000_000


@pytest.fixture
def runner(declare, monkeypatch):
    """One whose children are not started, with a champion that is followed."""
    system = mw.load(declare("disputes"))
    server = SimpleNamespace(metrics=str, keep=list)
    monkeypatch.setattr("modelwright.app.runner.ServerProcess", lambda *given, **named: server)
    with open_log(system, workspace_of(system), SimulatedClock(T0)) as log:
        log.journal.append("promoted", T0, release="r1", summary="by hand", point=Pointer(champion="r1"))
        made = Runner(system, log, log.clock, (), Console(quiet=True), front=Front(), mode="live")
        made.log, made.publish = log, lambda **named: None
        yield made


def test_guards_are_looked_at_while_a_training_runs(runner):
    looked = []
    runner.controller.guard = lambda now_us: looked.append(now_us) or []
    runner.idle()
    assert looked == [T0]


def test_what_comes_while_a_training_runs_is_read_before_it_is_told_that_nothing_came(runner):
    seen = []
    quality = runner.reader.quality
    quality.release = "r1"
    quality.monitor = SimpleNamespace(
        changes=[],
        event=lambda key, at_us, delay_us: seen.append(("event", at_us)),
        tick=lambda now_us: seen.append(("tick", now_us)),
    )
    runner.log.clock.advance(T0 + HOUR)
    with runner.log.write() as write:
        values = {"float": 1.0, "int": 1, "str": "a", "bool": True, "time": T0}
        event = [values[field.kind] for field in runner.log.schema.contract.fields]
        write.event("a", T0, event, digest=b"")
    runner.idle()  # as the trainer's process has it called
    assert seen == [("event", T0 + HOUR), ("tick", T0 + HOUR)]
