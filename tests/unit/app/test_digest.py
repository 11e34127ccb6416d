"""Somebody who was away reads whether it is good now, what waits for them, what is wrong, and what happened: and nothing else."""

from types import SimpleNamespace

import msgspec
import pytest

from modelwright import rollout
from modelwright.app.digest import EVENTS, Period, digest
from modelwright.app.terminal import tell_digest, terminal
from modelwright.control.receiver import Receiver
from modelwright.core.clock import iso
from modelwright.lake.journal import JournalRow, Pointer
from modelwright.monitoring.answers import Figure, Held, Quality
from modelwright.spec.metric import METRICS

HOUR = 3_600_000_000
DAY = 24 * HOUR
NOW = 1_767_225_600_000_000  # 2026-01-01
CHAMPION = "r4-0123456789ab"


def figure(value, reach=0.01, rows=1_000):
    return Figure(value=value, low=value - reach, high=value + reach, rows=rows)


def held(value, bound, reach=0.01):
    known = figure(value, reach)
    return Held(
        metric="accuracy",
        bound=bound,
        at_least=True,
        figure=known,
        holds=value >= bound,
        surely=abs(value - bound) > reach,
    )


def quality(now=figure(0.912), before=None, change="", gates=(), rivals=None):
    return Quality(
        metric="accuracy", higher_is_better=True, now=now, before=before, change=change, gates=list(gates),
        rivals=rivals or {}, waiting=0,
    )  # fmt: skip


class Story:
    """A journal made by hand: `row(days ago, kind, ...)`; `told()` is its digest of the last week."""

    def __init__(self):
        self.rows = []
        self.system = SimpleNamespace(
            metric=METRICS["accuracy"], label=SimpleNamespace(known_after="7d"), rollout=rollout.manual(within="14d")
        )

    def row(self, ago, kind, summary="so it is", release=None, **evidence):
        at = iso(NOW - round(ago * DAY))
        self.rows.append(JournalRow(len(self.rows) + 1, at, kind, release, summary, evidence, {}, "", ""))

    def told(self, pointer=None, known=None, answers=4_032, receivers=()):
        return digest(
            Period(
                system=self.system, rows=self.rows, pointer=pointer or Pointer(champion=CHAMPION, since_us=NOW - 9 * DAY),
                quality=quality() if known is None else known, answers=answers, since_us=NOW - 7 * DAY, until_us=NOW,
                receivers=receivers,
            )
        )  # fmt: skip


@pytest.fixture
def story():
    made = Story()
    made.row(30, "trained", release=CHAMPION)
    made.row(30, "promoted", "the first candidate passed its gates", CHAMPION)
    return made


def test_a_good_week_is_said_in_one_line_with_its_figures(story):
    known = quality(before=figure(0.905), gates=[held(0.912, 0.8)])
    told = story.told(known=known)
    assert told.verdict == "good"
    assert told.headline == (
        "Good: accuracy 91.2% (90.2% to 92.2%), above its gate of 80.0%, no different from the 7 days before (90.5%) beyond "
        "chance."
    )
    assert told.work == "In 7 days it answered 4,032 requests and trained no model."
    assert (told.problems, told.wants, told.happened) == ([], [], [])


def test_the_work_of_a_week_is_counted_and_what_changed_is_told(story):
    story.row(6, "trigger", "retrain: 30d since the last training")
    story.row(6, "trained", "trained on 9,000 rows", "r5-0123456789ab")
    story.row(5, "promoted", "better by 0.0206 over 340 pairs", "r5-0123456789ab")
    story.row(4, "trained", "trained on 9,500 rows", "r6-0123456789ab")
    story.row(3, "rejected", "no evidence in time: 12 pairs, difference -0.0015", "r6-0123456789ab", by="shadow")
    told = story.told()
    assert told.work == "In 7 days it answered 4,032 requests, trained 2 models, promoted 1 and rejected 1."
    assert [one.said for one in told.happened] == [
        "r6 was not taken: no evidence in time: 12 pairs, difference -0.0015",
        "r5 answers now: better by 0.0206 over 340 pairs",
    ]
    assert told.counts == {"trigger": 1, "trained": 2, "promoted": 1, "rejected": 1}


