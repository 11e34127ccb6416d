"""Drift is the distance of the latest requests from the reference, column by column."""

import numpy as np
import pytest

from modelwright.monitoring.drift import BLOCK, SMALLEST, WINDOW, DriftMonitor
from modelwright.release.inputs import InputColumn
from modelwright.release.manifest import References
from modelwright.stats.reference import PSI_LARGE, reference_of_numbers, reference_of_texts

COLUMNS = (
    InputColumn(name="amount", kind="number"),
    InputColumn(name="country", kind="text", vocabulary=("DE", "FR")),
    InputColumn(name="age", kind="number"),
)


@pytest.fixture
def random():
    return np.random.default_rng(4)


@pytest.fixture
def monitor(random):
    texts = random.choice(["DE", "FR"], 3_000).tolist()
    columns = (
        reference_of_numbers("amount", random.normal(size=3_000)),
        reference_of_texts("country", texts),
        reference_of_numbers("age", random.normal(size=3_000)),
    )
    return DriftMonitor(References(columns, reference_of_numbers("score", random.random(500))), COLUMNS)


def feed(monitor, random, rows, amount=0.0, country=("DE", "FR"), age=True, score=True):
    for _ in range(rows):
        numbers = np.array([random.normal() + amount, random.normal() if age else np.nan])
        monitor.add(numbers, (random.choice(country),), random.random() if score else None)


def test_nothing_is_said_of_few_requests(monitor, random):
    feed(monitor, random, SMALLEST - 1)
    report = monitor.report()
    assert report.rows == SMALLEST - 1
    assert report.psi == (None, None, None)
    assert report.missing == (None, None, None)
    assert report.score_psi is None
    feed(monitor, random, 1)
    assert None not in monitor.report().psi


def test_the_same_distribution_is_near(monitor, random):
    feed(monitor, random, WINDOW)
    report = monitor.report()
    assert report.columns == ("amount", "country", "age")
    assert max(report.psi) < 0.05
    assert report.score_psi < 0.05
    assert report.missing == (0.0, 0.0, 0.0)
    assert report.unseen == (None, 0.0, None)


def test_the_column_that_moves_is_the_one_reported(monitor, random):
    feed(monitor, random, 1_000, amount=2.0)
    amount, country, age = monitor.report().psi
    assert amount > PSI_LARGE > max(country, age)


def test_missing_and_unseen_values_are_counted(monitor, random):
    feed(monitor, random, 500, age=False)
    feed(monitor, random, 500, country=["XX"], score=False)
    report = monitor.report()
    assert report.missing == (0.0, 0.0, 0.5)
    assert report.unseen == (None, 0.5, None)
    assert min(report.psi[1:]) > PSI_LARGE


def test_only_the_latest_requests_count(monitor, random):
    feed(monitor, random, WINDOW, amount=5.0)
    feed(monitor, random, WINDOW)
    report = monitor.report()
    assert report.rows == WINDOW
    assert report.psi[0] < 0.05


def test_memory_does_not_grow_with_traffic(monitor, random):
    feed(monitor, random, WINDOW + 3 * BLOCK + 7)
    assert len(monitor._blocks) * BLOCK == WINDOW
    assert len(monitor._open) == 7
    assert monitor.report().rows == WINDOW + 7


def test_a_release_without_texts_or_score_is_watched_too(random):
    references = References((reference_of_numbers("amount", random.normal(size=500)),), None)
    monitor = DriftMonitor(references, COLUMNS[:1])
    for _ in range(300):
        monitor.add(np.array([random.normal()]), (), None)
    assert monitor.report().score_psi is None
    assert monitor.report().psi[0] < 0.2
