"""A canary: what is shown to be not worse answers a share that grows step by step, and nobody once it turns out worse."""

import msgspec
import pytest

from modelwright.control.intervention import Person, approve, bring_back, pause, reject, resume
from modelwright.control.rollback import roll_back
from modelwright.monitoring.ledger import Scored

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000_000
ANNA = Person(who="anna", why="complaints")


@pytest.fixture
def careful(stage):
    """In shadow since day 10; shares of 5% and 25%, each until 10 more outcomes are known."""
    stage.system.rollout = msgspec.structs.replace(stage.system.rollout, shares=(0.05, 0.25), step=10)
    stage.controller.start(T0)
    stage.controller.step(T0 + 10 * DAY)
    assert stage.pointed() == (1, 2, 0, "shadow")
    return stage


@pytest.fixture
def canary(careful):
    """The same, answering 5% since day 11."""
    careful.outcomes(20, champion=False)
    (row,) = careful.controller.step(T0 + 11 * DAY)
    assert row.kind == "canary"
    return careful


def test_what_is_not_worse_answers_a_share_first(canary):
    row, pointer = list(canary.journal.rows())[-1], canary.journal.pointer()
    assert row.release == pointer.challenger
    assert row.summary == f"{row.release} answers 0.05 of the requests: better by 1.0000 over 20 pairs"
    assert (row.evidence["share"], row.evidence["pairs"]) == (0.05, 20)
    assert row.evidence["evidence"] >= row.evidence["needed"]
    assert canary.pointed() == (1, 2, 0, "canary")
    assert (pointer.share, pointer.rollout, pointer.since_us) == (0.05, row.release, T0 + 11 * DAY)


def test_the_share_grows_step_by_step_and_then_it_is_all(canary):
    canary.outcomes(9, champion=False)
    assert canary.controller.step(T0 + 11 * DAY + HOUR) == []
    canary.outcomes(1, champion=False)
    (row,) = canary.controller.step(T0 + 12 * DAY)
    assert (row.kind, row.evidence["share"], row.evidence["pairs"]) == ("canary", 0.25, 30)
    canary.outcomes(10, champion=False)
    (row,) = canary.controller.step(T0 + 13 * DAY)
    assert (row.kind, row.evidence["share"], row.evidence["pairs"]) == ("promoted", 0.25, 40)
    assert canary.pointed() == (2, None, 1, "idle")
    assert (canary.journal.pointer().share, canary.journal.pointer().rollout) == (0.0, None)
    canary.journal.verify()


def test_what_turns_out_worse_answers_nobody_any_more(canary):
    canary.outcomes(100, challenger=False)
    (row,) = canary.controller.step(T0 + 12 * DAY)
    assert (row.kind, row.evidence["by"]) == ("rejected", "canary")
    assert row.summary.startswith("worse by ")
    assert canary.pointed() == (1, None, 0, "idle")
    assert (canary.journal.pointer().share, canary.journal.pointer().rollout) == (0.0, None)


def test_pairs_count_whoever_answered(canary):
    """Of a step's ten, some were answered by the challenger and scored by the champion beside."""
    pointer = canary.journal.pointer()
    for number in range(1_000, 1_010):
        answers, beside = (pointer.challenger, pointer.champion)[:: 1 if number % 2 else -1]
        canary.ledger.predicted(number, number, Scored(answers, answers == pointer.challenger, None))
        canary.ledger.predicted(number, number, Scored(beside, beside == pointer.challenger, None), challenger=True)
        canary.ledger.known(number, True)
    canary.ledger.settle()
    (row,) = canary.controller.step(T0 + 12 * DAY)
    assert (row.kind, row.evidence["share"]) == ("canary", 0.25)
    assert (row.evidence["pairs"], row.evidence["difference"]) == (30, pytest.approx(1.0))


def test_a_step_without_outcomes_ends_in_the_declared_time(canary):
    assert canary.controller.step(T0 + 16 * DAY - 1) == []
    (row,) = canary.controller.step(T0 + 16 * DAY)
    assert row.summary == "no evidence in time: 20 pairs, difference +1.0000"
    assert canary.pointed() == (1, None, 0, "idle")


