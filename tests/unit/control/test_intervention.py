"""People stay in charge: what they decide is in force at once, stands in the journal, and the loop respects it."""

import msgspec
import pytest

from modelwright.control.intervention import Person, approve, bring_back, pause, reject, resume
from modelwright.core.errors import ConflictError, UsageError

DAY = 86_400_000_000
T0 = 1_767_225_600_000_000
ANNA = Person(who="anna", why="the figures convince me")


def replaced(setting, **changes):
    return msgspec.structs.replace(setting, **changes)


@pytest.fixture
def begun(stage):
    """With release 1 live since T0."""
    stage.controller.start(T0)
    return stage


@pytest.fixture
def in_shadow(begun):
    """With release 2 compared since day 10."""
    begun.controller.step(T0 + 10 * DAY)
    return begun


@pytest.fixture
def waiting(stage):
    """As a manual rollout: release 2 is shown to be better on day 11, and waits."""
    stage.system.rollout = replaced(stage.system.rollout, approval=True)
    stage.controller.start(T0)
    stage.controller.step(T0 + 10 * DAY)
    stage.outcomes(100, champion=False)
    (row,) = stage.controller.step(T0 + 11 * DAY)
    assert row.kind == "alert"
    return stage


def test_a_manual_rollout_asks_once_and_promotes_nothing_by_itself(waiting):
    asked = list(waiting.journal.rows())[-1]
    assert asked.summary == f"{asked.release} waits for `modelwright approve`: better by 1.0000 over 100 pairs"
    assert waiting.pointed() == (1, 2, 0, "approval")
    waiting.outcomes(100, champion=False)
    assert waiting.controller.step(T0 + 12 * DAY) == []
    assert waiting.new().step(T0 + 13 * DAY) == []  # after a restart as well
    assert waiting.pointed() == (1, 2, 0, "approval")


def test_what_is_approved_is_live_with_the_champion_behind_it(waiting):
    row = approve(waiting.journal, T0 + 12 * DAY, ANNA)
    assert (row.kind, row.summary) == ("promoted", "approved by anna: the figures convince me")
    assert row.evidence == {"by": "person", "who": "anna", "why": "the figures convince me"}
    assert waiting.pointed() == (2, None, 1, "idle")
    assert waiting.controller.step(T0 + 13 * DAY) == []  # the loop goes on from there
    waiting.journal.verify()


def test_what_nobody_approves_in_time_is_dropped(waiting):
    assert waiting.controller.step(T0 + 16 * DAY - 1) == []
    (row,) = waiting.controller.step(T0 + 16 * DAY)
    assert (row.kind, row.summary) == ("rejected", "nobody approved it in time")
    assert waiting.pointed() == (1, None, 0, "idle")


def test_what_gets_worse_while_it_waits_is_dropped(waiting):
    waiting.outcomes(2_000, champion=True, challenger=False)
    (row,) = waiting.controller.step(T0 + 12 * DAY)
    assert row.kind == "rejected" and row.summary.startswith("worse by")


def test_a_rehearsal_takes_the_approval_as_given(stage):
    stage.system.rollout = replaced(stage.system.rollout, approval=True)
    stage.approved = True
    stage.new().start(T0)
    stage.controller.step(T0 + 10 * DAY)
    stage.outcomes(100, champion=False)
    (row,) = stage.controller.step(T0 + 11 * DAY)
    assert (row.kind, row.evidence["approval"]) == ("promoted", "taken as given")


def test_a_challenger_may_be_approved_before_there_is_evidence(in_shadow):
    approve(in_shadow.journal, T0 + 10 * DAY + 1, ANNA)
    assert in_shadow.pointed() == (2, None, 1, "idle")


def test_a_registered_release_may_be_approved_by_the_beginning_of_its_name(in_shadow):
    approve(in_shadow.journal, T0 + 10 * DAY + 1, ANNA)
    row = approve(in_shadow.journal, T0 + 11 * DAY, ANNA, "r1-")
    assert row.release.startswith("r1-")
    assert in_shadow.pointed() == (1, None, 2, "idle")


def test_a_rejected_challenger_goes_and_does_not_come_back(in_shadow):
    row = reject(in_shadow.journal, T0 + 10 * DAY + 1, ANNA)
    assert (row.kind, row.summary) == ("rejected", "rejected by anna: the figures convince me")
    assert in_shadow.pointed() == (1, None, 0, "idle")
    assert in_shadow.controller.step(T0 + 11 * DAY) == []
    assert in_shadow.new().step(T0 + 11 * DAY) == []


