import math

import pytest

from modelwright.stats.sequential import PairedTest


def test_nothing_is_shown_before_the_first_pair():
    test = PairedTest(0.01, 0.9)
    assert (test.pairs, test.difference, test.evidence, test.not_worse, test.worse) == (0, 0.0, 1.0, False, False)


def test_the_difference_is_the_mean_of_what_came():
    test = PairedTest(0.05, 0.9)
    for difference in (0.5, -0.25, 0.0, 0.75):
        test.add(difference)
    assert test.pairs == 4
    assert test.difference == pytest.approx(0.25)


def test_the_first_pair_moves_nothing_for_no_bet_stands_yet():
    test = PairedTest(0.01, 0.9)
    test.add(1.0)
    assert test.evidence == 1.0


def test_the_wealth_is_the_product_of_the_bets():
    # Stakes are the mean over the second moment of what came before, a quarter counted in, within 0 and a half.
    margin, seen = 0.01, [0.02, -0.05, 0.04, 0.03]
    wealth, stakes, x = 1.0, [], [difference + margin for difference in seen]
    for place, gain in enumerate(x):
        before = x[:place]
        stakes.append(min(0.5, max(0.0, sum(before) / (0.25 + sum(each * each for each in before)))))
        wealth *= 1 + stakes[-1] * gain
    test = PairedTest(margin, 0.9)
    for difference in seen:
        test.add(difference)
    assert 0 < max(stakes) < 0.5
    assert test.evidence == pytest.approx(wealth, rel=1e-12)


def test_a_better_challenger_is_not_worse_and_a_worse_one_worse():
    better, worse = PairedTest(0.01, 0.95), PairedTest(0.01, 0.95)
    for _ in range(100):
        better.add(0.2)
        worse.add(-0.2)
    assert (better.not_worse, better.worse) == (True, False)
    assert (worse.not_worse, worse.worse) == (False, True)
    assert better.evidence > 20 > 1 >= worse.evidence


def test_an_equal_challenger_is_not_worse_by_the_margin_in_the_end():
    test = PairedTest(0.05, 0.9)
    for _ in range(2000):
        test.add(0.0)
    assert test.not_worse


def test_the_verdict_falls_where_the_evidence_reaches_its_threshold():
    test = PairedTest(0.01, 0.95)
    while not test.not_worse:
        assert test.evidence < 20.0
        test.add(0.1)
    assert test.evidence >= 20.0 - 1e-9


def test_a_higher_confidence_takes_longer():
    def pairs(confidence: float) -> int:
        test = PairedTest(0.01, confidence)
        while not test.not_worse:
            test.add(0.1)
        return test.pairs

    assert pairs(0.5) < pairs(0.9) < pairs(0.99) < pairs(0.9999)


def test_differences_beyond_one_count_as_one():
    far, near = PairedTest(0.01, 0.9), PairedTest(0.01, 0.9)
    for _ in range(20):
        far.add(1e9)
        near.add(1.0)
    assert (far.evidence, far.difference) == (near.evidence, near.difference)


def test_evidence_stays_finite():
    test = PairedTest(0.01, 0.9)
    for _ in range(5000):
        test.add(1.0)
    assert math.isfinite(test.evidence)
    assert test.not_worse
