"""Metrics, losses and distances over any outcomes and scores: held to brute force, to symmetries and to each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.spec.metric import METRICS
from modelwright.stats.losses import row_losses
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Predictions
from modelwright.stats.reference import psi, reference_of_numbers, reference_of_texts

BINARY = sorted(name for name, metric in METRICS.items() if "bool" in metric.kinds)
SCORES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1, allow_subnormal=False))
ROWS = st.lists(st.tuples(st.booleans(), SCORES), min_size=1, max_size=30)
VALUES = st.one_of(st.just(math.nan), st.sampled_from([0.0, 1.0]), st.floats(-1e12, 1e12))
COUNTS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=20)


def said(rows: list[tuple[bool, float]]) -> tuple[np.ndarray, Predictions]:
    score = np.array([score for _, score in rows])
    y = np.array([true for true, _ in rows])
    return y, Predictions.of_classes(np.column_stack([1 - score, score]), (False, True))


@given(ROWS)
def test_the_area_is_the_share_of_pairs_in_the_right_order(rows):
    pairs = [(a, b) for true, a in rows if true for false, b in rows if not false]
    area = metric_value("roc_auc", *said(rows))
    if not pairs:
        assert math.isnan(area)
        return
    assert area == pytest.approx(sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs))


@given(ROWS)
def test_average_precision_goes_down_the_scores_threshold_by_threshold(rows):
    y, predictions = said(rows)
    if not y.any():
        assert math.isnan(metric_value("average_precision", y, predictions))
        return
    total, recall = 0.0, 0.0
    for threshold in sorted({score for _, score in rows}, reverse=True):
        taken = [true for true, score in rows if score >= threshold]
        total += (sum(taken) / y.sum() - recall) * sum(taken) / len(taken)
        recall = sum(taken) / y.sum()
    assert metric_value("average_precision", y, predictions) == pytest.approx(total)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_says_nothing(rows, random):
    shuffled = random.sample(rows, len(rows))
    for name in BINARY:
        ours, theirs = metric_value(name, *said(rows)), metric_value(name, *said(shuffled))
        assert ours == pytest.approx(theirs, nan_ok=True)


@given(ROWS)
def test_metrics_of_classes_lie_where_they_may(rows):
    for name in BINARY:
        value = metric_value(name, *said(rows))
        assert math.isnan(value) or value >= 0
        assert math.isnan(value) or name == "log_loss" or value <= 1 + 1e-12


@given(ROWS, st.data())
def test_losses_of_some_rows_are_some_of_the_losses(rows, data):
    y, predictions = said(rows)
    some = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    for name in BINARY:
        losses = row_losses(name, y, predictions)
        assert row_losses(name, y[some], predictions.take(some)).tolist() == losses[some].tolist()
        assert ((losses >= 0) & (losses <= 1)).all()


@given(st.lists(VALUES, max_size=60), st.lists(VALUES, max_size=60))
def test_every_number_falls_into_one_bin(was, now):
    reference = reference_of_numbers("x", np.array(was, dtype=float))
    assert sum(reference.counts) == len(was)
    assert reference.counts[-1] == sum(map(math.isnan, was))
    counts = reference.count(np.array(now, dtype=float))
    assert (counts.sum(), len(counts)) == (len(now), len(reference.counts))
    assert reference.distance(counts) >= 0
    assert reference.distance(np.array(reference.counts)) == 0


@given(st.lists(st.none() | st.text(max_size=2), max_size=60), st.lists(st.none() | st.text(max_size=2), max_size=60))
def test_every_text_falls_into_one_bin(was, now):
    reference = reference_of_texts("x", was)
    counts = reference.count(now)
    assert sum(reference.counts) == len(was) and counts.sum() == len(now)
    assert counts[-1] == now.count(None)
    assert reference_of_texts("x", was[::-1]) == reference


@given(st.floats(-1e6, 1e6), st.integers(60, 100), st.floats(-1e6, 1e6), st.randoms(use_true_random=False))
def test_a_usual_value_that_becomes_another_is_seen(usual, times, other, random):
    rest = [random.uniform(-1e6, 1e6) for _ in range(100 - times)]
    reference = reference_of_numbers("x", np.array([usual] * times + rest))
    moved = reference.distance(reference.count(np.array([other] * times + rest)))
    assert moved == 0 if other == usual else moved > 0.2


@given(COUNTS)
def test_the_index_is_a_distance_that_knows_no_direction(counts):
    was, now = (np.array(side) for side in zip(*counts, strict=True))
    assert psi(was, now) == pytest.approx(psi(now, was))
    assert psi(was, now) >= 0
    assert psi(was, was) == 0
