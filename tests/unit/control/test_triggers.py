"""A trigger is due when its condition holds, and says so with its figures."""

from dataclasses import dataclass

import pytest

from modelwright import retrain
from modelwright.core.errors import DeclarationError

DAY = 86_400_000_000


@dataclass
class View:
    now_us: int = 0
    trained_us: int = 0
    losses_since_training: int = 1_000
    declaration: str = "a" * 64
    trained_declaration: str = "a" * 64
    recent: tuple = (0.5, 0.25, 500)
    reference: tuple = (0.2, 0.16, 500)
    drifted: tuple | None = None

    def recent_loss(self, rows):
        return self.recent

    def reference_loss(self):
        return self.reference

    def drift(self):
        return self.drifted


@pytest.mark.parametrize(("age", "due"), [(30 * DAY - 1, False), (30 * DAY, True), (45 * DAY, True)])
def test_every(age, due):
    reason = retrain.every("30d").due(View(now_us=DAY + age, trained_us=DAY))
    assert reason == ("30d since the last training" if due else None)


def test_decay_is_a_rise_beyond_chance_and_beyond_the_drop():
    reason = retrain.on_decay(drop=0.1, rows=500).due(View())
    assert reason == "mean loss 0.5000 over the last 500 outcomes, 0.3000 above the 0.2000 it was gated with"
    assert retrain.on_decay(drop=0.25, rows=500).due(View()) is None  # 0.3 may be 0.22 and luck
    assert retrain.on_decay(drop=0.0, rows=500).due(View(recent=(0.26, 0.19, 500))) is None
    assert retrain.on_decay(drop=0.0, rows=500).due(View(recent=(0.1, 0.09, 500))) is None


def test_decay_waits_for_outcomes_after_a_training():
    decay = retrain.on_decay(rows=500)
    assert decay.due(View(recent=(0.5, 0.25, 499))) is None
    assert decay.due(View(reference=(0.0, 0.0, 0))) is None
    assert decay.due(View(recent=(0.5, 0.25, 500))) is not None


def test_rows_are_outcomes_since_the_last_training():
    assert retrain.on_rows(1_000).due(View()) == "1,000 outcomes since the last training"
    assert retrain.on_rows(1_001).due(View()) is None


def test_a_change_is_another_hash_than_the_newest_candidates():
    change = retrain.on_change()
    assert change.due(View()) is None
    assert change.due(View(declaration="b" * 64)) == "the declaration changed from aaaaaaaaaaaa to bbbbbbbbbbbb"
    assert change.due(View(declaration="b" * 64, trained_declaration="")) is None


def test_a_pace_counts_trainings_and_their_age():
    pace = retrain.on_rows(1, cool_down="1d", at_most="2/week").pace
    assert pace.holds(8 * DAY, []) is None
    assert pace.holds(8 * DAY, [7 * DAY + 1]) == "the last training is less than 1d old"
    assert pace.holds(8 * DAY, [7 * DAY]) is None
    assert pace.holds(8 * DAY, [DAY + 1, 7 * DAY]) == "2 of at most 2 trainings within 7d are made"
    assert pace.holds(8 * DAY, [DAY, 7 * DAY]) is None


def test_decay_without_spread_is_decided_by_the_means():
    assert retrain.on_decay(rows=30).due(View(recent=(0.3, 0.0, 30), reference=(0.3, 0.0, 30))) is None
    assert retrain.on_decay(rows=30).due(View(recent=(0.31, 0.0, 30), reference=(0.3, 0.0, 30))) is not None


def test_drift_is_an_alarm_that_is_large_enough():
    said = ("drift of amount since yesterday", 0.15)
    assert retrain.on_drift().due(View()) is None
    assert retrain.on_drift().due(View(drifted=said)) == said[0]
    assert retrain.on_drift(size=0.15).due(View(drifted=said)) == said[0]
    assert retrain.on_drift(size=0.2).due(View(drifted=said)) is None


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: retrain.every("a month"), r"retrain\.every='a month' is not a duration"),
        (lambda: retrain.every("0d"), "must be longer than nothing"),
        (lambda: retrain.on_decay(drop=-0.1), r"retrain\.on_decay\(drop=-0\.1\): 0 or more"),
        (lambda: retrain.on_decay(rows=29), r"retrain\.on_decay\(rows=29\): at least 30"),
        (lambda: retrain.on_decay(rows=50.0), "at least 30"),
        (lambda: retrain.on_rows(0), r"retrain\.on_rows\(0\): a whole number from 1 up"),
        (
            lambda: retrain.every("1d", at_most="often"),
            r"retrain\.every\(at_most=\'often\'\): give a number a time, such",
        ),
        (lambda: retrain.on_decay(at_most="0/day"), "give a number a time"),
        (lambda: retrain.on_change(cool_down="a bit"), "is not a duration"),
        (lambda: retrain.on_drift(size=-1), r"retrain\.on_drift\(size=-1\): 0 or more"),
    ],
)
def test_a_trigger_that_cannot_be_is_refused_when_declared(declare, message):
    with pytest.raises(DeclarationError, match=message):
        declare()
