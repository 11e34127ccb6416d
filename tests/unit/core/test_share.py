"""Who is in a share: stable, about as many as it says, and never flipped back when it grows."""

import pytest

from modelwright.core.share import is_in_share

KEYS = [f"card-{number}" for number in range(20_000)]


def of(share, rollout="r2-0123456789ab"):
    return {key for key in KEYS if is_in_share(key, rollout, share)}


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_a_share_is_about_as_large_as_it_says(share):
    assert len(of(share)) == pytest.approx(share * len(KEYS), abs=5 * (share * len(KEYS)) ** 0.5)


def test_a_share_that_grows_flips_nobody_back():
    assert set() == of(0.0) < of(0.05) < of(0.25) < of(0.5) < of(1.0) == set(KEYS)


def test_another_rollout_draws_anew():
    one, other = of(0.25), of(0.25, "r3-0123456789ab")
    assert len(one & other) == pytest.approx(0.25 * len(one), rel=0.2)
