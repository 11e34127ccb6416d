"""A message says what, since when, how sure, what the system did and what is left to do, for each thing people are told."""

import msgspec
import pytest

from modelwright import alert, retrain
from modelwright.control.intervention import Person, bring_back, pause
from modelwright.control.notice import Told, is_trouble, notice_of, thing_of, would_send
from modelwright.core.clock import iso
from modelwright.monitoring.parity import ParityReport

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000_000


def drift(stage, *names, at_us=T0 + 2 * HOUR, release="r1-0123456789ab"):
    drifted = [
        {"name": name, "importance": 0.5, "since": iso(T0 + place * HOUR), "log10": 4.2, "size": 0.3, "change": "x"}
        for place, name in enumerate(names)
    ]
    evidence = {"at_us": at_us, "rows": 500, "drifted": drifted}
    summary = f"drift of {names[0]} since 2026-01-01 00:00: median 1, now 2"
    return stage.journal.append("alert", at_us, release=release, summary=summary, evidence=evidence)


@pytest.mark.parametrize(
    ("triggers", "did"),
    [
        ((), "nothing: no `retrain.on_drift()` is declared"),
        ((retrain.on_drift(),), "has `retrain.on_drift()` look at it"),
    ],
)
def test_drift_is_told_with_its_beginning_and_its_evidence(stage, triggers, did):
    stage.system.retrain = triggers
    notice = notice_of(drift(stage, "amount", "age"), stage.system)
    assert notice.what == "drift of amount since 2026-01-01 00:00: median 1, now 2"
    assert notice.since == iso(T0)
    assert "20,000 times likelier with this change than without one" in notice.sure
    assert "at most one false alarm in 30d is to be expected" in notice.sure
    assert notice.did.startswith(did) and notice.advice


def test_a_release_that_waits_says_what_to_type_and_how_good_it_is(stage):
    stage.system.rollout = msgspec.structs.replace(stage.system.rollout, approval=True)
    stage.new().start(T0)
    stage.controller.step(T0 + 10 * DAY)
    stage.outcomes(100, champion=False)
    (row,) = stage.controller.step(T0 + 11 * DAY)
    notice = notice_of(row, stage.system)
    assert "waits for `modelwright approve`: better by 1.0000 over 100 pairs" in notice.what
    assert "where 10 to 1 is asked for, over 100 pairs" in notice.sure
    assert "after 5d without an answer it is dropped" in notice.did
    assert notice.advice == "`modelwright approve --why ...`, or `modelwright reject --why ...`"


def test_a_training_that_fails_a_rollback_and_features_that_differ(stage):
    stage.trainer.script = ["good", "no memory left"]
    stage.parity = type("P", (), {"check": lambda self: ParityReport(checked=50, differ={"spend": 2})})()
    stage.new().start(T0)
    stage.outcomes(50)
    rows = stage.controller.step(T0 + 10 * DAY)
    rows += stage.controller.roll_back(
        T0 + 11 * DAY, stage.journal.pointer().champion, "division by zero", {"errors": 1}
    )
    stage.controller.step(T0 + 12 * DAY)
    notices = {row.kind: notice_of(row, stage.system) for row in stage.journal.rows() if is_trouble(row)}
    assert notices["error"].what == "training failed: no memory left"
    assert "the champion goes on answering" in notices["error"].did
    assert "is back: division by zero" in notices["rolled_back"].what
    assert notices["rolled_back"].did.startswith(f"took {notices['rolled_back'].release} out of service")


def test_what_a_guard_took_out_says_what_was_found_and_that_requests_are_answered(stage):
    stage.controller.start(T0)
    champion = stage.journal.pointer().champion
    found = {"by": "outcome", "pairs": 25, "evidence": 130.0, "needed": 100.0}
    (row,) = stage.controller.roll_back(T0 + DAY, champion, "it is worse by 0.6800 over 25 pairs", found)
    notice = notice_of(row, stage.system)
    assert is_trouble(row)
    assert notice.what.endswith("is back: it is worse by 0.6800 over 25 pairs")
    assert "130 to 1, where 100 to 1 is asked for, over 25 pairs" in notice.sure
    assert "failed request" not in notice.did and "the release before it answers" in notice.did


@pytest.mark.parametrize(("by", "trouble"), [("errors", True), ("scores", True), ("latency", True), ("shadow", False)])
def test_a_challenger_that_fails_is_trouble_and_one_that_loses_is_not(stage, by, trouble):
    stage.controller.start(T0)
    stage.controller.step(T0 + 10 * DAY)
    challenger = stage.journal.pointer().challenger
    (row,) = stage.controller.roll_back(T0 + 11 * DAY, challenger, "its latest 200 scores are all 0.1", {"by": by})
    assert is_trouble(row) is trouble


