"""Each metric against scikit-learn's, and what it is where scikit-learn gives up."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from modelwright.spec.metric import METRICS
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Predictions

CLASSES = ("a", "b", "c")
BINARY = sorted(name for name, metric in METRICS.items() if "bool" in metric.kinds)
AMOUNT = sorted(name for name, metric in METRICS.items() if "float" in metric.kinds)


def binary(rows: int, seed: int, *, ties: bool = False) -> tuple[np.ndarray, Predictions]:
    random = np.random.default_rng(seed)
    score = random.random(rows)
    score = np.round(score, 1) if ties else score
    return random.random(rows) < score, Predictions.of_classes(np.column_stack([1 - score, score]), (False, True))


def many(rows: int, seed: int) -> tuple[np.ndarray, Predictions]:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([1, 1, 1], rows)
    return random.choice(np.array(CLASSES, dtype=object), rows), Predictions.of_classes(probabilities, CLASSES)


def amounts(rows: int, seed: int) -> tuple[np.ndarray, Predictions]:
    random = np.random.default_rng(seed)
    y = random.normal(100, 20, rows)
    return y, Predictions(y + random.normal(1, 5, rows))


OF_BINARY = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p.value),
    "roc_auc": lambda y, p: sk.roc_auc_score(y, p.score),
    "average_precision": lambda y, p: sk.average_precision_score(y, p.score),
    "f1": lambda y, p: sk.f1_score(y, p.value),
    "precision": lambda y, p: sk.precision_score(y, p.value, zero_division=0.0),
    "recall": lambda y, p: sk.recall_score(y, p.value),
    "brier": lambda y, p: sk.brier_score_loss(y, p.score),
    "log_loss": lambda y, p: sk.log_loss(y, np.clip(p.score, 1e-15, 1 - 1e-15)),
}
OF_AMOUNT = {
    "mae": lambda y, p: sk.mean_absolute_error(y, p.value),
    "rmse": lambda y, p: sk.root_mean_squared_error(y, p.value),
    "r2": lambda y, p: sk.r2_score(y, p.value),
}


def test_every_metric_that_can_be_declared_is_held_to_scikit_learn():
    assert set(OF_BINARY) == set(BINARY)
    assert set(OF_AMOUNT) == set(AMOUNT)
    assert set(BINARY) | set(AMOUNT) == set(METRICS)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("rows", [2, 3, 10, 500])
def test_two_classes(name, ties, rows):
    compared = 0
    for seed in range(12):
        y, predictions = binary(rows, seed, ties=ties)
        if y.all() or not y.any():
            continue
        assert metric_value(name, y, predictions) == pytest.approx(OF_BINARY[name](y, predictions), abs=1e-12)
        compared += 1
    assert compared


@pytest.mark.parametrize("name", ["accuracy", "log_loss"])
@pytest.mark.parametrize("rows", [3, 400])
def test_many_classes(name, rows):
    for seed in range(12):
        y, predictions = many(rows, seed)
        theirs = (
            sk.accuracy_score(y.tolist(), predictions.value.tolist())
            if name == "accuracy"
            else sk.log_loss(y.tolist(), predictions.probabilities, labels=CLASSES)
        )
        assert metric_value(name, y, predictions) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("name", AMOUNT)
@pytest.mark.parametrize("rows", [2, 400])
def test_amounts(name, rows):
    for seed in range(12):
        y, predictions = amounts(rows, seed)
        assert metric_value(name, y, predictions) == pytest.approx(OF_AMOUNT[name](y, predictions), abs=1e-9)


def test_whole_numbers_are_amounts():
    assert metric_value("mae", np.array([1, 2, 3]), Predictions(np.array([1.5, 2.0, 5.0]))) == pytest.approx(2.5 / 3)


@pytest.mark.parametrize("name", METRICS)
def test_no_rows_have_no_metric(name):
    y, predictions = (amounts if name in AMOUNT else binary)(0, 0)
    assert math.isnan(metric_value(name, y, predictions))


@pytest.mark.parametrize(
    ("name", "all_true", "all_false"),
    [
        ("roc_auc", math.nan, math.nan),
        ("average_precision", 1.0, math.nan),
        ("recall", 0.5, math.nan),
        ("precision", 1, 0),
    ],
)
def test_one_class_alone(name, all_true, all_false):
    score = np.array([0.1, 0.2, 0.8, 0.9])
    said = Predictions.of_classes(np.column_stack([1 - score, score]), (False, True))
    for y, value in ((np.ones(4, bool), all_true), (np.zeros(4, bool), all_false)):
        assert metric_value(name, y, said) == pytest.approx(value, nan_ok=True)


def test_nothing_said_and_nothing_there():
    never = Predictions.of_classes(np.array([[0.9, 0.1]] * 3), (False, True))
    assert metric_value("precision", np.array([True, False, True]), never) == 0.0
    assert metric_value("f1", np.array([True, False, True]), never) == 0.0
    assert math.isnan(metric_value("f1", np.zeros(3, bool), never))


def test_a_constant_outcome_has_no_r2():
    assert math.isnan(metric_value("r2", np.array([3.0, 3.0]), Predictions(np.array([3.0, 4.0]))))


def test_equal_scores_rank_nobody():
    same = Predictions.of_classes(np.full((6, 2), 0.5), (False, True))
    y = np.array([True, False, False, True, False, False])
    assert metric_value("roc_auc", y, same) == 0.5
    assert metric_value("average_precision", y, same) == pytest.approx(1 / 3)


def test_an_outcome_never_seen_in_training_counts_as_impossible():
    said = Predictions.of_classes(np.array([[0.7, 0.3], [0.2, 0.8]]), ("a", "b"))
    y = np.array(["a", "new"], dtype=object)
    assert metric_value("accuracy", y, said) == 0.5
    assert metric_value("log_loss", y, said) == pytest.approx((-math.log(0.7) - math.log(1e-15)) / 2)


def test_one_confident_miss_is_not_infinite():
    sure = Predictions.of_classes(np.array([[1.0, 0.0]]), (False, True))
    assert metric_value("log_loss", np.array([True]), sure) == pytest.approx(-math.log(1e-15))


def test_a_metric_that_needs_a_score_says_so_where_there_is_none():
    without = Predictions(np.array([True, False]), None, (False, True))
    y = np.array([True, False])
    assert metric_value("accuracy", y, without) == 1.0
    for name, needed in (("roc_auc", "score"), ("brier", "score"), ("log_loss", "probabilities")):
        with pytest.raises(ValueError, match=f"this metric needs .*{needed}"):
            metric_value(name, y, without)
