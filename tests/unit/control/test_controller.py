"""The loop as a state machine: every way a release comes to life, is compared, and goes."""

import pytest

from modelwright import retrain
from modelwright.control.declaration import declaration_hash
from modelwright.control.intervention import Person, pause, resume
from modelwright.control.rollback import roll_back
from modelwright.core.clock import iso
from modelwright.core.errors import TrainingError

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000_000


@pytest.fixture
def begun(stage):
    """With release 1 live since T0."""
    stage.controller.start(T0)
    return stage


@pytest.fixture
def in_shadow(begun):
    """With release 2 compared since day 10."""
    begun.controller.step(T0 + 10 * DAY)
    assert begun.pointed() == (1, 2, 0, "shadow")
    return begun


def test_the_first_candidate_becomes_champion_with_the_baseline_behind_it(stage):
    rows = stage.controller.start(T0)
    assert [row.kind for row in rows] == ["registered", "trained", "gated", "registered", "promoted"]
    assert stage.pointed() == (1, None, 0, "idle")
    assert [order[0] for order in stage.trainer.orders] == ["baseline", "model"]
    assert rows[-1].summary == "the first candidate passed its gates"
    assert {row.at for row in rows} == {iso(T0)}
    assert rows[1].observed == {"seconds": {"total": 1.0}, "outcomes": 0}


def test_where_no_candidate_passes_the_baseline_serves(stage):
    stage.trainer.script = ["bad"]
    rows = stage.controller.start(T0)
    assert [row.kind for row in rows] == ["registered", "trained", "gated", "rejected", "promoted"]
    assert stage.pointed() == (0, None, None, "idle")
    assert rows[3].summary == "did not pass its gates: accuracy >= 0.7: 0.5000 against 0.7000"
    assert rows[3].evidence == {"by": "gates"}
    assert rows[2].evidence == {
        "passed": False,
        "gates": [{"name": "accuracy >= 0.7", "passed": False, "value": 0.5, "threshold": 0.7}],
    }


def test_where_the_first_training_fails_the_baseline_serves(stage):
    stage.trainer.script = ["the model broke"]
    rows = stage.controller.start(T0)
    assert [row.kind for row in rows] == ["registered", "error", "promoted"]
    assert rows[1].summary == "training failed: the model broke"
    assert stage.pointed()[0] == 0


def test_where_there_is_too_little_history_nothing_is_live_and_it_can_be_tried_again(stage, monkeypatch):
    train = stage.trainer.train

    def too_little(*given):
        raise TrainingError("too little history")

    monkeypatch.setattr(stage.trainer, "train", too_little)
    rows = stage.controller.start(T0)
    assert [(row.kind, row.summary) for row in rows] == [("error", "training failed: too little history")]
    assert stage.pointed()[0] is None
    assert stage.controller.step(T0 + 100 * DAY) == []
    monkeypatch.setattr(stage.trainer, "train", train)
    stage.controller.start(T0 + DAY)
    assert stage.pointed()[0] == 1


def test_starting_twice_changes_nothing(begun):
    before = begun.kinds()
    assert begun.controller.start(T0 + DAY) == []
    assert begun.kinds() == before


def test_nothing_is_decided_before_there_is_a_reason(begun):
    assert begun.controller.step(T0 + 10 * DAY - 1) == []


def test_a_trigger_trains_a_candidate_that_starts_in_shadow(begun):
    rows = begun.controller.step(T0 + 10 * DAY)
    assert [row.kind for row in rows] == ["trigger", "trained", "gated", "registered", "shadow_started"]
    assert rows[0].summary == "retrain: 10d since the last training"
    assert rows[0].evidence == {"trigger": "Every"}
    assert begun.trainer.orders[-1][2:] == (2, begun.journal.pointer().champion)
    assert begun.pointed() == (1, 2, 0, "shadow")
    assert begun.journal.pointer().since_us == T0 + 10 * DAY


