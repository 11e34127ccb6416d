"""Decay as the loop sees it: by outcomes that are due, since the newest training."""

import numpy as np
import pytest

from modelwright import retrain
from modelwright.release.manifest import RowLoss

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
    assert row.summary.startswith("retrain: mean loss 1.0000 over the last 80 outcomes")


def test_it_begins_anew_with_a_training_and_a_restart_comes_to_the_same(begun):
    def seen(controller):
        rise = controller.rise(0.1, 60)
        return rise.count, rise.evidence

    begun.outcomes(40, champion=True, at_us=T0 + DAY)
    begun.outcomes(30, champion=False, at_us=T0 + 2 * DAY)
    begun.controller.step(T0 + 2 * DAY)
    assert begun.controller.rise(0.1, 60).count == 40
    begun.outcomes(1, champion=False, at_us=T0 + DAY)  # late
    begun.controller.step(T0 + 3 * DAY)
    before = seen(begun.controller)
    assert before[0] == 71 and before[1] > 1
    assert seen(begun.new_from_log()) == pytest.approx(before)
    begun.outcomes(60, champion=False, at_us=T0 + 3 * DAY)
    begun.trainer.script = ["bad"]
    rows = begun.controller.step(T0 + 4 * DAY)
    assert [row.kind for row in rows] == ["trigger", "trained", "gated", "rejected"]
    assert begun.controller.rise(0.1, 60).count == 0
    begun.outcomes(59, champion=False, at_us=T0 + 4 * DAY)
    assert begun.controller.step(T0 + 5 * DAY) == []
    begun.outcomes(1, champion=False, at_us=T0 + 4 * DAY)
    assert begun.controller.step(T0 + 5 * DAY + HOUR)[0].kind == "trigger"


@pytest.mark.parametrize("seed", [0, 3, 198])
def test_a_champion_as_good_as_it_was_gated_is_not_taken_for_decayed_however_often_one_looks(stage, seed):
    """With these seeds there are sixty outcomes in a row that one look alone would call a rise, at 99.9%."""
    stage.system.retrain = (retrain.on_decay(rows=60),)
    stage.trainer.loss = RowLoss(0.2, 0.16, 10_000)
    stage.controller.start(T0)
    random = np.random.default_rng(seed)
    for day in range(1, 201):  # a look after each ten of two thousand
        for right in random.random(10) < 0.8:
            stage.outcomes(1, champion=bool(right), at_us=T0 + day * DAY)
        assert stage.controller.step(T0 + (day + 1) * DAY) == []