def test_a_restart_goes_on_at_the_same_share(canary):
    canary.new()
    canary.outcomes(19, champion=False)
    assert canary.controller.step(T0 + 12 * DAY) == []  # what was counted for the step before does not count again
    assert canary.journal.pointer().share == 0.05
    canary.outcomes(20, champion=False)
    (row,) = canary.controller.step(T0 + 13 * DAY)
    assert (row.kind, row.evidence["share"]) == ("canary", 0.25)


def test_a_canary_that_is_declared_no_more_needs_the_evidence_of_a_shadow(careful):
    """Its share does not grow, and no pairs are not enough to answer everybody."""
    before = careful.journal.pointer()
    point = msgspec.structs.replace(before, phase="canary", share=0.05, rollout=before.challenger)
    careful.journal.append(
        "canary", T0 + 10 * DAY, release=before.challenger, summary="5%", evidence={"pairs": 0}, point=point
    )
    careful.system.rollout = msgspec.structs.replace(careful.system.rollout, shares=(), step=0)
    careful.new()
    assert careful.controller.step(T0 + 10 * DAY) == []
    careful.outcomes(careful.system.rollout.pairs, champion=False)
    (row,) = careful.controller.step(T0 + 11 * DAY)
    assert (row.kind, row.evidence["pairs"]) == ("promoted", careful.system.rollout.pairs)


def test_a_challenger_that_fails_answers_nobody_any_more(canary):
    (row,) = roll_back(canary.journal, T0 + 12 * DAY, canary.journal.pointer().challenger, "it raises", {"errors": 1})
    assert row.kind == "rejected"
    assert canary.journal.pointer().share == 0.0
    assert canary.controller.step(T0 + 12 * DAY) == []
    canary.outcomes(50)
    assert canary.controller.step(T0 + 13 * DAY) == []


@pytest.mark.parametrize("decide", [reject, bring_back])
def test_a_person_ends_a_canary(canary, decide):
    """Rolled back or rejected: either way the newest of those that answer is gone, and the champion stays."""
    challenger = canary.journal.pointer().challenger
    row = decide(canary.journal, T0 + 12 * DAY, ANNA)
    assert (row.kind, row.release) == ("rejected", challenger)
    assert row.evidence == {"by": "person", "who": "anna", "why": "complaints"}
    assert canary.pointed() == (1, None, 0, "idle")
    assert canary.journal.pointer().share == 0.0
    canary.outcomes(50)
    assert canary.controller.step(T0 + 13 * DAY) == []


def test_approved_in_a_canary_it_answers_all(canary):
    approve(canary.journal, T0 + 12 * DAY, ANNA)
    assert canary.pointed() == (2, None, 1, "idle")
    assert canary.journal.pointer().share == 0.0


def test_paused_the_share_stays(canary):
    pause(canary.journal, T0 + 11 * DAY, ANNA)
    canary.outcomes(50, champion=False)
    assert canary.controller.step(T0 + 12 * DAY) == []
    assert canary.journal.pointer().share == 0.05
    resume(canary.journal, T0 + 13 * DAY, ANNA)
    (row,) = canary.controller.step(T0 + 13 * DAY)
    assert (row.kind, row.evidence["share"]) == ("canary", 0.25)


def test_a_step_that_somebody_else_s_decision_overtook_is_taken_later_and_no_more_is_asked_of_it(canary, monkeypatch):
    canary.outcomes(10, champion=False)
    append = canary.journal.append

    def overtaken(kind, *given, **named):
        if kind == "canary":
            monkeypatch.undo()
            pause(canary.journal, T0 + 12 * DAY, ANNA)
        return append(kind, *given, **named)

    monkeypatch.setattr(canary.journal, "append", overtaken)
    assert canary.controller.step(T0 + 12 * DAY) == []
    resume(canary.journal, T0 + 12 * DAY, ANNA)
    canary.outcomes(10, champion=False)
    (row,) = canary.controller.step(T0 + 12 * DAY + HOUR)
    assert (row.kind, row.evidence["share"]) == ("canary", 0.25)
