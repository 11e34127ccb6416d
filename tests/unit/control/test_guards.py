"""What breaches a guard is out of service: a challenger sent home, a champion replaced by the release before it."""

import msgspec
import numpy as np
import pytest

from modelwright import guard
from modelwright.control import guards as looked_at
from modelwright.control.intervention import Person, approve, pause
from modelwright.monitoring.ledger import Scored
from modelwright.release.manifest import References
from modelwright.stats.reference import reference_of_numbers

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000_000
ANNA = Person(who="anna", why="the figures convince me")


@pytest.fixture
def watched(stage):
    """Release 2 was compared from day 10 and became champion on day 12: release 1 scores beside it until day 14."""
    stage.controller.start(T0)
    stage.controller.step(T0 + 10 * DAY)
    stage.outcomes(20, champion=False)
    (row,) = stage.controller.step(T0 + 12 * DAY)
    assert row.kind == "promoted"
    return stage


DUE = T0 + 13 * DAY + 2 * HOUR
"""When the outcomes of what was asked in the first hours after the promotion are due."""


def answer(stage, count, at_us, champion=True, before=True, known=True):
    """Events answered by the champion and scored by the release before it; both right or wrong throughout."""
    pointer = stage.journal.pointer()
    for _ in range(count):
        stage.events += 1
        stage.ledger.predicted(stage.events, at_us, Scored(pointer.champion, champion, None))
        stage.ledger.predicted(stage.events, at_us, Scored(pointer.previous, before, None), challenger=True)
        if known:
            stage.ledger.known(stage.events, True)
    stage.ledger.settle()


def test_the_release_before_a_new_champion_scores_beside_it_for_as_long_as_they_were_compared(watched):
    pointer = watched.journal.pointer()
    assert (pointer.since_us, pointer.watch_until_us) == (T0 + 12 * DAY, T0 + 14 * DAY)
    assert watched.pointed() == (2, None, 1, "idle")


def test_a_champion_that_turns_out_worse_gives_way_to_the_release_before_it(watched):
    champion = watched.journal.pointer().champion
    answer(watched, 100, T0 + 12 * DAY + HOUR, champion=False)
    (row,) = watched.controller.step(DUE)
    assert (row.kind, row.release) == ("rolled_back", champion)
    assert row.summary.endswith(" is back: it is worse by 1.0000 over 100 pairs")
    assert (row.evidence["by"], row.evidence["pairs"], row.evidence["difference"]) == (
        "outcome", 100, pytest.approx(-1),
    )  # fmt: skip
    assert row.evidence["evidence"] >= row.evidence["needed"] == pytest.approx(100)
    assert watched.pointed() == (1, None, None, "idle")
    assert watched.journal.pointer().watch_until_us == 0
    watched.journal.verify()


def test_a_champion_as_good_as_before_stays(watched):
    answer(watched, 400, T0 + 12 * DAY + HOUR)
    answer(watched, 400, T0 + 12 * DAY + HOUR, before=False)
    assert watched.controller.step(DUE) == []
    assert watched.pointed() == (2, None, 1, "idle")


def test_what_was_asked_before_it_became_champion_says_nothing(watched):
    """A restart reads the log again: the comparison it was promoted on must not count for or against it."""
    answer(watched, 400, T0 + 12 * DAY - HOUR, champion=False)
    assert watched.controller.step(DUE) == []


def test_outcomes_may_come_after_the_watch(watched):
    answer(watched, 100, T0 + 12 * DAY + HOUR, champion=False, known=False)
    assert watched.controller.step(T0 + 15 * DAY) == []
    for event in range(watched.events - 99, watched.events + 1):
        watched.ledger.known(event, True)
    watched.ledger.settle()
    (row,) = watched.controller.step(T0 + 19 * DAY)
    assert row.kind == "rolled_back"


def test_paused_a_breach_is_still_acted_upon(watched):
    pause(watched.journal, T0 + 12 * DAY, ANNA)
    answer(watched, 100, T0 + 12 * DAY + HOUR, champion=False)
    (row,) = watched.controller.step(DUE)
    assert row.kind == "rolled_back"
    assert watched.journal.pointer().paused


def test_between_decision_points_it_is_looked_at_as_well(watched):
    answer(watched, 100, T0 + 12 * DAY + HOUR, champion=False)
    assert watched.controller.guard(T0 + 12 * DAY + 2 * HOUR) == []  # those that are known early may be of one kind
    (row,) = watched.controller.guard(DUE)
    assert row.kind == "rolled_back"
    assert watched.controller.guard(DUE) == []


