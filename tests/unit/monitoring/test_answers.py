"""A period is judged by the answers whose outcome came due in it, against what they can fairly be held to."""

from types import SimpleNamespace

import numpy as np
import pytest

from modelwright import gate
from modelwright.monitoring.answers import MOST, Answers, Figure, answers_of, apart, quality_of
from modelwright.monitoring.ledger import Ledger, Scored
from modelwright.spec.metric import METRICS
from modelwright.stats.predictions import Predictions

HOUR = 3_600_000_000
DAY = 24 * HOUR


def system_of(*gates, delay_us=0):
    return SimpleNamespace(metric=METRICS["accuracy"], gates=gates, label=SimpleNamespace(delay_us=delay_us))


class Book:
    """A ledger with one answer an hour; `answer(days, right)` adds days of which that share is right."""

    def __init__(self):
        self.ledger = Ledger("accuracy", (False, True))
        self.random = np.random.default_rng(5)
        self.hours = 0

    def answer(self, days, right, known=True):
        for _ in range(24 * days):
            self.ledger.predicted(self.hours, self.hours * HOUR, Scored("r1", True, (0.1, 0.9), (False, True)))
            if known:
                self.ledger.known(self.hours, bool(self.random.random() < right))
            self.hours += 1
        self.ledger.settle()

    def quality(self, system, days, rivals=None):
        until_us = self.hours * HOUR
        answers = answers_of(self.ledger, rivals)
        return quality_of(system, self.ledger, answers, until_us - days * DAY, until_us)


@pytest.fixture
def book():
    return Book()


def test_now_is_the_period_and_before_is_as_long_before_it(book):
    book.answer(60, 0.5)
    book.answer(30, 0.7)
    book.answer(30, 0.95)
    quality = book.quality(system_of(), 30)
    assert (quality.now.rows, quality.before.rows) == (30 * 24, 30 * 24)
    assert 0.93 < quality.now.value < 0.97 and 0.65 < quality.before.value < 0.75
    assert quality.change == "better"
    assert book.quality(system_of(), 60).change == "better"


def test_what_chance_makes_is_no_change(book):
    book.answer(60, 0.8)
    assert book.quality(system_of(), 30).change == ""


def test_worse_is_worse_also_where_lower_is_better(book):
    book.answer(30, 0.95)
    book.answer(30, 0.7)
    assert book.quality(system_of(), 30).change == "worse"
    errors = SimpleNamespace(**vars(system_of()) | {"metric": METRICS["mae"]})
    book.ledger = Ledger("mae", ())
    for hour in range(60 * 24):
        book.ledger.predicted(hour, hour * HOUR, Scored("r1", 0.0, None))
        book.ledger.known(hour, float(hour % 3) + (0.0 if hour < 30 * 24 else 5.0))
    book.ledger.settle()
    assert book.quality(errors, 30).change == "worse"


def test_a_period_is_of_outcomes_that_came_due_in_it(book):
    book.answer(20, 0.9)
    book.answer(10, 0.9, known=False)  # not due yet
    quality = book.quality(system_of(delay_us=10 * DAY), 10)
    assert quality.now.rows == 10 * 24
    assert quality.waiting == 10 * 24
    assert quality.now is not None and quality.known == quality.now.rows
    assert book.quality(system_of(), 10).now is None


@pytest.mark.parametrize(
    ("bound", "holds", "surely"), [(0.5, True, True), (0.79, True, False), (0.83, False, False), (0.95, False, True)]
)
def test_a_gate_is_held_to_live_answers_with_how_sure_that_is(book, bound, holds, surely):
    book.answer(30, 0.8)
    (held,) = book.quality(system_of(gate.metric("accuracy", at_least=bound), gate.better_than("baseline")), 30).gates
    assert (held.holds, held.surely) == (holds, surely), held.figure


def test_a_gate_from_above(book):
    book.answer(30, 0.8)
    (held,) = book.quality(system_of(gate.metric("brier", at_most=0.1)), 30).gates
    assert (held.holds, held.surely, held.at_least) == (False, True, False)


def test_rivals_are_of_the_same_requests(book):
    book.answer(30, 0.6)
    always = {"the baseline": Predictions(np.zeros(30 * 24, dtype=bool))}
    quality = book.quality(system_of(), 10, always)
    rival = quality.rivals["the baseline"]
    assert rival.rows == quality.now.rows == 240
    assert rival.value == pytest.approx(1 - quality.now.value)


def test_rows_that_settle_late_are_put_in_the_order_of_their_requests():
    ledger = Ledger("accuracy", (False, True))
    for hour in (0, 1, 2):
        ledger.predicted(hour, hour * HOUR, Scored("r1", hour == 1, None, (False, True)))
    for hour in (2, 0, 1):
        ledger.known(hour, True)
        ledger.settle()
    answers = answers_of(ledger, {"frozen": Predictions(np.array([True, False, False]))})
    assert answers.at_us.tolist() == [0, HOUR, 2 * HOUR]
    assert answers.said.value.tolist() == [False, True, False]
    assert answers.rivals["frozen"].value.tolist() == [False, False, True]
    assert answers_of(ledger, since_us=HOUR).at_us.tolist() == [HOUR, 2 * HOUR]


def test_of_very_many_outcomes_the_newest_are_looked_at():
    rows = MOST + 5_000
    right = np.arange(rows) >= 5_000
    answers = Answers(np.arange(rows), right, Predictions(np.ones(rows, dtype=bool)))
    figure = answers.between(0, rows).figure("accuracy")
    assert (figure.rows, figure.value) == (MOST, 1.0)


def test_who_gives_no_probabilities_has_no_ranking():
    answers = Answers(np.arange(100), np.arange(100) % 2 == 0, Predictions(np.ones(100, dtype=bool)))
    assert answers.figure("roc_auc") is None
    assert answers.between(500, 600).figure("accuracy") is None


def figure(value, low, high):
    return Figure(value=value, low=low, high=high, rows=1_000)


def test_two_figures_are_apart_where_chance_does_not_reach_from_one_to_the_other():
    assert apart(figure(0.9, 0.89, 0.91), figure(0.85, 0.84, 0.86))
    assert not apart(figure(0.9, 0.86, 0.91), figure(0.85, 0.84, 0.89))
    assert not apart(figure(0.9, 0.89, 0.91), figure(0.85, 0.7, 0.95))
    assert not apart(figure(0.9, None, None), figure(0.1, 0.05, 0.15))