def test_a_candidate_that_fails_its_gates_is_never_compared(begun):
    begun.trainer.script = ["bad"]
    rows = begun.controller.step(T0 + 10 * DAY)
    assert [row.kind for row in rows] == ["trigger", "trained", "gated", "rejected"]
    assert begun.pointed() == (1, None, 0, "idle")
    assert begun.controller.step(T0 + 11 * DAY) == []
    assert begun.controller.step(T0 + 20 * DAY)[0].kind == "trigger"


def test_a_failed_training_is_journalled_and_the_champion_stays(begun):
    begun.trainer.script = ["no memory"]
    rows = begun.controller.step(T0 + 10 * DAY)
    assert [row.kind for row in rows] == ["trigger", "error"]
    assert rows[1].summary == "training failed: no memory"
    assert rows[1].release is None
    assert begun.pointed() == (1, None, 0, "idle")


def test_a_failed_training_is_tried_again_after_a_pause_that_doubles(begun):
    begun.trainer.script = ["no memory", "no memory", "no memory"]
    tried = [
        hour
        for hour in range(12)
        if any(row.kind == "trigger" for row in begun.controller.step(T0 + 10 * DAY + hour * HOUR))
    ]
    assert tried == [0, 1, 3, 7]  # the fourth one was trained
    assert begun.pointed() == (1, 5, 0, "shadow")


def test_the_pause_after_failed_trainings_has_an_end(begun):
    begun.trainer.script = ["no memory"] * 40
    days = [day for day in range(10, 60) if any(row.kind == "trigger" for row in begun.controller.step(T0 + day * DAY))]
    assert max(later - earlier for earlier, later in zip(days, days[1:], strict=False)) == 7
    assert days[-1] > 50


def test_a_better_challenger_is_promoted_on_evidence(in_shadow):
    in_shadow.outcomes(19, champion=False, challenger=True)
    assert in_shadow.controller.step(T0 + 10 * DAY + HOUR) == []  # 19 pairs of 20
    in_shadow.outcomes(1, champion=False, challenger=True)
    (row,) = in_shadow.controller.step(T0 + 10 * DAY + 2 * HOUR)
    assert (row.kind, row.summary) == ("promoted", "better by 1.0000 over 20 pairs")
    assert row.evidence["pairs"] == 20
    assert row.evidence["evidence"] >= row.evidence["needed"]
    assert in_shadow.pointed() == (2, None, 1, "idle")


def test_a_challenger_as_good_within_the_margin_is_promoted(in_shadow):
    for hour in range(1, 100):
        in_shadow.outcomes(10)
        rows = in_shadow.controller.step(T0 + 10 * DAY + hour * HOUR)
        if rows:
            break
    assert [row.kind for row in rows] == ["promoted"]
    assert rows[0].summary.startswith("not worse by more than 0.05 (difference +0.0000) over ")


def test_a_challenger_a_little_worse_within_the_margin_is_not_called_better(in_shadow):
    for hour in range(1, 200):
        in_shadow.outcomes(99)
        in_shadow.outcomes(1, challenger=False)
        rows = in_shadow.controller.step(T0 + 10 * DAY + hour * HOUR)
        if rows:
            break
    assert [row.kind for row in rows] == ["promoted"]
    assert rows[0].summary.startswith("not worse by more than 0.05 (difference -0.0")


def test_a_worse_challenger_is_rejected_on_evidence(in_shadow):
    in_shadow.outcomes(20, champion=True, challenger=False)
    (row,) = in_shadow.controller.step(T0 + 10 * DAY + HOUR)
    assert (row.kind, row.summary) == ("rejected", "worse by 1.0000 over 20 pairs")
    assert row.evidence["by"] == "shadow"
    assert in_shadow.pointed() == (1, None, 0, "idle")


def test_without_evidence_in_time_the_champion_stays(in_shadow):
    in_shadow.outcomes(5)
    assert in_shadow.controller.step(T0 + 15 * DAY - 1) == []
    (row,) = in_shadow.controller.step(T0 + 15 * DAY)
    assert (row.kind, row.summary) == ("rejected", "no evidence in time: 5 pairs, difference +0.0000")
    assert in_shadow.pointed() == (1, None, 0, "idle")