def test_what_a_person_approves_in_its_comparison_is_watched_too(stage):
    stage.controller.start(T0)
    stage.controller.step(T0 + 10 * DAY)
    approve(stage.journal, T0 + 11 * DAY, ANNA)
    assert stage.journal.pointer().watch_until_us == T0 + 12 * DAY


def test_without_the_guard_nothing_scores_beside_a_champion(stage):
    stage.system.rollout = msgspec.structs.replace(stage.system.rollout, guards=(guard.scores(),))
    stage.controller.start(T0)
    stage.controller.step(T0 + 10 * DAY)
    stage.outcomes(20, champion=False)
    stage.controller.step(T0 + 12 * DAY)
    assert stage.pointed() == (2, None, 1, "idle")
    assert stage.journal.pointer().watch_until_us == 0


def test_the_first_champion_and_the_next_comparison_are_not_watched(watched):
    rows = list(watched.journal.rows())
    assert rows[4].kind == "promoted"  # the first: there was no comparison
    watched.controller.step(T0 + 20 * DAY)
    assert watched.pointed() == (2, 3, 1, "shadow")
    assert watched.journal.pointer().watch_until_us == 0


@pytest.fixture
def scoring(watched, monkeypatch):
    """`scoring(scores, beside)`: what the new release says, and the one beside it of the same requests. Every release was gated
    on scores spread over 0 to 1."""
    even = reference_of_numbers("score", np.random.default_rng(1).uniform(0, 1, 2_000))
    monkeypatch.setattr(looked_at, "read_references", lambda folder: References((), even))

    def say(scores, beside):
        pointer = watched.journal.pointer()
        new, old = (
            (pointer.challenger, pointer.champion) if pointer.challenger else (pointer.champion, pointer.previous)
        )
        for theirs, ours in zip(scores, beside, strict=True):
            watched.events += 1
            for release, score in ((new, theirs), (old, ours)):
                scored = Scored(release, score > 0.5, (1 - score, score), (False, True))
                watched.ledger.predicted(watched.events, watched.events, scored, challenger=release is old)

    return say


def spread(count):
    return np.random.default_rng(2).uniform(0, 1, count).tolist()


def test_scores_that_are_all_the_same_bring_the_release_before_back(watched, scoring):
    watched.system.rollout = msgspec.structs.replace(watched.system.rollout, guards=(guard.scores(jump=100),))
    champion = watched.journal.pointer().champion
    scoring([*spread(50), *[0.42] * 199], spread(249))
    assert watched.controller.step(T0 + 13 * DAY) == []
    scoring([0.42], [0.5])
    (row,) = watched.controller.step(T0 + 13 * DAY + HOUR)
    assert (row.kind, row.release) == ("rolled_back", champion)
    assert row.summary.endswith(" is back: its latest 200 scores are all 0.42")
    assert (row.evidence["by"], row.evidence["rows"]) == ("scores", 200)
    assert watched.pointed() == (1, None, None, "idle")


def test_scores_that_jump_bring_the_release_before_back(watched, scoring):
    scoring(spread(200), spread(200))
    assert watched.controller.step(T0 + 13 * DAY) == []
    scoring([0.995 + 0.005 * score for score in spread(200)], spread(200))
    (row,) = watched.controller.step(T0 + 13 * DAY + HOUR)
    assert row.kind == "rolled_back"
    assert "others than it was gated with: index" in row.summary
    assert row.evidence["size"] >= 4 > 1 > row.evidence["beside"]


@pytest.mark.parametrize("scores", [[0.42] * 200, [0.995 + 0.005 * score for score in spread(200)]])
def test_where_both_leave_their_reference_it_is_the_requests_that_have_changed(watched, scoring, scores):
    scoring(scores, scores)
    assert watched.controller.step(T0 + 13 * DAY) == []


def test_scores_that_drift_are_no_jump(watched, scoring):
    scoring([score**2 for score in spread(400)], spread(400))
    assert watched.controller.step(T0 + 13 * DAY) == []


def test_once_it_is_not_watched_any_more_scores_are_the_drift_monitors(watched, scoring):
    scoring([0.42] * 200, spread(200))
    assert watched.controller.step(T0 + 14 * DAY) == []


def test_a_challengers_scores_are_looked_at_as_well(watched, scoring):
    watched.controller.step(T0 + 20 * DAY)
    assert watched.pointed() == (2, 3, 1, "shadow")
    challenger = watched.journal.pointer().challenger
    scoring([0.1] * 200, spread(200))
    (row,) = watched.controller.step(T0 + 20 * DAY + HOUR)
    assert (row.kind, row.release, row.evidence["by"]) == ("rejected", challenger, "scores")
    assert row.summary == "fails: its latest 200 scores are all 0.1"
    assert watched.pointed() == (2, None, 1, "idle")
