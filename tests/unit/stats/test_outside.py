"""What may lie outside the range of a sample is what order statistics say."""

import numpy as np
import pytest
from scipy.stats import beta

from modelwright.stats.outside import largest_share_outside


@pytest.mark.parametrize("rows", [2, 10, 137.5, 1_000, 1_000_000])
@pytest.mark.parametrize("doubt", [0.5, 0.01, 1e-5])
def test_it_is_the_quantile_of_the_beta_distribution(rows, doubt):
    assert largest_share_outside(rows, doubt) == pytest.approx(beta(2, rows - 1).isf(doubt), rel=1e-6)


def test_so_often_is_more_outside_and_less_where_values_repeat():
    random = np.random.default_rng(1)
    bound, samples = largest_share_outside(200, 0.1), random.exponential(size=(20_000, 200))
    outside = 1 - (np.exp(-samples.min(axis=1)) - np.exp(-samples.max(axis=1)))
    assert (outside > bound).mean() == pytest.approx(0.1, abs=0.01)
    counts = random.poisson(3, size=(20_000, 200))
    share = np.bincount(random.poisson(3, 2_000_000), minlength=30) / 2_000_000
    total = np.concatenate([[0.0], np.cumsum(share)])
    outside = 1 - (total[counts.max(axis=1) + 1] - total[counts.min(axis=1)])
    assert (outside > bound).mean() < 0.1


def test_one_row_has_no_range():
    assert largest_share_outside(1, 0.01) == 1.0
