"""A rise of losses is noticed whenever it begins, and what has not risen is not, however often one looks."""

import numpy as np
import pytest

from modelwright.stats.rise import LONGEST, RiseTest


def of(losses, rows=60, drop=0.0, **given):
    given = {"mean": 0.2, "variance": 0.16, "reference_rows": 2_000} | given
    test = RiseTest(**given, drop=drop, rows=rows)
    for place, loss in enumerate(losses, 1):
        test.add(float(loss))
        if test.shown:
            return place
    return None


def test_nothing_is_shown_of_what_has_not_risen_though_the_reference_is_of_few_rows_and_one_looks_after_each():
    shown = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        reference = random.random(300) < 0.2
        losses = random.random(2_000) < 0.2
        shown += of(losses, mean=reference.mean(), variance=reference.var(), reference_rows=300) is not None
    assert shown == 0  # one in a thousand


@pytest.mark.parametrize("change", [0, 600, 4_000])
def test_a_rise_is_shown_soon_whenever_it_begins(change):
    random = np.random.default_rng(1)
    losses = random.random(change + 1_000) < np.where(np.arange(change + 1_000) < change, 0.2, 0.6)
    shown = of(losses, drop=0.1)
    assert shown is not None and change < shown <= change + 200


def test_a_rise_within_the_drop_is_none():
    random = np.random.default_rng(2)
    assert of(random.random(3_000) < 0.28, drop=0.1) is None


def test_nothing_is_said_before_so_many_rows():
    assert of(np.ones(500), rows=60) == 60
    assert of(np.ones(500), rows=250) == 250


def test_a_reference_of_few_rows_is_doubted():
    losses = np.arange(400) % 5 < 2  # 0.4 where it was 0.2
    assert of(losses, reference_rows=20) is None
    assert of(losses, reference_rows=2_000) is not None


def test_without_spread_the_reference_is_what_it_is():
    assert of(np.full(3_000, 0.3), mean=0.3, variance=0.0) is None
    assert of(np.full(3_000, 0.35), mean=0.3, variance=0.0) is not None


def test_amounts_count_up_to_the_most():
    random = np.random.default_rng(3)
    given = {"mean": 10.0, "variance": 100.0, "most": 50.0, "rows": 200}
    assert of(random.exponential(10.0, 3_000), **given) is None
    assert of(random.exponential(20.0, 3_000), **given) is not None
    one = RiseTest(mean=10.0, variance=100.0, reference_rows=2_000, drop=0.0, rows=30, most=50.0)
    for _ in range(30):
        one.add(1e9)
    assert one.latest == (pytest.approx(60.0), 30)


def test_where_no_loss_can_be_so_large_nothing_is_shown():
    assert of(np.ones(500), drop=1.0) is None


def test_it_holds_no_more_than_a_few_gamblers():
    test = RiseTest(mean=0.2, variance=0.16, reference_rows=100, drop=0.0, rows=30)
    for _ in range(30 * 3 * LONGEST):
        test.add(0.0)
    assert len(test._gamblers) == LONGEST
    assert test.count == 30 * 3 * LONGEST