def test_below_its_gate_is_bad_where_it_is_sure_and_worth_a_look_where_it_may_be_chance(story):
    sure = story.told(known=quality(gates=[held(0.912, 0.95)]))
    assert (sure.verdict, sure.problems) == ("bad", ["accuracy is 91.2% (90.2% to 92.2%), below the gate of 95.0%"])
    assert sure.headline.startswith("Not good enough: accuracy 91.2% (90.2% to 92.2%), below its gate of 95.0%")
    chance = story.told(known=quality(gates=[held(0.912, 0.92)]))
    assert (chance.verdict, chance.problems[0].rpartition(", ")[2]) == ("watch", "which may be chance")
    assert "below its gate of 92.0% (by no more than chance)" in chance.headline


def test_worse_than_before_and_than_who_had_the_same_requests(story):
    rivals = {"the frozen first model": figure(0.95), "the baseline": figure(0.915)}
    told = story.told(known=quality(before=figure(0.96), change="worse", rivals=rivals))
    assert told.headline.endswith("4.8\N{NO-BREAK SPACE}points worse than in the 7 days before (96.0%).")
    assert told.problems == [
        "accuracy is worse than in the period before, by more than chance",
        "the frozen first model does better on the same requests: 95.0%",
    ]
    assert told.verdict == "watch"


def test_what_waits_for_a_person_says_what_to_type(story):
    story.row(2, "paused", "paused by anna: a broken source", by="person", who="anna", why="a broken source")
    pointer = Pointer(
        champion=CHAMPION, challenger="r5-0123456789ab", phase="approval", since_us=NOW - 2 * DAY, paused=True
    )
    told = story.told(pointer)
    assert told.verdict == "watch"
    assert told.wants == [
        (
            "r5-0123456789ab waits for `modelwright approve --why ...` or `modelwright reject --why ...`; it is dropped on "
            "2026-01-13 00:00 otherwise"
        ),
        (
            "the loop is paused since 2025-12-30 00:00 (paused by anna: a broken source); `modelwright resume --why ...` lets it "
            "decide again"
        ),
    ]


def test_nothing_live_and_nothing_known_are_said_as_such(story):
    nobody = story.told(Pointer())
    assert (nobody.verdict, nobody.headline) == ("bad", "Nothing is live: no request is answered.")
    unknown = story.told(known=quality(now=None))
    assert unknown.verdict == "unknown"
    assert "no outcome is known of the 4,032 answers of 7 days (it is known 7d after the event)" in unknown.headline
    of_one_kind = story.told(known=msgspec.structs.replace(quality(now=None), known=370))
    assert (
        "accuracy is not defined over the 370 outcomes of 7 days, as where all are of one kind" in of_one_kind.headline
    )
    silent = story.told(known=quality(now=None), answers=0)
    assert silent.verdict == "watch" and silent.problems == ["no request came in 7 days"]
    story.rows = []
    story.row(1, "promoted", "the first candidate passed its gates", CHAMPION)
    begun = story.told(known=quality(now=None), answers=0)
    assert (begun.verdict, begun.problems) == ("unknown", [])


def drifted(*names):
    return [
        {"name": name, "since": iso(NOW), "log10": 3.0, "size": 0.2, "change": "", "importance": 0.1} for name in names
    ]


def test_drift_is_a_problem_while_that_release_answers(story):
    story.row(20, "alert", "drift of age", CHAMPION, at_us=NOW, rows=100, drifted=drifted("age"))
    story.row(1, "alert", "drift of amount", CHAMPION, at_us=NOW, rows=200, drifted=drifted("amount", "age"))
    assert story.told().problems == [f"requests have drifted from what {CHAMPION} learned from: age, amount"]
    story.row(0.5, "promoted", "better", "r5-0123456789ab")
    assert story.told(Pointer(champion="r5-0123456789ab")).problems == []


