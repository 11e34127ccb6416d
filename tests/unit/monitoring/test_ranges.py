"""Values that the reference never saw are told with how many and one of them, and again when they have gone; few are chance."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from modelwright.control.figures import references_of
from modelwright.monitoring.ranges import RangeWatch
from modelwright.release.inputs import InputColumn, Rows

MINUTE = 60_000_000
DAY = 1_440 * MINUTE
BLOCK = 50
COLUMNS = (
    InputColumn(name="amount", kind="number"),
    InputColumn(name="country", kind="text", vocabulary=("DE",)),
    InputColumn(name="spend_1d", kind="number"),
    InputColumn(name="age", kind="number"),
)


def released(numbers, importance=(1.0, 1.0, 1.0, 1.0)):
    """A release trained on these [n, 3], of which the second is a feature."""
    references = references_of(COLUMNS, Rows(numbers, (["DE"] * len(numbers),)), None, importance)
    contract = SimpleNamespace(names=["amount", "country", "age"])
    return SimpleNamespace(manifest=SimpleNamespace(inputs=COLUMNS), references=references, contract=contract)


@pytest.fixture
def random():
    return np.random.default_rng(5)


def fed(watch, numbers, begin=0):
    """A request a minute."""
    found = []
    for first in range(0, len(numbers), BLOCK):
        block = numbers[first : first + BLOCK]
        at = (begin + first) * MINUTE
        found += watch.block(block, at, at + (len(block) - 1) * MINUTE)
    return found


def watching(random, rows=5_000, importance=(1.0, 1.0, 1.0, 1.0)):
    return RangeWatch(released(random.normal(10, 1, (rows, 3)), importance), 0, 30 * DAY, 0.04)


def test_other_units_in_some_rows_are_told_and_their_end_too(random):
    asked = random.normal(10, 1, (20_000, 3))
    hit = (random.random(20_000) < 0.04) & (np.arange(20_000) >= 5_000) & (np.arange(20_000) < 12_000)
    asked[hit, 0] *= 100
    raised, cleared = fed(watching(random), asked)
    assert (raised.what, raised.of, raised.state) == ("range", "amount", "raised")
    assert (cleared.what, cleared.of, cleared.state) == ("range", "amount", "cleared")
    assert 4_900 * MINUTE <= raised.since_us <= 5_100 * MINUTE < raised.at_us < 5_700 * MINUTE
    assert 11_900 * MINUTE <= cleared.since_us <= 12_100 * MINUTE < cleared.at_us < 14_000 * MINUTE
    assert cleared.began_us == raised.since_us
    assert 0.02 < raised.size < 0.08 and raised.log10 > 4
    said = re.match(r"(\d+) of the last (\d+) values \(such as 1\d\d\d(\.\d+)?\) are outside ", raised.change)
    upto = raised.at_us // MINUTE + 1
    assert int(said[1]) == hit[upto - int(said[2]) : upto].sum()
    assert int(said[2]) - BLOCK < upto - raised.since_us // MINUTE <= int(said[2]) + BLOCK
    assert "are outside 6." in raised.change and raised.change.endswith("all that training saw")
    assert raised.summary.startswith("range of amount since 1970-01-04 ")
    assert cleared.size < 0.003


def test_each_column_is_of_its_own_and_features_are_not_watched(random):
    asked = random.normal(10, 1, (1_000, 3))
    asked[500:, :] += 100
    assert [(one.of, one.state) for one in fed(watching(random), asked)] == [("amount", "raised"), ("age", "raised")]


def test_what_says_nothing_to_the_model_wakes_nobody(random):
    asked = random.normal(10, 1, (1_000, 3))
    asked[500:, :] += 100
    assert [one.of for one in fed(watching(random, importance=(0.0, 1.0, 1.0, 1.0)), asked)] == ["age"]
    assert fed(watching(random, importance=(0.0, 1.0, 1.0, 0.0)), asked) == []


def test_single_values_and_missing_ones_are_no_trouble(random):
    asked = random.normal(10, 1, (50_000, 3))
    asked[random.random(asked.shape) < 0.3] = np.nan
    asked[::10_000, 0] = 1e9
    asked[7, 2] = np.inf
    assert fed(watching(random), asked) == []


def test_a_short_reference_and_one_without_a_value_say_nothing(random):
    asked = np.full((2_000, 3), 1e6)
    assert fed(watching(random, rows=20), asked) == []
    nothing = RangeWatch(released(np.full((5_000, 3), np.nan)), 0, 30 * DAY, 0.04)
    assert fed(nothing, asked) == []


def test_rows_that_resemble_each_other_say_less(random):
    slow = np.repeat(random.normal(10, 1, (500, 3)), 40, axis=0)
    watch = RangeWatch(released(slow), 0, 30 * DAY, 0.04)
    assert fed(watch, np.repeat([[14.5, 10.0, 10.0], [10.0, 10.0, 10.0]], [120, 3_000], axis=0)) == []
    assert [one.of for one in fed(watch, np.full((2_000, 3), 14.5))] == ["amount", "age"]