def test_a_person_rolls_the_champion_back(in_shadow):
    approve(in_shadow.journal, T0 + 10 * DAY + 1, ANNA)
    row = bring_back(in_shadow.journal, T0 + 11 * DAY, Person(who="anna", why="complaints"))
    assert row.kind == "rolled_back" and row.release.startswith("r2-")
    assert row.summary.endswith(f"anna rolled {row.release} back: complaints")
    assert in_shadow.pointed() == (1, None, None, "idle")


def test_a_person_who_rolls_back_what_is_just_rolled_back_is_told_so(in_shadow, monkeypatch):
    approve(in_shadow.journal, T0 + 10 * DAY + 1, ANNA)
    seen = in_shadow.journal.pointer()
    in_shadow.controller.roll_back(T0 + 11 * DAY, seen.champion, "it raises", {"errors": 1})
    live, reads = in_shadow.journal.pointer, [seen]
    monkeypatch.setattr(in_shadow.journal, "pointer", lambda: reads.pop() if reads else live())
    with pytest.raises(ConflictError, match="another decision"):
        bring_back(in_shadow.journal, T0 + 11 * DAY, ANNA)


def test_paused_nothing_is_trained_or_promoted_until_it_is_resumed(in_shadow):
    assert pause(in_shadow.journal, T0 + 10 * DAY + 1, ANNA).kind == "paused"
    in_shadow.outcomes(100, champion=False)
    assert in_shadow.controller.step(T0 + 11 * DAY) == []
    assert in_shadow.new().step(T0 + 12 * DAY) == []
    assert resume(in_shadow.journal, T0 + 12 * DAY, ANNA).kind == "resumed"
    assert [row.kind for row in in_shadow.controller.step(T0 + 12 * DAY)] == ["promoted"]


def test_paused_what_fails_is_still_rolled_back_and_it_stays_paused(in_shadow):
    approve(in_shadow.journal, T0 + 10 * DAY + 1, ANNA)
    pause(in_shadow.journal, T0 + 10 * DAY + 2, ANNA)
    failing = in_shadow.journal.pointer().champion
    assert in_shadow.controller.roll_back(T0 + 11 * DAY, failing, "it raises", {"errors": 1})
    assert in_shadow.pointed() == (1, None, None, "idle")
    assert in_shadow.journal.pointer().paused
    assert in_shadow.controller.step(T0 + 40 * DAY) == []


def test_what_was_trained_when_it_was_paused_is_compared_when_it_is_resumed(begun):
    train = begun.trainer.train

    def paused_meanwhile(*order):
        trained = train(*order)
        pause(begun.journal, T0 + 10 * DAY, ANNA)
        return trained

    begun.trainer.train = paused_meanwhile
    assert [row.kind for row in begun.controller.step(T0 + 10 * DAY)] == ["trigger", "trained", "gated", "registered"]
    assert begun.pointed() == (1, None, 0, "idle")
    resume(begun.journal, T0 + 11 * DAY, ANNA)
    assert [row.kind for row in begun.controller.step(T0 + 11 * DAY)] == ["shadow_started"]


def test_who_decides_while_the_loop_does_is_not_overruled(in_shadow, monkeypatch):
    pointer = in_shadow.journal.pointer()
    in_shadow.outcomes(100, champion=False)
    reject(in_shadow.journal, T0 + 11 * DAY, ANNA)
    monkeypatch.setattr(type(in_shadow.controller), "pointer", property(lambda self: pointer))
    assert in_shadow.controller.step(T0 + 11 * DAY) == []  # it had read the pointer before
    assert in_shadow.pointed() == (1, None, 0, "idle")


@pytest.mark.parametrize(
    ("decide", "message"),
    [
        (
            lambda journal: approve(journal, T0, ANNA),
            "no release waits for approval; name one that was registered: r0-",
        ),
        (lambda journal: approve(journal, T0, ANNA, "r7"), "release r7 was never registered; registered are r0-"),
        (lambda journal: approve(journal, T0, ANNA, "r"), "release r is the beginning of several"),
        (lambda journal: approve(journal, T0, ANNA, "r1"), "is the champion already"),
        (lambda journal: reject(journal, T0, ANNA), "there is no challenger to reject"),
        (lambda journal: resume(journal, T0, ANNA), "the loop is not paused"),
    ],
)
def test_what_cannot_be_decided_is_said_and_changes_nothing(begun, decide, message):
    before = begun.kinds()
    with pytest.raises(UsageError, match=message):
        decide(begun.journal)
    assert begun.kinds() == before


def test_pausing_twice_and_going_back_beyond_the_first_are_refused(stage):
    stage.trainer.script = ["bad"]
    stage.controller.start(T0)  # the baseline, with nothing before it
    with pytest.raises(UsageError, match="none before it is at hand"):
        bring_back(stage.journal, T0, ANNA)
    pause(stage.journal, T0, ANNA)
    with pytest.raises(UsageError, match="paused already"):
        pause(stage.journal, T0, ANNA)
