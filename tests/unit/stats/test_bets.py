"""A bet pays what its change makes likelier, and no more than 1 on average while nothing has changed."""

import math

import numpy as np
import pytest

from modelwright.stats.bets import (
    HIGHEST,
    LOWEST,
    bets_on_missing,
    bets_on_number,
    bets_on_pair,
    bets_on_text,
    guard,
    normal_cuts,
)
from modelwright.stats.reference import reference_of_numbers


@pytest.fixture
def reference():
    return reference_of_numbers("x", np.random.default_rng(0).normal(size=50_000))


def named(bets):
    return {bet.name: bet.ratio for bet in bets}


def test_a_shift_is_paid_by_where_it_goes(reference):
    bets = named(bets_on_number(np.array(reference.counts)))
    up, down = bets["shift +0.3"], bets["shift -0.3"]
    assert (np.diff(up[:-1]) > 0).all() and (np.diff(down[:-1]) < 0).all()
    assert up[-1] == 1.0  # a missing value says nothing about a shift
    # Just what the likelihood ratio of two normal distributions gives in the middle.
    assert up[6] == pytest.approx(math.exp(-(0.3**2) / 2), rel=0.05)
    assert (bets["scale x1.6"][[0, -2]] > 1).all() and bets["scale x1.6"][7] < 1


@pytest.mark.parametrize("name", ["shift +0.3", "shift -0.7", "scale x0.6", "scale x1.6", "missing +10%"])
def test_a_bet_wins_from_its_own_change_and_loses_without_it(reference, name):
    bet = named(bets_on_number(np.array(reference.counts)))[name]
    random = np.random.default_rng(1)
    still = random.normal(size=20_000)
    changed = {
        "shift +0.3": still + 0.3, "shift -0.7": still - 0.7, "scale x0.6": still * 0.6, "scale x1.6": still * 1.6,
        "missing +10%": np.where(random.random(20_000) < 0.1, np.nan, still),
    }[name]  # fmt: skip
    assert np.mean(np.log(bet[reference.codes(changed)])) > 0.005
    assert np.mean(np.log(bet[reference.codes(still)])) < -0.005


def test_no_row_decides():
    for counts in ([0, 1_000_000, 0, 0], [500, 500, 0, 0]):
        for bets in (bets_on_number, bets_on_text, bets_on_missing):
            for bet in bets(np.array(counts)):
                assert (bet.ratio >= LOWEST).all() and (bet.ratio <= HIGHEST).all()


def test_a_column_of_nothing_but_missing_has_one_bet():
    assert [bet.name for bet in bets_on_number(np.array([0, 0, 90]))] == ["missing less"]


def test_two_columns_that_go_together_pay_on_the_diagonal():
    ratio = named(bets_on_pair(np.full(16, 100)))["together +0.8"].reshape(4, 4)
    assert ratio[0, 0] > 1 < ratio[2, 2] and ratio[0, 2] < 1 > ratio[2, 0]
    assert ratio[1, 1] == pytest.approx(1.0)


def test_cuts_are_where_a_normal_variable_would_have_them(reference):
    low, high = normal_cuts(np.array(reference.counts))
    assert high[:-1] == pytest.approx(low[1:])
    assert high[6] == pytest.approx(0.0, abs=0.02)  # the median
    assert high[0] == pytest.approx(-2.326, abs=0.02)  # the first hundredth


def test_what_is_guarded_pays_no_more_than_1_wherever_the_reference_may_come_from():
    random = np.random.default_rng(3)
    share = random.dirichlet(np.ones(8))
    ratio = random.uniform(LOWEST, HIGHEST, size=8)
    radius = 0.2
    guarded = guard(ratio, share, np.array(radius), np.array(0.0))
    reached = 0.0
    for _ in range(2_000):  # distributions on the surface of the ball
        step = random.normal(size=8) * np.sqrt(share)
        step -= share * step.sum()
        step *= radius / math.sqrt(np.sum(step**2 / share))
        if (share + step >= 0).all():
            reached = max(reached, float((share + step) @ guarded))
    assert 0.9 < reached <= 1.0
    assert share @ guard(ratio, share, np.array(0.0), np.array(0.0)) == pytest.approx(1.0)
