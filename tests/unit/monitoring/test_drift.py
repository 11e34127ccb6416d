"""Drift is noticed against the reference, told in the column's own terms, once, and weighed by what the model makes of it."""

import re

import msgspec
import numpy as np
import pytest

from modelwright.control.figures import references_of
from modelwright.core.clock import iso
from modelwright.monitoring.drift import BLOCK, SMALLEST, WINDOW, DriftMonitor, described
from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import References
from modelwright.stats.reference import PSI_LARGE, reference_of_numbers, reference_of_texts

COLUMNS = (
    InputColumn(name="amount", kind="number"),
    InputColumn(name="country", kind="text", vocabulary=("DE", "FR")),
    InputColumn(name="age", kind="number"),
)
EVERY = 1_000_000
MINUTE = 60_000_000


@pytest.fixture
def random():
    return np.random.default_rng(4)


def rows(random, n, together=0.0, country=("DE", "FR")):
    amount = random.normal(size=n)
    age = together * amount + np.sqrt(1 - together**2) * random.normal(size=n)
    return Rows(np.column_stack([amount, age]), (random.choice(list(country), n).tolist(),))


def references(random, importance=(1.0, 1.0, 1.0), n=5_000, together=0.0):
    return references_of(COLUMNS, rows(random, n, together), random.random(1_000), importance)


@pytest.fixture
def monitor(random):
    return DriftMonitor(references(random), COLUMNS, EVERY)


def feed(monitor, random, n, amount=0.0, country=("DE", "FR"), age=True, score=True, together=0.0, begin=0):
    given = rows(random, n, together, country)
    numbers = given.numbers + np.array([amount, 0.0 if age else np.nan])
    monitor.add(Rows(numbers, given.texts), random.random(n) if score else unsaid(n), (begin + np.arange(n)) * MINUTE)


def unsaid(n):
    return np.full(n, np.nan)


def names(monitor):
    return [[one.name for one in alarm.drifted] for alarm in monitor.alarms]


def test_nothing_is_said_of_few_requests(monitor, random):
    feed(monitor, random, SMALLEST - 1)
    report = monitor.report()
    assert report.rows == SMALLEST - 1
    assert report.psi == (None, None, None)
    assert report.missing == (None, None, None)
    assert report.score_psi is None
    feed(monitor, random, 1)
    assert None not in monitor.report().psi


def test_the_same_distribution_is_near_and_alarms_nobody(monitor, random):
    feed(monitor, random, WINDOW)
    report = monitor.report()
    assert report.columns == ("amount", "country", "age")
    assert max(report.psi) < 0.05
    assert report.score_psi < 0.05
    assert report.missing == (0.0, 0.0, 0.0)
    assert report.unseen == (None, 0.0, None)
    assert report.alarms == () and 0 < report.capital < 0.1


def test_where_the_median_says_too_little_the_share_of_a_range_is_told():
    hundredths = reference_of_numbers("score", np.arange(1_000) / 1_000)
    for now, said in (
        (np.r_[np.arange(1_000) / 1_000, np.full(200, 0.001), np.full(200, 0.998)], "1.0% up to 0.009, now 15.0%"),
        (np.r_[np.arange(1_000) / 1_000, np.full(200, 0.04), np.full(200, 2.0)], "1.0% above 0.989, now 15.0%"),
        (
            np.r_[np.arange(1_000) / 1_000, np.full(200, 0.25), np.full(200, 0.65)],
            "10.0% between 0.199 and 0.299, now 21.4%",
        ),
    ):
        assert described(hundredths, hundredths.count(now)) == said
    assert (
        described(hundredths, hundredths.count(np.full(10, 5.0)))
        == "median 0.499, now above 0.989 (1.0% before, now 100.0%)"
    )
    fallen = hundredths.count(np.r_[np.full(60, -1.0), np.full(40, 0.5)])
    assert described(hundredths, fallen) == "median 0.499, now up to 0.009 (1.0% before, now 60.0%)"
    low = reference_of_numbers("low", np.r_[np.zeros(60), np.arange(1, 41)])
    low = msgspec.structs.replace(low, edges=low.edges[1:], counts=(sum(low.counts[:2]), *low.counts[2:]))
    assert described(low, low.count(np.r_[np.zeros(60), np.full(40, 10.0)])) == "10.0% between 0 and 10, now 40.0%"
    flags = reference_of_numbers("flag", np.r_[np.zeros(900), np.ones(100)])
    assert described(flags, flags.count(np.r_[np.zeros(60), np.ones(40)])) == "10.0% at 1, now 40.0%"
    alike = reference_of_numbers("level", np.r_[np.linspace(1, 2, 100), np.full(100, 3.0), np.linspace(4, 5, 50)])
    assert described(alike, alike.count(np.full(100, 3.0))) == "40.0% at 3, now 100.0%"


