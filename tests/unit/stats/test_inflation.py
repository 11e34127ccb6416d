"""Rows that resemble those before them count for less; independent ones count in full."""

import numpy as np
import pytest

from modelwright.stats import inflation as module
from modelwright.stats.inflation import inflation, scores_of_number
from modelwright.stats.reference import reference_of_numbers, reference_of_texts


def of_number(values):
    reference = reference_of_numbers("x", values)
    return inflation(reference.codes(values), scores_of_number(np.array(reference.counts)))


@pytest.mark.parametrize("seed", range(8))
def test_independent_rows_count_in_full(seed):
    random = np.random.default_rng(seed)
    assert of_number(random.normal(size=5_000)) == 1.0
    assert of_number(np.exp(3 * random.normal(size=5_000))) == 1.0
    assert of_number((random.random(5_000) < 0.003).astype(float)) == 1.0


def test_slow_rows_count_as_the_formula_says():
    phi, random = 0.8, np.random.default_rng(0)
    values = np.zeros(40_000)
    for place, noise in enumerate(random.normal(size=39_999), start=1):
        values[place] = phi * values[place - 1] + noise
    assert of_number(values) == pytest.approx((1 + phi) / (1 - phi), rel=0.3)


def test_a_season_is_seen_at_its_own_length():
    hour = np.arange(20_000) % 24
    noise = np.random.default_rng(0).normal(size=20_000)
    assert of_number(np.sin(2 * np.pi * hour / 24) + 0.5 * noise) > 3
    assert of_number(hour + 0.1 * noise) > 4


def test_missing_values_that_come_in_runs_and_texts_that_do():
    random = np.random.default_rng(0)
    values = np.where(np.repeat(random.random(400) < 0.2, 50), np.nan, random.normal(size=20_000))
    assert of_number(values) > 20
    texts = np.repeat(random.choice(["a", "b", "c"], 500), 20).tolist()
    reference = reference_of_texts("x", texts)
    assert inflation(reference.codes(texts), np.eye(len(reference.counts))) == pytest.approx(20, rel=0.6)


def test_too_few_rows_and_constant_ones_say_nothing():
    assert inflation(np.zeros(10, dtype=int), np.eye(2)) == 1.0
    assert inflation(np.zeros(10_000, dtype=int), np.eye(2)) == 1.0


def test_how_many_batches_are_added_up_at_once_changes_nothing(monkeypatch):
    random = np.random.default_rng(0)
    values = np.cumsum(random.normal(size=4 * 2 * module.AT_ONCE + 7 * 4 + 3))  # the last ones are fewer than at once
    found = of_number(values)
    monkeypatch.setattr(module, "AT_ONCE", 10**6)
    assert found == pytest.approx(of_number(values), rel=1e-12)
