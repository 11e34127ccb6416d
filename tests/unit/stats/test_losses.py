"""The loss of a row: its mean is the metric where a single row has one, and a proper stand-in where none has."""

import numpy as np
import pytest

from modelwright.spec.metric import METRICS
from modelwright.stats.losses import row_losses
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Predictions

RANDOM = np.random.default_rng(5)
P = RANDOM.random(200)
Y = RANDOM.random(200) < P
SAID = Predictions.of_classes(np.column_stack([1 - P, P]), (False, True))
PROBABILITIES = RANDOM.dirichlet([1, 1, 1], 200)
TEXTS = RANDOM.choice(np.array(["a", "b", "c"], dtype=object), 200)
SAID_TEXTS = Predictions.of_classes(PROBABILITIES, ("a", "b", "c"))


@pytest.mark.parametrize("name", ["accuracy", "f1", "precision", "recall"])
def test_accuracy_and_its_like_count_errors(name):
    losses = row_losses(name, Y, SAID)
    assert set(losses.tolist()) == {0.0, 1.0}
    assert losses.mean() == pytest.approx(1 - metric_value("accuracy", Y, SAID))


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "brier"])
def test_ranking_is_stood_in_for_by_brier(name):
    losses = row_losses(name, Y, SAID)
    assert losses.mean() == pytest.approx(metric_value("brier", Y, SAID))


def test_log_loss_is_stood_in_for_by_what_the_outcome_was_not_given():
    assert row_losses("log_loss", Y, SAID) == pytest.approx(np.where(Y, 1 - P, P))
    given = [row[("a", "b", "c").index(text)] for row, text in zip(PROBABILITIES, TEXTS, strict=True)]
    assert row_losses("log_loss", TEXTS, SAID_TEXTS) == pytest.approx(1 - np.array(given))


def test_texts_count_errors():
    assert row_losses("accuracy", TEXTS, SAID_TEXTS).mean() == pytest.approx(
        1 - metric_value("accuracy", TEXTS, SAID_TEXTS)
    )


def test_a_text_never_seen_is_a_full_loss():
    new = np.array(["new"] * 200, dtype=object)
    assert (
        row_losses("accuracy", new, SAID_TEXTS).tolist()
        == row_losses("log_loss", new, SAID_TEXTS).tolist()
        == [1.0] * 200
    )


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "brier"])
def test_without_a_score_an_error_is_an_error(name):
    assert row_losses(name, Y, Predictions(SAID.value, None, (False, True))).tolist() == (SAID.value != Y).tolist()


@pytest.mark.parametrize("name", ["mae", "rmse", "r2"])
def test_amounts_count_the_absolute_error(name):
    y, said = np.array([1, -2, 3]), Predictions(np.array([1.5, -2.0, 0.0]))
    assert row_losses(name, y, said).tolist() == [0.5, 0.0, 3.0]


@pytest.mark.parametrize("name", sorted(name for name, metric in METRICS.items() if "bool" in metric.kinds))
def test_a_loss_of_a_class_lies_between_nought_and_one_and_is_least_for_the_truth(name):
    losses = row_losses(name, Y, SAID)
    assert losses.dtype == float and losses.shape == Y.shape
    assert ((losses >= 0) & (losses <= 1)).all()
    truth = Predictions.of_classes(np.column_stack([~Y, Y]).astype(float), (False, True))
    assert row_losses(name, Y, truth).tolist() == [0.0] * 200
