"""Capital grows from change alone, and says where, since when and how surely."""

import numpy as np
import pytest

from modelwright.stats.bets import bets_on_number
from modelwright.stats.edetector import EDetector, Watched
from modelwright.stats.reference import reference_of_numbers

BLOCK = 50
PERIOD = 100_000


@pytest.fixture
def random():
    return np.random.default_rng(11)


@pytest.fixture
def reference(random):
    return reference_of_numbers("x", random.normal(size=50_000))


def watched(reference, weights=(1.0, 1.0), inflation=1.0):
    counts = np.array(reference.counts)
    return [Watched(counts, bets_on_number(counts), weight, inflation) for weight in weights]


def feed(detector, reference, random, rows, shifts=(0.0, 0.0), begin=0):
    """Until an alarm; the columns it names and the rows it took."""
    for done in range(0, rows, BLOCK):
        counts = np.array([reference.count(random.normal(size=BLOCK) + shift) for shift in shifts])
        detector.add(counts, BLOCK / PERIOD, begin + done)
        raised = detector.raise_alarm()
        if raised:
            return raised, done + BLOCK
    return [], rows


def test_nothing_grows_from_nothing(reference, random):
    detector = EDetector(watched(reference))
    assert detector.capital == 0.0
    assert feed(detector, reference, random, 5_000) == ([], 5_000)
    assert 0 < detector.capital < 0.5


def test_a_shift_is_found_where_it_is_since_it_is_and_by_its_own_bet(reference, random):
    detector = EDetector(watched(reference))
    feed(detector, reference, random, 3_000)
    raised, rows = feed(detector, reference, random, 3_000, (0.0, -0.6), begin=3_000)
    evidence = detector.evidence()
    assert raised == [1]
    assert rows <= 250
    assert evidence[1].bet == "shift -0.7"
    assert abs(evidence[1].since - 3_000) <= 2 * BLOCK
    assert evidence[1].capital >= 1 > evidence[0].capital
    assert evidence[1].log10 > 3


def test_a_change_of_no_declared_kind_is_learnt(reference, random):
    detector = EDetector(watched(reference, (1.0,)))
    for done in range(0, 5_000, BLOCK):  # two humps: neither shifted nor wider
        values = random.choice([-1.0, 1.0], BLOCK) * random.uniform(0.6, 1.1, BLOCK)
        detector.add(reference.count(values)[None, :], BLOCK / PERIOD, done)
        if detector.raise_alarm():
            break
    assert done < 1_000
    for _ in range(40):
        values = random.choice([-1.0, 1.0], BLOCK) * random.uniform(0.6, 1.1, BLOCK)
        detector.add(reference.count(values)[None, :], BLOCK / PERIOD, done)
    assert detector.evidence()[0].bet == "other values"


def test_the_same_change_alarms_once(reference, random):
    detector = EDetector(watched(reference))
    assert feed(detector, reference, random, 3_000, (1.0, 0.0))[0] == [0]
    assert feed(detector, reference, random, 3_000, (1.0, 0.0)) == ([], 3_000)
    assert feed(detector, reference, random, 3_000, (1.0, 1.0))[0] == [1]


def test_capital_goes_by_weight_and_none_to_what_has_none(reference, random):
    detector = EDetector(watched(reference, (0.0, 1.0)))
    assert feed(detector, reference, random, 5_000, (3.0, 0.0)) == ([], 5_000)
    slow = feed(EDetector(watched(reference, (1.0, 1e6))), reference, np.random.default_rng(1), 5_000, (0.4, 0.0))
    fast = feed(EDetector(watched(reference, (1.0, 1.0))), reference, np.random.default_rng(1), 5_000, (0.4, 0.0))
    assert fast[1] < slow[1]


def test_rows_that_are_alike_count_for_less(reference, random):
    alike = EDetector(watched(reference, inflation=4.0))
    fast = feed(EDetector(watched(reference)), reference, np.random.default_rng(1), 9_000, (0.6, 0.0))
    slow = feed(alike, reference, np.random.default_rng(1), 9_000, (0.6, 0.0))
    assert 2 * fast[1] < slow[1]


def test_a_small_reference_is_trusted_less(random):
    def rows(size):
        reference = reference_of_numbers("x", np.random.default_rng(5).normal(size=size))
        return feed(EDetector(watched(reference)), reference, np.random.default_rng(1), 20_000, (0.4, 0.0))[1]

    assert rows(50_000) < rows(500)


def test_capital_never_overflows(reference, random):
    detector = EDetector(watched(reference, (1.0, 0.0)))
    for done in range(400):
        detector.add(np.array([reference.count(np.full(BLOCK, 50.0))] * 2), 1.0, done)
    assert np.isfinite(detector.capital)
    assert all(np.isfinite([one.capital, one.log10]).all() for one in detector.evidence())


def test_nothing_watched_is_nothing_raised():
    detector = EDetector([])
    detector.add(np.zeros((0, 1)), 1.0, 0)
    assert detector.raise_alarm() == [] and detector.evidence() == []