def test_while_one_is_compared_no_other_is_trained(in_shadow):
    assert in_shadow.controller.step(T0 + 14 * DAY) == []
    assert len(in_shadow.trainer.orders) == 3


def test_pairs_of_an_earlier_comparison_do_not_count(in_shadow):
    in_shadow.outcomes(15, champion=False, challenger=True)
    in_shadow.controller.step(T0 + 15 * DAY)  # too few in time
    in_shadow.controller.step(T0 + 20 * DAY)  # the next one
    assert in_shadow.pointed() == (1, 3, 0, "shadow")
    assert in_shadow.controller.test.pairs == 0
    in_shadow.outcomes(10, champion=False, challenger=True)
    assert in_shadow.controller.step(T0 + 20 * DAY + HOUR) == []
    assert in_shadow.controller.test.pairs == 10


def test_a_failing_champion_is_rolled_back_to_the_one_before(in_shadow):
    in_shadow.outcomes(30, champion=False, challenger=True)
    in_shadow.controller.step(T0 + 11 * DAY)
    champion = in_shadow.journal.pointer().champion
    (row,) = in_shadow.controller.roll_back(T0 + 12 * DAY, champion, "it raises", {"errors": 3})
    assert (row.kind, row.release, row.evidence) == ("rolled_back", champion, {"errors": 3})
    assert row.summary.endswith(" is back: it raises")
    assert in_shadow.pointed() == (1, None, None, "idle")
    assert in_shadow.controller.roll_back(T0 + 12 * DAY, champion, "it raises", {}) == []  # it is not live any more
    in_shadow.controller.step(T0 + 20 * DAY)
    assert in_shadow.pointed() == (1, 3, None, "shadow")


def test_a_release_that_is_not_live_is_left_alone(begun):
    baseline = begun.journal.pointer().previous
    assert begun.controller.roll_back(T0 + DAY, baseline, "it raises", {}) == []
    assert begun.pointed() == (1, None, 0, "idle")


def test_a_failing_challenger_is_sent_home(in_shadow):
    challenger = in_shadow.journal.pointer().challenger
    (row,) = roll_back(in_shadow.journal, T0 + 11 * DAY, challenger, "it raises", {"errors": 1})
    assert (row.kind, row.summary, row.evidence) == ("rejected", "fails: it raises", {"by": "errors", "errors": 1})
    assert in_shadow.pointed() == (1, None, 0, "idle")
    assert in_shadow.controller.step(T0 + 11 * DAY) == []  # nor is it taken up again


def test_with_nothing_before_it_a_failing_release_stays(stage):
    stage.trainer.script = ["bad"]
    stage.controller.start(T0)
    baseline = stage.journal.pointer().champion
    assert stage.controller.roll_back(T0 + DAY, baseline, "it raises", {}) == []
    assert stage.pointed()[0] == 0


def test_a_candidate_trained_beside_the_loop_gets_its_comparison(begun):
    other = type(begun)(begun.system, begun.log, begun.releases)
    rows = other.controller.train_once(T0 + 3 * DAY)
    assert [row.kind for row in rows] == ["trained", "gated", "registered"]
    assert begun.pointed() == (1, None, 0, "idle")
    (row,) = begun.controller.step(T0 + 3 * DAY + HOUR)
    assert row.kind == "shadow_started"
    assert begun.pointed() == (1, 2, 0, "shadow")
    begun.outcomes(30, champion=False, challenger=True)
    begun.controller.step(T0 + 4 * DAY)
    assert begun.pointed() == (2, None, 1, "idle")
    assert begun.controller.step(T0 + 4 * DAY + HOUR) == []


def test_a_candidate_beside_the_loop_that_fails_its_gates_is_not_taken_up(begun):
    other = type(begun)(begun.system, begun.log, begun.releases)
    other.trainer.script = ["bad"]
    other.controller.train_once(T0 + 3 * DAY)
    assert begun.controller.step(T0 + 3 * DAY + HOUR) == []


