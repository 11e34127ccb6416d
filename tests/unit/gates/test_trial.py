"""A trial gives every figure over the same held-back rows."""

import numpy as np

from modelwright.gates.trial import HeldBackTrial
from modelwright.stats.predictions import Predictions


def test_candidate_and_rivals_are_measured_on_the_same_outcomes():
    outcomes = np.array([True, False, True, True])
    said = {
        name: Predictions(np.array(values), None, (False, True))
        for name, values in {"candidate": [True] * 4, "baseline": [False] * 4, "champion": outcomes}.items()
    }
    trial = HeldBackTrial(outcomes, said)
    assert trial.rivals == ("baseline", "champion")
    assert trial.metric("accuracy") == 0.75
    assert trial.metric("accuracy", of="baseline") == 0.25
    assert trial.metric("accuracy", of="champion") == 1.0
