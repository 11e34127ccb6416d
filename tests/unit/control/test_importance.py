"""Importance is how much the answers move when a column says nothing."""

import numpy as np
import pytest

from modelwright.control.importance import importance_of
from modelwright.release.inputs import InputColumn, Rows
from modelwright.stats.predictions import Predictions

COLUMNS = (
    InputColumn(name="a", kind="number"),
    InputColumn(name="t", kind="text", vocabulary=("x", "y")),
    InputColumn(name="b", kind="number"),
)


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    return Rows(random.normal(size=(2_000, 2)), (random.choice(["x", "y"], 2_000).tolist(),))


def classes(score):
    return Predictions.of_classes(np.column_stack([1 - score, score]), (False, True))


def test_what_the_answer_does_not_hang_on_weighs_nothing(rows):
    def predict(given):
        return classes(0.5 + 0.1 * np.tanh(given.numbers[:, 1]) + 0.2 * np.array([t == "x" for t in given.texts[0]]))

    a, t, b = importance_of(predict, COLUMNS, rows, 0)
    assert a == 0.0
    assert t > b > 0
    assert a + t + b == pytest.approx(1.0)
    assert importance_of(predict, COLUMNS, rows, 0) == [a, t, b]


def test_of_amounts_and_of_labels_alone(rows):
    def amounts(given):
        return Predictions(3.0 * given.numbers[:, 0])

    def labels(given):
        return Predictions(given.numbers[:, 0] > 0, None, (False, True))

    assert importance_of(amounts, COLUMNS, rows, 0) == [1.0, 0.0, 0.0]
    assert importance_of(labels, COLUMNS, rows, 0) == [1.0, 0.0, 0.0]


def test_a_model_that_always_says_the_same_has_none(rows):
    assert importance_of(lambda given: Predictions(np.ones(len(given))), COLUMNS, rows, 0) == [0.0, 0.0, 0.0]
