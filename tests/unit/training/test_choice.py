"""Of several models and parts of history the pair is taken that does best on folds in order of time."""

import numpy as np
import pytest

from modelwright.core.errors import TrainingError
from modelwright.release.inputs import Rows
from modelwright.spec import past
from modelwright.training.choice import choose, folds_of, taken, weights_of
from modelwright.training.examples import Examples, split_by_time

DAY = 86_400_000_000


def examples(days: int, *, delay: int = 0) -> Examples:
    """Ten rows a day, an outcome `delay` days later."""
    at_us = np.arange(days * 10) * (DAY // 10)
    places = np.arange(len(at_us))
    return Examples(
        names=("x",), is_text=(False,), rows=Rows(places.astype(float).reshape(-1, 1)), ids=places.astype(object),
        seq=places, at_us=at_us, outcome_of=places, outcome=places % 2 == 0, known_us=at_us + delay * DAY + 1,
    )  # fmt: skip


@pytest.fixture
def history():
    return examples(200)


@pytest.fixture
def split(history):
    return split_by_time(history, int(history.known_us[-1]), 7 * DAY)


def pick(history, split, models, pasts, judge, *, higher_is_better=True):
    return choose(models, pasts, history, split, str, judge, None, higher_is_better=higher_is_better)


def test_folds_follow_one_another_and_look_at_no_held_back_row(history, split):
    folds = folds_of(history, split)
    assert len(folds) == 3
    assert folds[0].held_back[-1] == split.train[-1]
    for newer, older in zip(folds, folds[1:], strict=False):
        assert older.held_back[-1] + 1 == newer.held_back[0]
    for fold in folds:
        assert set(fold.train) | set(fold.held_back) <= set(split.train)
        assert history.at_us[fold.train].max() < fold.at_us <= history.at_us[fold.held_back].min()


def test_a_fold_is_fitted_on_outcomes_known_when_it_begins():
    history = examples(200, delay=5)
    split = split_by_time(history, int(history.known_us[-1]), 7 * DAY)
    for fold in folds_of(history, split):
        assert history.known_us[fold.train].max() <= fold.at_us


def test_one_alternative_costs_nothing(history, split):
    def judge(alternative, fold):
        raise AssertionError("tried")

    assert pick(history, split, ["a"], [past.all()], judge) == (("a", past.all()), ())


@pytest.mark.parametrize(("higher", "best"), [(True, "b"), (False, "c")])
def test_the_best_mean_over_the_folds_is_taken(history, split, higher, best):
    values = {"a": [0.5, 0.5, 0.5], "b": [0.9, 0.5, 0.4], "c": [0.9, 0.1, 0.1]}
    said = {name: iter(given) for name, given in values.items()}
    (model, _), tried = pick(
        history, split, list(values), [past.all()], lambda one, fold: next(said[one.model]), higher_is_better=higher
    )
    assert model == best
    assert [(one.model, round(one.value, 3), one.folds) for one in tried] == [
        ("a", 0.5, 3),
        ("b", 0.6, 3),
        ("c", 0.367, 3),
    ]


def test_every_pair_is_tried_and_the_first_of_equals_is_taken(history, split):
    (model, chosen), tried = pick(history, split, ["a", "b"], [past.all(), past.last("30d")], lambda one, fold: 0.5)
    assert (model, chosen) == ("a", past.all())
    assert [(one.model, one.past) for one in tried] == [
        ("a", "all history"), ("a", "the last 30d"), ("b", "all history"), ("b", "the last 30d"),
    ]  # fmt: skip


def test_what_cannot_be_fitted_is_out_with_its_reason(history, split):
    def judge(alternative, fold):
        if alternative.model == "a":
            raise TrainingError("a broke")
        return 0.5

    (model, _), tried = pick(history, split, ["a", "b"], [past.all(), past.last("1d")], judge)
    assert model == "b"
    short = "10 rows in the last 1d; at least 20 are needed: give a longer past"
    assert [one.reason for one in tried] == ["a broke", short, "", short]
    with pytest.raises(TrainingError, match="no candidate could be fitted: a: a broke"):
        pick(history, split, ["a"], [past.all(), past.last("1d")], judge)


def test_a_metric_that_is_not_defined_is_no_figure(history, split):
    (model, _), tried = pick(
        history, split, ["a", "b"], [past.all()], lambda one, fold: np.nan if one.model == "a" else 0.1
    )
    assert model == "b"
    assert (tried[0].value, tried[0].reason) == (None, "the metric is not defined on the folds")


def test_where_history_is_too_short_the_first_is_taken():
    history = examples(5)
    split = split_by_time(history, int(history.known_us[-1]), 7 * DAY)
    (model, _), tried = pick(history, split, ["a", "b"], [past.all()], lambda one, fold: 1.0)
    assert model == "a"
    assert {one.reason for one in tried} == {"history is too short to compare"}


def test_the_last_days_are_the_rows_within_them(history, split):
    rows = taken(past.last("30d"), history, split).train
    assert history.at_us[rows].min() >= split.at_us - 30 * DAY
    assert len(rows) == (history.at_us[split.train] >= split.at_us - 30 * DAY).sum() == 300
    assert taken(past.all(), history, split) is split


def test_weights_halve_with_every_half_life(history, split):
    weights = weights_of(past.decayed("10d"), history, split)
    assert weights[-1] == pytest.approx(2 ** (-0.1 / 10))
    assert weights[-101] / weights[-1] == pytest.approx(0.5)
    assert weights_of(past.last("10d"), history, split) is None


def test_since_a_change_are_the_rows_after_it_where_enough_follow(history, split):
    change_us = split.at_us - 50 * DAY
    rows = taken(past.since_change().known(change_us), history, split).train
    assert history.at_us[rows].min() >= change_us
    assert len(rows) == 500
    assert taken(past.since_change().known(split.at_us - 39 * DAY), history, split) is split
    assert past.since_change().known(0) == past.all()
    assert past.last("3d").known(change_us) == past.last("3d")
