"""What the rehearsal's report holds against what turned out."""

from types import SimpleNamespace

import numpy as np

from modelwright.app.rehearsal import _estimates
from modelwright.stats.predictions import Predictions


def test_an_estimate_of_the_report_rests_on_what_was_due_and_not_on_what_was_told_at_once():
    """One event in five is a fraud that is missed and told at once, the rest is told after 1,000 events."""
    random = np.random.default_rng(5)
    at_us = np.arange(10_000)
    fraud = random.random(len(at_us)) < 0.2
    said = Predictions(np.zeros(len(at_us), dtype=bool), np.tile([0.8, 0.2], (len(at_us), 1)), (False, True))
    replayed = SimpleNamespace(
        said=said, outcomes=fraud, at_us=at_us, positions=at_us, system=SimpleNamespace(label=SimpleNamespace(delay_us=1_000)),
        material=SimpleNamespace(examples=SimpleNamespace(first_known_us=np.where(fraud, at_us, at_us + 1_000))),
    )  # fmt: skip
    found = _estimates(replayed)
    assert len(found) > 20
    held = sum(one["low"] <= one["truth"] <= one["high"] for one in found)
    assert held >= 0.8 * len(found)  # of 95 in 100
    # Were wrong answers that came early among them, accuracy would look lower the more of them there are.
    assert abs(np.mean([one["value"] - one["truth"] for one in found])) < 0.01
