"""A trigger is due when its condition holds, and says so with its figures."""

from dataclasses import dataclass

import pytest

from modelwright import retrain
from modelwright.core.errors import DeclarationError
from modelwright.stats.rise import RiseTest

DAY = 86_400_000_000


@dataclass
class View:
    now_us: int = 0
    trained_us: int = 0
    losses_since_training: int = 1_000
    declaration: str = "a" * 64
    trained_declaration: str = "a" * 64
    risen: RiseTest | None = None
    drifted: tuple | None = None

    def rise(self, drop, rows):
        return self.risen

    def drift(self):
        return self.drifted


@pytest.mark.parametrize(("age", "due"), [(30 * DAY - 1, False), (30 * DAY, True), (45 * DAY, True)])
def test_every(age, due):
    reason = retrain.every("30d").due(View(now_us=DAY + age, trained_us=DAY))
    assert reason == ("30d since the last training" if due else None)


def test_decay_is_a_rise_that_is_shown():
    rise = RiseTest(mean=0.2, variance=0.16, reference_rows=500, drop=0.1, rows=500)
    assert retrain.on_decay(drop=0.1, rows=500).due(View(risen=rise)) is None
    for row in range(500):
        rise.add(float(row % 2))
    reason = retrain.on_decay(drop=0.1, rows=500).due(View(risen=rise))
    assert reason == "mean loss 0.5000 over the last 500 outcomes, 0.3000 above the 0.2000 it was gated with"
    assert retrain.on_decay(drop=0.1, rows=500).due(View()) is None  # nothing is known


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
