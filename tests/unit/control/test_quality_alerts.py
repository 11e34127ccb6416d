"""A turn in the quality of what arrives enters the journal once, is the same after a restart, closed by the next release."""

from types import SimpleNamespace

import pytest

from modelwright.control.controller import Controller
from modelwright.control.notice import notice_of
from modelwright.control.quality_alerts import live_since
from modelwright.control.rollback import settled
from modelwright.monitoring.change import Change
from modelwright.monitoring.quality import QualityWatch

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000_000


def turn(state, at_us, what="volume"):
    return Change(
        what=what, of="events", state=state, at_us=at_us, since_us=at_us - HOUR, began_us=at_us - HOUR, log10=3.1,
        size=0.5, change="12 events in 1h over 5 such, usually 24",
    )  # fmt: skip


@pytest.fixture
def watch():
    return QualityWatch(30 * DAY)


@pytest.fixture
def controller(stage, watch):
    stage.system.retrain = ()
    made = new(stage, watch)
    made.start(T0)
    follow(watch, made.pointer.champion)
    return made


def new(stage, watch):
    return Controller(stage.system, stage.journal, stage.ledger, stage.trainer, stage.releases, quality=watch)


def follow(watch, release, changes=()):
    watch.release = release
    watch.monitor = SimpleNamespace(changes=list(changes), tick=lambda now_us: None)


def told(stage):
    return [(row.evidence["what"], row.evidence["state"]) for row in stage.journal.rows() if "what" in row.evidence]


def test_each_turn_is_told_once(stage, watch, controller):
    assert controller.step(T0 + HOUR) == []
    watch.monitor.changes.append(turn("raised", T0 + HOUR))
    (row,) = controller.step(T0 + 2 * HOUR)
    assert (row.kind, row.release) == ("alert", controller.pointer.champion)
    assert row.summary == "volume of events since 2026-01-01 00:00: 12 events in 1h over 5 such, usually 24"
    assert controller.step(T0 + 3 * HOUR) == []
    watch.monitor.changes.append(turn("cleared", T0 + 4 * HOUR))
    watch.monitor.changes.append(turn("raised", T0 + 4 * HOUR, "freshness"))
    controller.step(T0 + 5 * HOUR)
    assert told(stage) == [("volume", "raised"), ("volume", "cleared"), ("freshness", "raised")]


def test_a_restart_tells_nothing_again_even_if_it_finds_it_a_little_later(stage, watch, controller):
    watch.monitor.changes.append(turn("raised", T0 + HOUR))
    controller.step(T0 + 2 * HOUR)
    again = QualityWatch(30 * DAY)
    follow(again, controller.pointer.champion, [turn("raised", T0 + 2 * HOUR)])
    restarted = new(stage, again)
    assert restarted.step(T0 + 3 * HOUR) == []
    again.monitor.changes.append(turn("cleared", T0 + 4 * HOUR))
    restarted.step(T0 + 5 * HOUR)
    assert told(stage) == [("volume", "raised"), ("volume", "cleared")]


def test_what_is_open_when_another_release_takes_over_is_closed_and_may_be_raised_anew(stage, watch, controller):
    watch.monitor.changes.append(turn("raised", T0 + HOUR))
    controller.step(T0 + 2 * HOUR)
    first = controller.pointer.champion
    number = controller.number + 1
    release = stage.trainer.train("model", T0 + 3 * HOUR, number, first, 0).release
    stage.journal.append("promoted", T0 + 3 * HOUR, release=release, summary="by hand", point=moved(stage, release))
    assert live_since(stage.journal) == T0 + 3 * HOUR
    assert controller.step(T0 + 4 * HOUR) == []  # not followed yet: nothing is known of it
    follow(watch, release, [turn("raised", T0 + 5 * HOUR)])
    rows = controller.step(T0 + 6 * HOUR)
    assert [(row.release, row.evidence["state"]) for row in rows] == [(first, "superseded"), (release, "raised")]
    assert (
        rows[0].summary == f"volume of events was off when {release} took over: now watched against its newer history"
    )
    assert controller.step(T0 + 7 * HOUR) == []


def moved(stage, release):
    return settled(stage.journal.pointer(), T0 + 3 * HOUR, release, stage.journal.pointer().champion)


def test_people_are_told_since_when_and_how_sure_and_again_when_it_has_ended(stage, watch, controller):
    watch.monitor.changes.append(turn("raised", T0 + HOUR))
    (raised,) = controller.step(T0 + 2 * HOUR)
    watch.monitor.changes.append(turn("cleared", T0 + 4 * HOUR))
    (cleared,) = controller.step(T0 + 5 * HOUR)
    first, last = notice_of(raised, stage.system), notice_of(cleared, stage.system)
    assert (
        first.since == "2026-01-01T00:00:00Z"
        and first.sure == "What came since is 1,000 times likelier with a change than without one."
    )
    assert first.advice
    assert "as usual again since 2026-01-01 03:00" in last.what and not last.advice


FAILING, WELL = (900, 100), (1_000, 0)


def looked(watch, shares, begin_us, counted=(0, 0)):
    """The server's counts, every ten seconds; what they are at the end."""
    served, failed = counted
    for place, (more, worse) in enumerate(shares):
        served, failed = served + more, failed + worse
        lines = (("200", served), ("503", failed))
        said = [f'modelwright_responses_total{{route="/predict",status="{code}"}} {n}' for code, n in lines]
        watch.requests.look("\n".join(said), begin_us + place * 10_000_000)
    return served, failed


def test_how_requests_are_answered_is_of_no_release_and_told_once_whoever_answers(stage, watch, controller):
    counts = looked(watch, [WELL, FAILING, WELL, WELL, WELL], T0 + HOUR)
    controller.tell(T0 + 2 * HOUR)
    assert told(stage) == [("errors", "raised"), ("errors", "cleared")]
    counts = looked(watch, [FAILING], T0 + 3 * HOUR, counts)
    controller.tell(T0 + 3 * HOUR)
    release = stage.trainer.train("model", T0 + 3 * HOUR, controller.number + 1, None, 0).release
    stage.journal.append("promoted", T0 + 3 * HOUR, release=release, summary="by hand", point=moved(stage, release))
    follow(watch, release)
    controller.tell(T0 + 4 * HOUR)
    assert told(stage) == [("errors", "raised"), ("errors", "cleared"), ("errors", "raised")]
    looked(watch, [WELL, WELL, WELL], T0 + 5 * HOUR, counts)
    controller.tell(T0 + 6 * HOUR)
    assert told(stage)[3:] == [("errors", "cleared")]


@pytest.mark.parametrize("first", [WELL, FAILING])
def test_failing_requests_of_before_a_restart_are_told_to_have_ended(stage, watch, controller, first):
    looked(watch, [WELL, FAILING], T0 + HOUR)
    controller.tell(T0 + 2 * HOUR)
    again = QualityWatch(30 * DAY)
    restarted = new(stage, again)
    follow(again, controller.pointer.champion)
    counts = looked(again, [first], T0 + 3 * HOUR)
    assert first is WELL or restarted.tell(T0 + 3 * HOUR) == []
    looked(again, [WELL, WELL, WELL, WELL], T0 + 4 * HOUR, counts)
    (ended,) = restarted.tell(T0 + 5 * HOUR)
    assert (ended.evidence["what"], ended.evidence["state"]) == ("errors", "cleared")
    (raised, _) = [row for row in stage.journal.rows() if "what" in row.evidence]
    assert ended.evidence["began_us"] == raised.evidence["began_us"]