def test_a_shift_is_noticed_with_its_moment_and_its_size(monitor, random):
    feed(monitor, random, 3_000)
    feed(monitor, random, 1_500, amount=0.5, begin=3_000)
    (alarm,) = monitor.alarms
    assert names(monitor) == [["amount"]]
    assert 3_000 < alarm.rows <= 3_500
    (found,) = alarm.drifted
    assert iso(2_800 * MINUTE) < found.since < iso(3_200 * MINUTE)
    assert found.log10 > 4
    assert found.change.startswith("median") and ", now 0." in found.change
    assert 0.05 < found.size < 1.0
    assert "amount" in alarm.summary


def test_missing_and_unseen_values_are_counted_and_noticed(monitor, random):
    feed(monitor, random, 500, age=False)
    feed(monitor, random, 500, country=["XX"])
    report = monitor.report()
    assert report.missing == (0.0, 0.0, 0.5)
    assert report.unseen == (None, 0.5, None)
    assert min(report.psi[1:]) > PSI_LARGE
    changes = {one.name: one.change for alarm in monitor.alarms for one in alarm.drifted}
    assert changes["age"] == "missing 0.0%, now 100.0%"
    assert changes["country"].startswith("other texts 0.0%, now ")


def test_a_text_that_becomes_more_frequent_is_named(monitor, random):
    feed(monitor, random, 2_000, country=["DE", "DE", "FR"])
    assert names(monitor)[0][0] == "country"
    assert re.fullmatch(r"'(DE|FR)' [45]\d\.\d%, now \d\d\.\d%", monitor.alarms[0].drifted[0].change)


def test_the_score_is_watched(monitor, random):
    monitor.add(rows(random, 3_000), 0.7 * random.random(3_000), np.arange(3_000))
    assert names(monitor)[0] == ["score"]


def test_columns_that_go_together_in_another_way_are_noticed_though_each_is_as_it_was(random):
    monitor = DriftMonitor(references(random, together=0.8), COLUMNS, EVERY)
    feed(monitor, random, 2_000, together=0.8)
    assert monitor.alarms == []
    feed(monitor, random, 2_000, together=-0.2)
    assert names(monitor) == [["amount with age"]]


def test_a_column_that_says_nothing_to_the_model_wakes_nobody(random):
    monitor = DriftMonitor(references(random, importance=(0.0, 0.5, 0.5)), COLUMNS, EVERY)
    feed(monitor, random, 3_000, amount=50.0)
    assert monitor.alarms == []
    assert monitor.report().psi[0] > PSI_LARGE  # it is shown all the same
    assert monitor.report().evidence[0] > 100


def test_the_same_change_alarms_once_and_another_one_again(monitor, random):
    feed(monitor, random, 3_000, amount=1.0)
    assert names(monitor) == [["amount"]]
    feed(monitor, random, 1_000, amount=1.0, country=["DE"])
    assert names(monitor)[0] == ["amount"]
    assert names(monitor)[1][0] == "country" or "country" in names(monitor)[1]


def test_the_most_important_of_what_changed_stands_first(random):
    monitor = DriftMonitor(references(random, importance=(0.2, 0.3, 0.5)), COLUMNS, EVERY)
    given = rows(random, 200, country=["DE"])
    monitor.add(Rows(given.numbers + 8.0, given.texts), np.full(200, 0.5), np.arange(200))
    first = monitor.alarms[0].drifted
    known = [one.importance for one in first if one.importance is not None]
    assert known == sorted(known, reverse=True) and len(known) > 1