def test_a_candidate_beside_a_comparison_waits_for_its_end(in_shadow):
    other = type(in_shadow)(in_shadow.system, in_shadow.log, in_shadow.releases)
    other.controller.train_once(T0 + 11 * DAY)
    in_shadow.outcomes(20, champion=True, challenger=False)
    assert [row.kind for row in in_shadow.controller.step(T0 + 12 * DAY)] == ["rejected"]
    assert [row.kind for row in in_shadow.controller.step(T0 + 12 * DAY + HOUR)] == ["shadow_started"]
    assert in_shadow.pointed() == (1, 3, 0, "shadow")


def test_training_on_a_persons_word_brings_up_the_first_champion(stage):
    stage.controller.train_once(T0)
    assert stage.pointed() == (1, None, 0, "idle")


def test_numbers_rise_across_restarts_and_beside_the_loop(begun):
    other = type(begun)(begun.system, begun.log, begun.releases)
    other.controller.train_once(T0 + DAY)
    begun.controller.step(T0 + DAY + HOUR)
    begun.outcomes(20, champion=True, challenger=False)
    begun.controller.step(T0 + 2 * DAY)
    begun.new().step(T0 + 20 * DAY)
    assert begun.pointed() == (1, 3, 0, "shadow")


def test_a_restart_between_trainings_goes_on(begun):
    begun.new()
    assert begun.controller.start(T0 + DAY) == []
    assert begun.controller.step(T0 + 10 * DAY - 1) == []  # it knows when the last training was
    assert begun.controller.step(T0 + 10 * DAY)[0].kind == "trigger"
    assert begun.pointed() == (1, 2, 0, "shadow")


def test_a_restart_within_a_comparison_goes_on_with_it(in_shadow):
    in_shadow.outcomes(10, champion=False, challenger=True)
    in_shadow.controller.step(T0 + 10 * DAY + HOUR)
    in_shadow.new()
    assert in_shadow.pointed() == (1, 2, 0, "shadow")
    assert in_shadow.controller.step(T0 + 10 * DAY + 2 * HOUR) == []
    in_shadow.outcomes(20, champion=False, challenger=True)
    (row,) = in_shadow.controller.step(T0 + 11 * DAY)
    assert row.kind == "promoted"
    assert in_shadow.pointed() == (2, None, 1, "idle")


def test_a_restart_remembers_when_a_comparison_must_end(in_shadow):
    in_shadow.new()
    (row,) = in_shadow.controller.step(T0 + 15 * DAY)
    assert row.summary.startswith("no evidence in time")


def test_a_restart_after_a_failed_training_does_not_train_again_at_once(begun):
    begun.trainer.script = ["no memory", "no memory"]
    begun.controller.step(T0 + 10 * DAY)
    begun.controller.step(T0 + 10 * DAY + HOUR)
    begun.new()
    assert begun.controller.step(T0 + 10 * DAY + 3 * HOUR - 1) == []
    assert begun.controller.step(T0 + 10 * DAY + 3 * HOUR)[0].kind == "trigger"


def test_a_restart_takes_up_nothing_that_is_decided(in_shadow):
    in_shadow.outcomes(20, champion=True, challenger=False)
    in_shadow.controller.step(T0 + 11 * DAY)
    in_shadow.new()
    assert in_shadow.controller.step(T0 + 12 * DAY) == []


def test_every_decision_is_chained_and_moves_the_pointer_with_it(in_shadow):
    in_shadow.outcomes(30, champion=False, challenger=True)
    in_shadow.controller.step(T0 + 11 * DAY)
    in_shadow.journal.verify()
    assert in_shadow.journal.pointer().generation == in_shadow.kinds().count("promoted") + 1  # and the shadow's start


def test_the_view_for_triggers_counts_from_the_newest_training(begun):
    begun.outcomes(8)
    assert begun.controller.losses_since_training == 8
    begun.trainer.script = ["bad"]
    begun.controller.step(T0 + 10 * DAY)
    assert begun.controller.losses_since_training == 0
    assert begun.controller.now_us == T0 + 10 * DAY


