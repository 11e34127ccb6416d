"""What accuracy is to be expected before outcomes come."""

import numpy as np
import pytest

from modelwright.monitoring.estimate import CONFIDENCE, FEWEST, ahead_of_outcomes, confidence_of, estimated
from modelwright.monitoring.ledger import Ledger, Scored
from modelwright.stats.predictions import Predictions


def answers(random, rows, low=0.5, high=1.0):
    """Confidences, and whether each answer is right, as often as its confidence says."""
    confidence = random.uniform(low, high, rows)
    return confidence, random.random(rows) < confidence


def bold(confidence):
    """What an overconfident release says instead: twice the log odds."""
    return 1 / (1 + ((1 - confidence) / confidence) ** 2)


@pytest.mark.parametrize("says", [lambda confidence: confidence, bold], ids=["calibrated", "too bold"])
def test_the_interval_holds_what_turns_out_as_often_as_it_says_also_where_inputs_have_changed(says):
    held, runs = 0, 150
    for seed in range(runs):
        random = np.random.default_rng(seed)
        known, right = answers(random, 1_000)
        waiting, truth = answers(random, 500, high=0.8)  # harder ones than before
        estimate = estimated(says(waiting), says(known), right)
        held += estimate.low <= truth.mean() <= estimate.high
    spread = 3 * (CONFIDENCE * (1 - CONFIDENCE) / runs) ** 0.5
    assert abs(held / runs - CONFIDENCE) < spread


def test_it_is_wider_where_outcomes_resemble_their_neighbours_and_the_world_wanders():
    held, width, runs = 0, [], 60
    for seed in range(runs):
        random = np.random.default_rng(seed)
        confidence = random.uniform(0.6, 1.0, 4_500)
        luck = np.repeat(random.normal(size=90), 50)  # fifty in a row are lucky or not
        wandering = np.cumsum(random.normal(size=45)).repeat(100) * 0.1
        odds = np.log(confidence / (1 - confidence)) + luck + wandering
        right = random.random(4_500) < 1 / (1 + np.exp(-odds))
        estimate = estimated(confidence[4_000:], confidence[:4_000], right[:4_000])
        held += estimate.low <= right[4_000:].mean() <= estimate.high
        width.append(estimate.high - estimate.low)
    assert held / runs > CONFIDENCE - 3 * (CONFIDENCE * (1 - CONFIDENCE) / runs) ** 0.5
    assert 0.1 < np.mean(width) < 0.35  # 0.06 where outcomes are independent


def test_too_few_outcomes_estimate_nothing():
    random = np.random.default_rng(0)
    known, right = answers(random, FEWEST - 1)
    assert estimated(known, known, right) is None
    known, _ = answers(random, FEWEST)
    assert estimated(known, known, np.ones(FEWEST, dtype=bool)) is None
    assert estimated(np.zeros(0), *answers(random, FEWEST)) is None


def test_confidence_is_that_of_the_label_that_was_said():
    said = Predictions(np.array([True, False]), np.array([[0.4, 0.6], [0.1, 0.9]]), (False, True))
    assert confidence_of(said).tolist() == [0.6, 0.1]
    assert confidence_of(Predictions(np.array([1.0]))) is None


def test_only_a_release_s_own_answers_without_an_outcome_are_estimated_and_by_its_own():
    random = np.random.default_rng(1)
    ledger = Ledger("accuracy", (False, True))
    confidence, right = answers(random, 1_200, high=0.9)
    for seq, (sure, so) in enumerate(zip(confidence.tolist(), right.tolist(), strict=True)):
        release = "r2-b" if seq % 3 else "r1-a"
        ledger.predicted(seq, seq, Scored(release, True, (1 - sure, sure), (False, True)))
        if seq < 900:
            ledger.known(seq, so if release == "r2-b" else False)
    assert ahead_of_outcomes(ledger, "r2-b", 900) is None  # nothing has settled yet
    ledger.settle()
    estimate = ahead_of_outcomes(ledger, "r2-b", 899)
    assert estimate.rows == 200
    assert estimate.low < float(right[900:][np.arange(900, 1_200) % 3 > 0].mean()) < estimate.high
    assert ahead_of_outcomes(ledger, "r1-a", 899) is None  # never right: there is nothing to correct by
    assert ahead_of_outcomes(ledger, "r3-c", 899) is None


def test_what_is_told_at_once_is_no_sample_of_what_happened():
    """One event in five is a fraud that is missed and told at once; that the others are none is known after 1,000 events. What
    came early is wrong answers alone: neither what the rest is corrected by, nor without what is still to come."""
    random = np.random.default_rng(4)
    ledger, now = Ledger("accuracy", (False, True)), 6_000
    fraud = random.random(now) < 0.2
    for at_us in range(now):
        ledger.predicted(at_us, at_us, Scored("r1-a", False, (0.8, 0.2), (False, True)))
        if fraud[at_us]:
            ledger.known(at_us, True)
        if at_us >= 1_000 and not fraud[at_us - 1_000]:
            ledger.known(at_us - 1_000, False)
        ledger.settle()
    estimate = ahead_of_outcomes(ledger, "r1-a", now - 1_000 - 1)
    assert estimate.rows == 1_000
    assert estimate.low < 1 - fraud[-1_000:].mean() < estimate.high
    assert estimate.high - estimate.low < 0.2
