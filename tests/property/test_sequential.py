"""The promise of the promotion test: however often one looks, a challenger that is too much worse passes with
probability at most alpha, a clearly better one passes, and the mirrored verdict is its mirror."""

import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.stats.sequential import PairedTest

STREAMS = int(os.environ.get("MODELWRIGHT_SEQUENTIAL_STREAMS", "2000"))
PAIRS = 300
DIFFERENCES = st.floats(-1, 1, allow_subnormal=False)


def errors(random: np.random.Generator, mean: float) -> np.ndarray:
    """Differences of two error counts, as with accuracy: mostly 0, else -1 or 1."""
    differ = 0.3
    return random.choice([-1.0, 0.0, 1.0], PAIRS, p=[(differ - mean) / 2, 1 - differ, (differ + mean) / 2])


def scores(random: np.random.Generator, mean: float) -> np.ndarray:
    """Differences of two scores, as with Brier: small, and never the same."""
    return mean + random.uniform(-0.3, 0.3, PAIRS)


def skewed(random: np.random.Generator, mean: float) -> np.ndarray:
    """A challenger that is a little better most of the time, and now and then very much worse."""
    rare = 0.05
    gain = (mean + 0.9 * rare) / (1 - rare)
    return np.where(random.random(PAIRS) < rare, -0.9, gain)


def drifting(random: np.random.Generator, mean: float) -> np.ndarray:
    """Ever more certain, but of the same mean at every pair, whatever came before: still the null."""
    spread = np.linspace(0.5, 0.05, PAIRS)
    return mean + random.choice([-1.0, 1.0], PAIRS) * spread


def ever(differences: np.ndarray, margin: float, confidence: float, verdict: str) -> bool:
    """Whether the verdict is reached at any pair: the test is looked at after every one."""
    test = PairedTest(margin, confidence)
    for difference in differences.tolist():
        test.add(difference)
        if getattr(test, verdict):
            return True
    return False


def share(kind, mean: float, margin: float, confidence: float, verdict: str, streams: int) -> float:
    random = np.random.default_rng(20260131)
    return sum(ever(kind(random, mean), margin, confidence, verdict) for _ in range(streams)) / streams


def slack(alpha: float, streams: int) -> float:
    """Three standard deviations of the share of alarms, were the probability alpha itself."""
    return 3 * math.sqrt(alpha * (1 - alpha) / streams)


@pytest.mark.parametrize("kind", [errors, scores, skewed, drifting])
@pytest.mark.parametrize(("confidence", "margin"), [(0.9, 0.01), (0.8, 0.05)])
@pytest.mark.parametrize("verdict", ["not_worse", "worse"])
def test_looking_always_a_false_verdict_is_no_likelier_than_alpha(kind, confidence, margin, verdict):
    # At a true mean of minus the margin both verdicts are false: it is exactly as bad as is still accepted.
    streams = STREAMS // 4
    found = share(kind, -margin, margin, confidence, verdict, streams)
    assert found <= 1 - confidence + slack(1 - confidence, streams)


def test_over_two_thousand_streams_of_errors_a_false_promotion_is_no_likelier_than_alpha():
    found = share(errors, -0.01, 0.01, 0.9, "not_worse", STREAMS)
    assert 0 < found <= 0.1 + slack(0.1, STREAMS)


@pytest.mark.parametrize(("kind", "gain"), [(errors, 0.15), (scores, 0.1), (skewed, 0.1)])
def test_a_clearly_better_challenger_is_promoted_and_its_mirror_sent_home(kind, gain):
    assert share(kind, gain, 0.01, 0.9, "not_worse", 200) > 0.95
    assert share(kind, gain, 0.01, 0.9, "worse", 200) < 0.02

    def mirrored(random: np.random.Generator, mean: float) -> np.ndarray:
        return -kind(random, mean)

    assert share(mirrored, gain, 0.01, 0.9, "worse", 200) > 0.9
    assert share(mirrored, gain, 0.01, 0.9, "not_worse", 200) < 0.02


@given(st.lists(st.floats(-0.9, 0.9), max_size=60), st.floats(0.001, 0.04), st.sampled_from([0.5, 0.8, 0.9, 0.99]))
def test_mirrored_about_minus_the_margin_the_verdicts_change_places(differences, margin, confidence):
    test, mirror = PairedTest(margin, confidence), PairedTest(margin, confidence)
    for difference in differences:
        test.add(difference)
        mirror.add(-difference - 2 * margin)
        if min(abs(test.evidence * (1 - confidence) - 1), abs(mirror.evidence * (1 - confidence) - 1)) > 1e-6:
            assert (test.not_worse, test.worse) == (mirror.worse, mirror.not_worse)


@given(st.lists(DIFFERENCES, max_size=40), DIFFERENCES, DIFFERENCES, st.floats(0.001, 0.5))
def test_a_bet_is_made_before_the_pair_is_seen(before, one, other, margin):
    # Of two futures the gains are in proportion to what was staked: fixed by the past, the same for both.
    def gain(difference: float) -> float:
        test = PairedTest(margin, 0.9)
        for earlier in before:
            test.add(earlier)
        held = test.evidence
        test.add(difference)
        return test.evidence / held - 1

    assert gain(one) * (other + margin) == pytest.approx(gain(other) * (one + margin), abs=1e-9)


@given(st.lists(DIFFERENCES, max_size=80), st.floats(0.001, 0.5), st.floats(0.5, 0.999))
def test_no_stream_ruins_the_test(differences, margin, confidence):
    test = PairedTest(margin, confidence)
    for difference in differences:
        test.add(difference)
        assert math.isfinite(test.evidence) and test.evidence > 0
        assert -1 - 1e-9 <= test.difference <= 1 + 1e-9
    assert test.pairs == len(differences)
