"""An interval holds the metric's true value about as often as it says, of few rows, of none wrong, of rows that are alike."""

import math

import numpy as np
import pytest

from modelwright.stats.intervals import CONFIDENCE, metric_interval, student, wilson
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Predictions

RUNS = 100


def said(random, rows, strength=1.5, alike=1):
    """Outcomes and scores that know something of them; `alike`: so many rows in a row share their luck."""
    y = random.random(rows) < 0.4
    luck = np.repeat(random.normal(size=-(-rows // alike)), alike)[:rows]
    own = random.normal(size=rows)
    noise = luck if alike > 1 else own
    score = 1 / (1 + np.exp(-(strength * (y - 0.5) + noise)))
    return y, Predictions.of_classes(np.column_stack([1 - score, score]), (False, True))


def held(name, rows, alike, runs):
    random = np.random.default_rng(5)
    truth = metric_value(name, *said(random, 100_000, alike=alike))
    found = [metric_interval(name, *said(random, rows, alike=alike)) for _ in range(runs)]
    return np.mean([one.low <= truth <= one.high for one in found])


def stated(runs):
    """Two standard errors of the count below what is stated, and 4 points for what twenty parts do not see."""
    return CONFIDENCE - 0.04 - 2 * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / runs)


@pytest.mark.parametrize(("name", "rows", "alike"), [("accuracy", 60, 1), ("accuracy", 1_000, 10), ("roc_auc", 200, 1)])
def test_the_truth_is_inside_about_as_often_as_stated(name, rows, alike):
    assert held(name, rows, alike, 60) > stated(60)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["accuracy", "roc_auc", "average_precision", "f1", "precision", "recall", "brier", "log_loss"]
)
@pytest.mark.parametrize(("rows", "alike"), [(60, 1), (600, 1), (1_000, 10)])
def test_so_it_is_of_every_metric(name, rows, alike):
    assert held(name, rows, alike, 200) > stated(200)


@pytest.mark.parametrize("name", ["mae", "rmse"])
def test_amounts_as_well(name):
    random = np.random.default_rng(6)

    def drawn(rows):
        y = random.normal(size=rows)
        return y, Predictions(y + random.normal(size=rows))

    truth = metric_value(name, *drawn(200_000))
    found = [metric_interval(name, *drawn(200)) for _ in range(RUNS)]
    assert np.mean([one.low <= truth <= one.high for one in found]) > 0.89
    assert np.mean([one.high - one.low for one in found]) < 0.4


def test_no_error_in_few_rows_is_no_certainty():
    y = np.array([True, False] * 4)
    sure = Predictions.of_classes(np.column_stack([~y, y]).astype(float), (False, True))
    found = metric_interval("accuracy", y, sure)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low < 0.7
    assert metric_interval("roc_auc", y, sure).low < 0.75


def test_rows_that_are_alike_say_less():
    random = np.random.default_rng(7)

    def width(alike):
        found = [metric_interval("accuracy", *said(random, 2_000, alike=alike)) for _ in range(20)]
        return np.mean([one.high - one.low for one in found])

    widths = [width(1), width(50)]
    assert widths[1] > 2 * widths[0]


def test_what_is_not_defined_is_said_to_be_anything():
    one_class = np.ones(5, dtype=bool)
    answers = Predictions.of_classes(np.tile([0.4, 0.6], (5, 1)), (False, True))
    found = metric_interval("roc_auc", one_class, answers)
    assert (found.value, found.low, found.high) == (None, 0.0, 1.0)
    found = metric_interval("mae", np.array([1.0]), Predictions(np.array([3.0])))
    assert (found.value, found.low, found.high) == (2.0, None, None)
    assert metric_interval("mae", np.array([]), Predictions(np.array([]))).value is None


def test_quantiles_are_those_of_the_tables():
    assert [round(student(0.95, freedom), 2) for freedom in (3, 5, 10, 30)] == pytest.approx(
        [3.18, 2.57, 2.23, 2.04], abs=0.03
    )
    assert student(0.95, 0) == math.inf
    assert wilson(0.5, 10, 1.96) == pytest.approx((0.2366, 0.7634), abs=1e-3)