def test_the_rate_is_of_time_where_it_is_a_duration(random):
    def noticed(apart_us):
        known = References(references(np.random.default_rng(1)).columns)
        monitor = DriftMonitor(known, COLUMNS, "30d")
        stream = np.random.default_rng(2)
        asked = Rows(stream.normal(size=(4_000, 2)) + np.array([0.4, 0.0]), (["FR", "DE"] * 2_000,))
        monitor.add(asked, unsaid(4_000), np.arange(4_000) * apart_us)
        return monitor.alarms[0].rows

    # Of requests a minute apart, 30 days hold fewer than of those a millisecond apart: fewer chances of a false alarm.
    assert noticed(60 * MINUTE) < noticed(1_000)


def test_only_the_latest_requests_count_for_the_distance(monitor, random):
    feed(monitor, random, WINDOW, amount=5.0)
    feed(monitor, random, WINDOW)
    report = monitor.report()
    assert report.rows == WINDOW
    assert report.psi[0] < 0.05


def test_texts_that_are_mostly_different_are_watched_by_their_length(random):
    columns = (InputColumn(name="note", kind="text", vocabulary=()),)
    written = ["".join(random.choice(list("abcdef"), random.integers(5, 60))) for _ in range(3_000)]
    known = references_of(columns, Rows(np.zeros((3_000, 0)), (written,)), None, [1.0])
    assert [one.name for one in known.lengths] == ["note"]
    monitor = DriftMonitor(known, columns, EVERY)
    asked = written[:2_000]
    monitor.add(Rows(np.zeros((2_000, 0)), (asked,)), unsaid(2_000), np.arange(2_000))
    assert monitor.alarms == []
    monitor.add(Rows(np.zeros((2_000, 0)), ([text[:25] for text in asked],)), unsaid(2_000), np.arange(2_000))
    assert names(monitor) == [["the length of note"]]


def test_free_text_is_watched_by_its_length_and_whether_it_is_there(random):
    """And nothing that somebody wrote stands among the statistics, though one text is common."""
    column = InputColumn(name="body", kind="text")

    def written(n, words, share_missing):
        texts = ["same words " * int(random.poisson(words)) for _ in range(n)]
        return [None if random.random() < share_missing else text for text in texts]

    train = written(2_000, 8, 0.1)
    known = references_of((column,), Rows(np.zeros((2_000, 0)), (train,)), None)
    assert known.columns[0].texts == ()
    assert known.columns[0].counts == (2_000 - train.count(None), train.count(None))
    for words, missing, name, change in [
        (8, 0.1, None, ""),
        (3, 0.1, "the length of body", "median"),
        (8, 0.6, "body", "missing"),
    ]:
        monitor = DriftMonitor(known, (column,), false_alarm_every=100_000)
        asked = Rows(np.zeros((1_500, 0)), (written(1_500, words, missing),))
        monitor.add(asked, unsaid(1_500), np.zeros(1_500, dtype=np.int64))
        assert monitor.report().unseen == (None,)
        found = [one for alarm in monitor.alarms for one in alarm.drifted]
        assert bool(found) == (name is not None)
        assert name is None or any(one.name == name and one.change.startswith(change) for one in found)


def test_a_release_without_inputs_or_score_is_watched_too(random):
    monitor = DriftMonitor(References(()), ())
    monitor.add(Rows(np.zeros((BLOCK + 3, 0))), unsaid(BLOCK + 3), np.arange(BLOCK + 3))
    assert monitor.report().psi == () and monitor.report().rows == BLOCK + 3
    known = References((reference_of_numbers("amount", random.normal(size=500)),), None)
    monitor = DriftMonitor(known, COLUMNS[:1])
    monitor.add(Rows(random.normal(size=(300, 1))), unsaid(300), np.arange(300))
    assert monitor.report().score_psi is None
    assert monitor.report().psi[0] < 0.2


def test_a_change_is_described_where_it_is_largest():
    numbers = reference_of_numbers("x", np.arange(1_000.0))
    assert described(numbers, numbers.count(np.arange(500.0, 1_500.0))).startswith("median 499, now ")
    assert described(numbers, numbers.count(np.full(10, np.nan))) == "missing 0.0%, now 100.0%"
    unknown = reference_of_numbers("x", np.full(10, np.nan))
    assert described(unknown, unknown.count(np.ones(10))) == "missing 100.0%, now 0.0%"
    texts = reference_of_texts("y", ["a"] * 90 + ["b"] * 10)
    assert described(texts, texts.count(["a"] * 50 + ["b"] * 50)) == "'b' 10.0%, now 50.0%"
