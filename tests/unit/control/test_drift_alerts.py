"""An alarm of drift enters the journal once, wakes a trigger once, and is the same after a restart."""

from types import SimpleNamespace

import pytest

from modelwright import retrain
from modelwright.control.controller import Controller
from modelwright.core.clock import iso
from modelwright.monitoring.drift import DriftAlarm, Drifted, DriftWatch

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000_000


def alarm(at_us, name="amount", size=0.3):
    drifted = Drifted(
        name=name, importance=0.5, since=iso(at_us - HOUR), log10=4.2, size=size, change="median 1, now 2"
    )
    return DriftAlarm(at_us=at_us, rows=500, drifted=(drifted,))


@pytest.fixture
def watch():
    return DriftWatch()


@pytest.fixture
def controller(stage, watch):
    """One on a champion that is followed; no trigger."""
    stage.system.retrain = ()
    made = Controller(stage.system, stage.journal, stage.ledger, stage.trainer, stage.releases, drift=watch)
    made.start(T0)
    follow(watch, made.pointer.champion)
    return made


def follow(watch, release, alarms=()):
    watch.release = SimpleNamespace(name=release)
    watch.monitor = SimpleNamespace(alarms=list(alarms))


def alerts(stage):
    return [row for row in stage.journal.rows() if row.kind == "alert"]


def test_an_alarm_is_told_once_with_its_figures(stage, watch, controller):
    assert controller.step(T0 + HOUR) == []
    watch.monitor.alarms.append(alarm(T0 + HOUR))
    (row,) = controller.step(T0 + 2 * HOUR)
    assert (row.kind, row.release) == ("alert", controller.pointer.champion)
    assert row.summary == "drift of amount since 2026-01-01 00:00: median 1, now 2"
    assert row.evidence["drifted"][0]["log10"] == 4.2
    assert controller.step(T0 + 3 * HOUR) == []
    watch.monitor.alarms.append(alarm(T0 + 4 * HOUR, "age"))
    assert [row.kind for row in controller.step(T0 + 5 * HOUR)] == ["alert"]


def test_a_restart_tells_no_alarm_again(stage, watch, controller):
    watch.monitor.alarms.append(alarm(T0 + HOUR))
    controller.step(T0 + 2 * HOUR)
    again = DriftWatch()
    follow(again, controller.pointer.champion, [alarm(T0 + HOUR), alarm(T0 + 3 * HOUR, "age")])
    restarted = Controller(stage.system, stage.journal, stage.ledger, stage.trainer, stage.releases, drift=again)
    restarted.step(T0 + 4 * HOUR)
    assert [row.evidence["drifted"][0]["name"] for row in alerts(stage)] == ["amount", "age"]


def test_what_is_followed_is_the_champion_or_says_nothing(stage, watch, controller):
    follow(watch, "r7-of-yesterday", [alarm(T0 + HOUR)])
    assert controller.step(T0 + 2 * HOUR) == []


def test_a_drift_is_a_reason_until_something_was_trained(stage, watch, controller):
    assert controller.drift() is None
    watch.monitor.alarms.append(alarm(T0 + HOUR))
    controller.step(T0 + 2 * HOUR)
    assert controller.drift() == ("drift of amount since 2026-01-01 00:00: median 1, now 2", 0.3)
    controller.train_once(T0 + 3 * HOUR)
    assert controller.drift() is None


def test_a_large_drift_is_a_reason_though_a_small_one_came_after_it(stage, watch, controller):
    stage.system.retrain = (retrain.on_drift(size=0.1, cool_down="3d"),)
    watch.monitor.alarms += [alarm(T0 + HOUR, size=0.3), alarm(T0 + 2 * HOUR, "age", size=0.01)]
    assert [row.kind for row in controller.step(T0 + 3 * HOUR)] == ["alert", "alert", "alert"]  # the last: held back
    again = Controller(stage.system, stage.journal, stage.ledger, stage.trainer, stage.releases, drift=watch)
    (trigger, *_) = again.step(T0 + 3 * DAY)
    assert trigger.summary == "retrain: drift of amount since 2026-01-01 00:00: median 1, now 2"


def test_a_training_that_fails_has_answered_no_alarm(stage, watch, controller):
    stage.system.retrain = (retrain.on_drift(),)
    watch.monitor.alarms.append(alarm(T0 + HOUR))
    stage.trainer.script = ["the trainer died"]
    assert [row.kind for row in controller.step(T0 + 2 * HOUR)] == ["alert", "trigger", "error"]
    again = Controller(stage.system, stage.journal, stage.ledger, stage.trainer, stage.releases, drift=watch)
    assert again.step(T0 + 3 * HOUR - 1) == []
    assert [row.kind for row in again.step(T0 + 3 * HOUR)][:2] == ["trigger", "trained"]
    assert again.drift() is None


def test_a_training_is_told_of_the_newest_change_also_after_a_restart(stage, watch, controller):
    assert stage.trainer.change_us == 0
    watch.monitor.alarms += [alarm(T0 + 3 * HOUR), alarm(T0 + 2 * HOUR, "country")]
    controller.step(T0 + 4 * HOUR)
    controller.train_once(T0 + 5 * HOUR)
    assert stage.trainer.change_us == T0 + 2 * HOUR
    stage.trainer.change_us = 0
    again = Controller(stage.system, stage.journal, stage.ledger, stage.trainer, stage.releases)
    again.train_once(T0 + 6 * HOUR)
    assert stage.trainer.change_us == T0 + 2 * HOUR