def test_a_feature_that_drifted_alone_is_not_told_as_its_column(story):
    spend, lags = drifted("spend_1d"), drifted("price_1", "price_2")
    series = [{**one, "series": name} for one, name in zip([*spend, *lags], ["amount", "price", "price"], strict=True)]
    story.row(1, "alert", "drift", CHAMPION, at_us=NOW, rows=100, drifted=series)
    assert story.told().problems == [f"requests have drifted from what {CHAMPION} learned from: spend_1d, price"]


def test_data_that_is_off_is_a_problem_until_it_is_as_usual_again(story):
    story.row(2, "alert", "volume of events since then: half", what="volume", of="events", state="raised")
    story.row(1, "alert", "freshness of events since then: none", what="freshness", of="events", state="raised")
    assert story.told().problems == ["volume of events since then: half", "freshness of events since then: none"]
    story.row(0.5, "alert", "freshness of events as usual again", what="freshness", of="events", state="cleared")
    assert story.told().problems == ["volume of events since then: half"]


def test_trainings_that_fail_are_a_problem_until_one_succeeds(story):
    story.row(3, "error", "training failed: no memory", number=5)
    story.row(2, "error", "training failed: no memory", number=6)
    assert story.told().problems == ["training failed: no memory, 2 times in a row"]
    assert len(story.told().happened) == 2
    story.row(1, "trained", release="r7-0123456789ab")
    assert story.told().problems == []


def test_a_rollback_is_a_problem_until_something_newer_answers(story):
    story.row(4, "promoted", "better", "r5-0123456789ab")
    story.row(3, "rolled_back", f"{CHAMPION} is back: division by zero", "r5-0123456789ab")
    (said,) = story.told().problems
    assert said.startswith("r5-0123456789ab was taken out of service and nothing newer has replaced it")
    story.row(1, "promoted", "better", "r6-0123456789ab")
    assert story.told(Pointer(champion="r6-0123456789ab")).problems == []


def test_the_baseline_parity_and_receivers_are_problems_too(story):
    story.row(
        1, "parity", "served features differ from recomputed ones over 50 answers: spend (2)", differ={"spend": 2}
    )
    dead = Receiver(key="a", name="webhook h", upto=1, waiting=2, failing_us=NOW - DAY, error="it answers 503")
    told = story.told(Pointer(champion="r0-0123456789ab"), receivers=[dead])
    assert told.problems == [
        "the baseline answers: no model has passed its gates, or the last one failed live",
        "served features differ from recomputed ones over 50 answers: spend (2)",
        "webhook h takes no alert since 2025-12-31 00:00 (it answers 503); 2 waiting",
    ]
    story.row(0.5, "parity", "equal", differ={})
    assert "served features differ" not in " ".join(story.told().problems)


def test_the_same_news_is_told_once_and_what_is_too_much_is_counted(story):
    for hour in range(30):
        story.row(6 - hour / 24, "error", f"serving ended with {hour}")
    for number in range(20):
        story.row(2 - number / 24, "promoted", "better", f"r{number + 5}-0123456789ab")
    told = story.told()
    assert len(told.happened) == EVENTS
    assert told.earlier == 21 - EVENTS
    assert told.happened[0].said.startswith("r24 answers now")


def test_the_terminal_says_all_of_it(story, capsys):
    story.row(1, "paused", "paused by anna: [odd] why")
    pointer = Pointer(champion=CHAMPION, paused=True)
    tell_digest(terminal(), story.told(pointer, quality(gates=[held(0.912, 0.95)])))
    said = capsys.readouterr().err
    for part in (
        "Not good enough: accuracy 91.2%",
        "answered 4,032 requests",
        "modelwright resume",
        "below the gate",
        "[odd] why",
    ):
        assert part in said