def test_what_a_person_did_is_not_told_as_the_systems_doing(stage):
    stage.controller.start(T0)
    row = bring_back(stage.journal, T0 + HOUR, Person(who="anna", why="the figures look wrong"))
    notice = notice_of(row, stage.system)
    assert "anna rolled" in notice.what and "the figures look wrong" in notice.what
    assert notice.advice == ""
    row = pause(stage.journal, T0 + HOUR, Person(who="anna", why="a broken source"))
    assert notice_of(row, stage.system).text.splitlines() == [
        "disputes: paused by anna: a broken source", "Since 2026-01-01 01:00 UTC.",
    ]  # fmt: skip


def test_only_trouble_and_what_waits_is_told_unasked(stage):
    stage.controller.start(T0)
    stage.controller.step(T0 + 10 * DAY)
    stage.outcomes(100)
    stage.controller.step(T0 + 16 * DAY)
    assert {"trained", "promoted", "trigger", "registered"} <= set(stage.kinds())
    assert not any(is_trouble(row) for row in stage.journal.rows())


def test_text_says_it_all_in_four_lines(stage):
    text = notice_of(drift(stage, "amount"), stage.system).text.splitlines()
    assert text[0] == "disputes: drift of amount since 2026-01-01 00:00: median 1, now 2"
    assert text[1].startswith("Since 2026-01-01 00:00 UTC. The requests since are 20,000 times likelier")
    assert [line.partition(":")[0] for line in text[2:]] == ["What the system did", "What to do"]


def test_two_rows_are_one_thing_whatever_their_figures(stage):
    first, again = (stage.journal.append("error", T0, summary=f"ended with {n}, after {n}.5 s") for n in (1, 20))
    other = stage.journal.append("error", T0, summary="ended")
    assert thing_of(first) == thing_of(again) != thing_of(other)
    assert thing_of(drift(stage, "a", "b")) == thing_of(drift(stage, "b", "a"))
    assert thing_of(drift(stage, "a")) != thing_of(drift(stage, "a", release="r2-0123456789ab"))


def test_what_goes_on_is_no_news_and_what_comes_back_is(stage):
    told = Told()
    hours = [0, 20, 40, 63, 88, 200]
    rows = [stage.journal.append("error", T0 + hour * HOUR, summary="ended") for hour in hours]
    assert [told.is_new(row) for row in rows] == [True, False, False, False, True, True]


def test_what_was_told_to_have_ended_and_is_back_is_told_but_not_each_time_it_comes_and_goes(stage):
    told = Told()

    def new(*turns):
        rows = [turn(stage, state, T0 + int(hour * HOUR)) for hour, state in turns]
        return [row.evidence["state"] for row in rows if told.is_new(row)]

    assert new((0, "raised"), (1, "cleared"), (2, "raised")) == ["raised", "cleared", "raised"]
    minutes = [(3 + minute / 60, "cleared" if minute % 2 == 0 else "raised") for minute in range(600)]
    assert new(*minutes) == []  # it is off as far as people know, and they look at it
    assert new((26, "cleared"), (27, "raised")) == ["cleared", "raised"]
    assert new((28, "cleared"), (80, "raised"), (81, "cleared")) == ["raised", "cleared"]
    assert new((82, "superseded"), (83, "raised"), (84, "raised")) == ["superseded", "raised"]


def test_a_rehearsal_says_what_would_have_been_sent_and_to_whom(stage):
    drift(stage, "amount")
    drift(stage, "amount", at_us=T0 + 3 * HOUR)
    stage.journal.append("promoted", T0 + 4 * HOUR, release="r2-0123456789ab", summary="better")
    alerts = [alert.email("ops@example.org"), alert.webhook("https://h.example.org/x", kinds=["promoted", "alert"])]
    first, second = would_send(stage.journal.rows(), stage.system, alerts)
    assert first.to == ("email ops@example.org", "webhook h.example.org")
    assert (second.to, second.notice.kind) == (("webhook h.example.org",), "promoted")
    assert would_send(stage.journal.rows(), stage.system, []) == []


def turn(stage, state, at_us, log10=3.0):
    evidence = {"what": "freshness", "of": "events", "state": state, "since_us": T0, "log10": log10, "change": "none"}
    summary = f"freshness of events {state} since 2026-01-01 00:00: none for {at_us // HOUR} h"
    return stage.journal.append("alert", at_us, summary=summary, evidence=evidence)


def test_data_that_is_off_is_told_with_its_beginning_and_again_when_it_has_ended(stage):
    raised = notice_of(turn(stage, "raised", T0 + 5 * HOUR), stage.system)
    assert (raised.since, raised.at) == (iso(T0), iso(T0 + 5 * HOUR))
    assert raised.sure == "What came since is 1,000 times likelier with a change than without one."
    assert raised.advice.startswith("see whether what sends the data is well")
    assert notice_of(turn(stage, "raised", T0, None), stage.system).sure == "This was seen, not estimated."
    cleared = turn(stage, "cleared", T0 + 6 * HOUR)
    assert is_trouble(cleared) and notice_of(cleared, stage.system).advice == ""
    assert not is_trouble(turn(stage, "superseded", T0 + 7 * HOUR))