def test_a_restart_goes_on_counting_outcomes_from_the_newest_training(stage):
    stage.system.retrain = (retrain.on_rows(10),)
    stage.outcomes(3)  # of the history
    stage.controller.start(T0)
    stage.outcomes(6)
    assert stage.new().step(T0 + DAY) == []
    stage.outcomes(3)
    assert stage.new().step(T0 + 2 * DAY) == []
    assert stage.controller.losses_since_training == 9
    stage.outcomes(1)
    assert stage.new().step(T0 + 3 * DAY)[0].summary == "retrain: 10 outcomes since the last training"


def test_a_training_beside_the_loop_is_the_newest_one(begun):
    other = type(begun)(begun.system, begun.log, begun.releases)
    other.trainer.script = ["bad"]
    other.controller.train_once(T0 + 8 * DAY)
    assert begun.controller.step(T0 + 10 * DAY) == []  # of the first one it would be time
    assert begun.controller.trained_us == T0 + 8 * DAY
    assert begun.controller.step(T0 + 18 * DAY)[0].kind == "trigger"


def test_a_candidate_beside_the_loop_waits_where_somebody_decides_at_that_moment(begun, monkeypatch):
    other = type(begun)(begun.system, begun.log, begun.releases)
    other.controller.train_once(T0 + 3 * DAY)
    append = begun.journal.append

    def overtaken(kind, *given, **named):
        if kind == "shadow_started":
            monkeypatch.undo()
            pause(begun.journal, T0 + 3 * DAY, Person(who="anna", why="wait"))
        return append(kind, *given, **named)

    monkeypatch.setattr(begun.journal, "append", overtaken)
    assert begun.controller.step(T0 + 4 * DAY) == []
    resume(begun.journal, T0 + 4 * DAY, Person(who="anna", why="go on"))
    assert [row.kind for row in begun.controller.step(T0 + 5 * DAY)] == ["shadow_started"]


def test_a_trigger_with_a_budget_trains_no_more_than_it_allows_and_says_so_once(stage):
    stage.system.retrain = (retrain.every("1d", at_most="1/10d"),)
    stage.controller.start(T0)  # the first candidate counts, the baseline does not
    assert [row.kind for row in stage.controller.step(T0 + 9 * DAY)] == ["alert"]
    alert = list(stage.journal.rows())[-1]
    assert alert.summary == (
        "no retraining yet: 1d since the last training, but 1 of at most 1 trainings within 10d are made"
    )
    assert stage.controller.step(T0 + 9 * DAY + HOUR) == []
    assert stage.new().step(T0 + 9 * DAY + HOUR) == []  # a restart says nothing again
    assert stage.controller.step(T0 + 10 * DAY)[0].kind == "trigger"


def test_a_trigger_that_cools_down_waits_after_any_training(stage):
    stage.system.retrain = (retrain.on_rows(10, cool_down="3d"),)
    stage.controller.start(T0)
    stage.controller.step(T0)
    stage.outcomes(10)
    assert [row.kind for row in stage.controller.step(T0 + 3 * DAY - 1)] == ["alert"]
    assert stage.controller.step(T0 + 3 * DAY)[0].summary == "retrain: 10 outcomes since the last training"


def test_a_changed_declaration_is_trained_once(stage):
    stage.system.retrain = (retrain.on_change(),)
    stage.controller.start(T0)
    assert stage.controller.step(T0 + DAY) == []
    stage.system.seed += 1
    stage.trainer.declaration = declaration_hash(stage.system)
    stage.trainer.script = ["bad"]
    kinds = [row.kind for row in stage.new().step(T0 + DAY)]  # the changed file is read at a restart
    assert kinds == ["trigger", "trained", "gated", "rejected"]
    assert stage.controller.step(T0 + 2 * DAY) == []
    assert stage.new().step(T0 + 2 * DAY) == []
