"""Decay as the loop sees it: by outcomes that are due, since the newest training."""

import pytest

from modelwright import retrain

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000_000


@pytest.fixture
def begun(stage):
    """With release 1 live since T0, which was right in four of five when it was gated."""
    stage.system.retrain = (retrain.on_decay(drop=0.1, rows=60),)
    stage.controller.start(T0)
    return stage


def test_wrong_answers_told_at_once_are_no_decay_where_right_ones_are_told_when_due(begun):
    day = 0
    for day in range(1, 9):  # a fifth is wrong, as when it was gated, and known at once; the rest a day later
        begun.outcomes(20, champion=False, at_us=T0 + day * DAY)
        begun.outcomes(80, champion=True, at_us=T0 + (day - 1) * DAY)
        assert begun.controller.step(T0 + day * DAY) == []
    begun.outcomes(60, champion=False, at_us=T0 + day * DAY)
    assert begun.controller.step(T0 + day * DAY + HOUR) == []
    (row, *_) = begun.controller.step(T0 + (day + 1) * DAY)
    assert row.summary.startswith("retrain: mean loss 1.0000 over the last 60 outcomes")
