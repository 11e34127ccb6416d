"""The metric by slice, each with its interval, and the worst one where it is surely worse."""

import numpy as np
import pytest

from modelwright.monitoring.slices import VALUES, slices_of
from modelwright.stats.predictions import Predictions


@pytest.fixture
def random():
    return np.random.default_rng(8)


def answers(random, right):
    """Binary answers that are right where it says so."""
    y = random.random(len(right)) < 0.5
    value = np.where(right, y, ~y)
    score = np.where(value, 0.8, 0.2)
    return y, Predictions.of_classes(np.column_stack([1 - score, score]), (False, True))


def test_each_value_of_a_declared_column_has_its_metric_and_interval(random):
    country = random.choice(["DE", "FR"], 1_000, p=[0.97, 0.03]).tolist()
    country[0] = None
    y, said = answers(random, random.random(1_000) < 0.9)
    found = slices_of("accuracy", y, said, {"country": country}, ["country"])
    assert [(one.column, one.value) for one in found.slices] == [
        ("country", "DE"),
        ("country", "FR"),
        ("country", "missing"),
    ]
    assert sum(one.rows for one in found.slices) == found.whole.rows == 1_000
    widths = [one.high - one.low for one in (found.whole, *found.slices)]
    assert widths[0] < 0.06 < widths[2] < widths[3]  # few outcomes: wide, and not hidden
    for one in found.slices:
        assert one.low <= one.metric <= one.high


def test_the_worst_slice_is_found_among_all_columns(random):
    rows = 4_000
    columns = {
        "country": random.choice(["DE", "FR", "IT"], rows).tolist(),
        "amount": random.lognormal(size=rows).tolist(),
        "vip": (random.random(rows) < 0.5).tolist(),
    }
    bad = np.array(columns["country"]) == "IT"
    y, said = answers(random, random.random(rows) < np.where(bad, 0.75, 0.9))
    found = slices_of("accuracy", y, said, columns, [])
    assert found.slices == ()
    assert (found.worst.column, found.worst.value) == ("country", "IT")
    assert found.worst.high < found.whole.metric
    assert found.searched == 3 + 3 + 2


def test_among_many_slices_that_are_alike_none_is_called_the_worst():
    named = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        columns = {f"c{place}": random.choice(list("abcdef"), 1_500).tolist() for place in range(8)}
        y, said = answers(random, random.random(1_500) < 0.85)
        named += slices_of("accuracy", y, said, columns, []).worst is not None
    assert named <= 6  # 5% of 40 are 2; 7 or more have a chance of 1 in 300


def test_rare_values_are_one_slice_and_numbers_are_thirds(random):
    rows = 3_000
    columns = {"shop": [f"s{one}" for one in random.integers(0, 60, rows)], "amount": random.random(rows).tolist()}
    y, said = answers(random, np.ones(rows, dtype=bool))
    found = slices_of("accuracy", y, said, columns, ["shop", "amount"])
    by = {name: [one for one in found.slices if one.column == name] for name in columns}
    assert len(by["shop"]) == VALUES + 1 and by["shop"][-1].value == "all others"
    assert [one.rows for one in by["amount"]] == pytest.approx([1_000] * 3, abs=2)
    assert by["amount"][0].value.startswith("up to 0.3")


def test_without_an_outcome_there_is_nothing_to_slice():
    found = slices_of(
        "accuracy", np.zeros(0, dtype=bool), answers(np.random.default_rng(0), np.zeros(0, dtype=bool))[1], {}, []
    )
    assert (found.whole.rows, found.whole.metric, found.slices, found.worst) == (0, None, (), None)
