"""Outcomes read from later events: appended once, corrected by what comes late, and of one definition."""

from datetime import datetime

import pyarrow as pa
import pytest

import modelwright as mw
from modelwright import agg
from modelwright.control import ahead
from modelwright.control.ahead import Closing, derive
from modelwright.core.clock import SimulatedClock
from modelwright.core.errors import WorkspaceError
from modelwright.ingest.identity import row_digest
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace

DAY = 86_400_000_000
AGAIN = mw.Label.ahead(agg.count(over="2d"), name="again", kind=bool)


@mw.event(id="id", entity="card", time="at")
class Payment:
    id: str
    card: str | None
    at: datetime
    amount: float


class Model:
    def fit(self, x, y): ...

    def predict(self, x): ...


def system_of(label=AGAIN):
    return mw.System(name="s", event=Payment, label=label, model=Model())


@pytest.fixture
def log(tmp_path):
    with Log.open(Workspace(tmp_path), LogSchema(system_of().contract, "again", "bool"), SimulatedClock(0)) as log:
        yield log


def pay(log, id, days, card="a"):
    values = [id, card, int(days * DAY), 1.0]
    with log.write() as write:
        write.event(id, values[2], values, digest=row_digest(values))


def told(log):
    """(id, outcome, day it became known) of every row, in order."""
    outcomes = log.outcomes()
    days = [us // DAY for us in outcomes["_known_at"].cast(pa.int64()).to_pylist()]
    return list(zip(outcomes["_id"].to_pylist(), outcomes["again"].to_pylist(), days, strict=True))


def test_history_is_derived_once(log):
    for id, days in (("p1", 1), ("p2", 2), ("p3", 9)):
        pay(log, id, days)
    pay(log, "nobody", 1, card=None)
    assert derive(log, system_of()).added == 2
    assert told(log) == [("p1", True, 3), ("p2", False, 4)]
    again = derive(log, system_of())
    assert (again.added, again.duplicates) == (0, 2)


def test_a_log_that_goes_on_gets_only_what_is_new(log):
    pay(log, "p1", 1)
    pay(log, "p2", 4)
    assert derive(log, system_of()).added == 1
    pay(log, "p3", 8)
    assert derive(log, system_of()).added == 1
    assert told(log) == [("p1", False, 3), ("p2", False, 6)]


def test_a_late_event_corrects_what_was_derived(log):
    pay(log, "p1", 1)
    pay(log, "p2", 9)
    derive(log, system_of())
    pay(log, "late", 2)
    assert derive(log, system_of()).added == 2
    assert told(log) == [("p1", False, 3), ("p1", True, 3), ("late", False, 4)]


def test_nothing_is_known_before_its_window_has_closed(log):
    pay(log, "p1", 1)
    closing = Closing(system_of(), log, since_us=0)
    closing.close(3 * DAY)  # an event at this very moment would still be in the window
    assert told(log) == []
    closing.close(3 * DAY + 1)
    assert told(log) == [("p1", False, 3)]


def test_a_step_does_a_bounded_amount(log):
    for number in range(10):
        pay(log, f"p{number}", 1, card=f"c{number}")
    closing = Closing(system_of(), log, since_us=0)
    assert [closing.step(5 * DAY, most=4) for _ in range(4)] == [4, 4, 2, 0]
    assert len(told(log)) == 10


def test_a_late_event_corrects_a_window_closed_live(log):
    pay(log, "p1", 1)
    closing = Closing(system_of(), log, since_us=0)
    closing.close(8 * DAY)
    pay(log, "other", 2, card="b")
    pay(log, "late", 2)
    closing.close(8 * DAY)
    assert told(log) == [("p1", False, 3), ("p1", True, 3), ("other", False, 4), ("late", False, 4)]


def test_many_late_events_are_worked_in_together(log, monkeypatch):
    monkeypatch.setattr(ahead, "MANY", 2)
    monkeypatch.setattr(Closing, "_open_again", lambda *_: pytest.fail("one by one"))
    pay(log, "p1", 1)
    pay(log, "p2", 1, card="b")
    closing = Closing(system_of(), log, since_us=0)
    closing.close(8 * DAY)
    for number in range(3):
        pay(log, f"late{number}", 2)
    closing.close(8 * DAY)
    assert told(log)[:2] == [("p1", False, 3), ("p2", False, 3)]
    assert sorted(told(log)[2:]) == [(f"late{number}", False, 4) for number in range(3)] + [("p1", True, 3)]


def test_what_could_not_be_written_is_tried_again(log, monkeypatch):
    pay(log, "p1", 1)
    closing = Closing(system_of(), log, since_us=0)
    with monkeypatch.context() as full:
        full.setattr(log, "write", lambda: (_ for _ in ()).throw(WorkspaceError("the disk is full")))
        with pytest.raises(WorkspaceError):
            closing.step(8 * DAY)
    closing.close(8 * DAY)
    assert told(log) == [("p1", False, 3)]


def test_a_restart_adds_nothing_and_goes_on(log):
    pay(log, "p1", 1)
    Closing(system_of(), log, since_us=0).close(8 * DAY)
    pay(log, "p2", 9)
    closing = Closing(system_of(), log, since_us=8 * DAY)
    closing.close(12 * DAY)
    assert told(log) == [("p1", False, 3), ("p2", False, 11)]


def test_silence_before_anybody_watched_means_nothing(log):
    """Of history that ends, and a run that starts much later, nobody knows what came after the end."""
    pay(log, "p1", 1)
    closing = Closing(system_of(), log, since_us=100 * DAY)
    closing.close(101 * DAY)
    assert told(log) == []
    pay(log, "p2", 101, card="b")  # the log goes on, so there was nothing in between
    closing.close(101 * DAY)
    assert told(log) == [("p1", False, 3)]


def test_an_amount_over_an_empty_window_is_no_outcome(tmp_path):
    system = system_of(mw.Label.ahead(agg.mean("amount", over="2d"), name="next_amount"))
    schema = LogSchema(system.contract, "next_amount", "float")
    with Log.open(Workspace(tmp_path / "amounts"), schema, SimulatedClock(0)) as log:
        for id, days in (("p1", 1), ("p2", 2), ("p3", 9)):
            pay(log, id, days)
        closing = Closing(system, log, since_us=0)
        closing.close(20 * DAY)
        assert log.outcomes()["_id"].to_pylist() == ["p1"]


def test_outcomes_of_another_definition_are_refused(log):
    pay(log, "p1", 1)
    pay(log, "p2", 9)
    derive(log, system_of())
    longer = system_of(mw.Label.ahead(agg.count(over="7d"), name="again", kind=bool))
    with pytest.raises(WorkspaceError, match="over the 2d after the event, by card, and are now .* over the 7d"):
        derive(log, longer)


def test_outcomes_that_were_told_are_refused(log):
    pay(log, "p1", 1)
    with log.write() as write:
        write.outcome("p1", True, 2 * DAY)
    with pytest.raises(WorkspaceError, match="outcomes of again were told, and are now"):
        derive(log, system_of())


def test_a_label_that_is_told_derives_nothing(log):
    pay(log, "p1", 1)
    pay(log, "p2", 9)
    assert derive(log, system_of(mw.Label("again", bool, delay="1d"))).added == 0
