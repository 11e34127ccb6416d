"""What arrives is held against how it arrived before: what is off is told once, and again when it has ended; little else is."""

import numpy as np
import pytest

from modelwright.core.clock import iso
from modelwright.monitoring.quality import QualityMonitor, troubles_of
from modelwright.stats.arrivals import arrivals_of

HOUR = 3_600_000_000
DAY = 24 * HOUR
NEVER = np.iinfo(np.int64).max
TRAINED = 56 * DAY


def events(random, days, an_hour=12.0, rhythm=True, bursts=0.0):
    """Moments of events: by day and by night, fewer at weekends, in bursts that no Poisson process has."""
    hours = np.arange(days * 24)
    rate = np.full(len(hours), an_hour)
    if rhythm:
        rate = rate * (1 + 0.8 * np.sin(2 * np.pi * hours / 24)) * np.where((hours // 24) % 7 >= 5, 0.4, 1.0)
    if bursts:
        rate = rate * random.lognormal(-(bursts**2) / 2, bursts, len(hours))
    found = [hour * HOUR + random.integers(0, HOUR, rows) for hour, rows in enumerate(random.poisson(rate).tolist())]
    return np.sort(np.concatenate(found))


def outcomes(random, at, lost=0.1):
    """When each one's outcome is known."""
    known = at + random.exponential(2 * DAY, len(at)).astype(np.int64)
    return np.where(random.random(len(at)) < lost, NEVER, known)


def watched(at, known, until, every=30 * DAY, check=HOUR):
    """A monitor of what follows the first 56 days, told of everything in its order and asked every so often."""
    told = np.sort(known[known < NEVER])
    monitor = QualityMonitor(arrivals_of(at, known, told, TRAINED), TRAINED, every)
    rows = [(moment, 0, place) for place, moment in enumerate(at.tolist()) if TRAINED <= moment < until]
    rows += [(moment, 1, place) for place, moment in enumerate(known.tolist()) if TRAINED <= moment < until]
    look = TRAINED + check
    for moment, kind, place in sorted(rows):
        while moment >= look:
            monitor.tick(look)
            look += check
        (monitor.outcome if kind else monitor.event)(place, moment)
    monitor.tick(until)
    return monitor


def told(monitor):
    return [(change.what, change.of, change.state) for change in monitor.changes]


def days_of_false_alarms(seeds, days, **how):
    alarms = 0
    for seed in seeds:
        random = np.random.default_rng(seed)
        at = events(random, 56 + days, **how)
        changes = watched(at, outcomes(random, at), TRAINED + days * DAY).changes
        alarms += sum(change.state == "raised" for change in changes)
    return alarms


HOW = [{}, {"rhythm": False}, {"bursts": 0.3}, {"rhythm": False, "bursts": 0.6}]


@pytest.mark.parametrize("how", HOW, ids=["rhythm", "even", "bursts", "even bursts"])
def test_while_nothing_changes_there_are_no_more_false_alarms_than_stated(how):
    # The share of these watches is 0.3 of one in 30 days: 1.8 in half a year; more than 6 of that have a chance of 1 in 400.
    assert days_of_false_alarms(range(2), 90, an_hour=6.0, **how) <= 6


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW, ids=["rhythm", "even", "bursts", "even bursts"])
def test_nor_over_ten_years(how):
    expected = 20 * 180 / 30 * 0.3
    assert days_of_false_alarms(range(100, 120), 180, **how) <= expected + 3 * expected**0.5


@pytest.fixture
def random():
    return np.random.default_rng(3)


def test_fewer_events_are_noticed_with_how_many_and_since_when_and_their_return_too(random):
    at = events(random, 100)
    begin, end = TRAINED + 10 * DAY, TRAINED + 17 * DAY
    kept = at[~((at >= begin) & (at < end) & (random.random(len(at)) < 0.7))]
    monitor = watched(kept, outcomes(random, kept), TRAINED + 40 * DAY)
    (raised, cleared) = [change for change in monitor.changes if change.what == "volume"]
    assert (raised.state, cleared.state) == ("raised", "cleared")
    assert begin - DAY < raised.since_us < begin + DAY
    assert begin < raised.at_us < begin + 3 * DAY
    assert 0.2 < raised.size < 0.5 and "usually" in raised.change
    assert end - DAY < cleared.since_us < end + 2 * DAY
    assert cleared.began_us == raised.since_us
    (trouble,) = [one for one in troubles_of(monitor.changes) if one.what == "volume"]
    assert (trouble.since, trouble.ended) == (iso(raised.since_us), iso(cleared.since_us))
    assert trouble.sure.endswith("times likelier")
    assert raised.summary.startswith("volume of events since 1970-03-")
    assert "as usual again since" in cleared.summary


def test_more_events_are_noticed_as_well(random):
    at = events(random, 70)
    more = np.sort(np.concatenate([at, at[at >= TRAINED + 2 * DAY] + 1]))
    (raised, *_) = watched(more, outcomes(random, more), TRAINED + 14 * DAY).changes
    assert (raised.what, raised.state) == ("volume", "raised")
    assert 1.6 < raised.size < 2.4


def test_silence_is_noticed_while_it_lasts_at_the_same_moment_whoever_looks_when(random):
    at = events(random, 70)
    begin, end = TRAINED + 5 * DAY + 12 * HOUR, TRAINED + 8 * DAY
    kept = at[(at < begin) | (at >= end)]
    known = outcomes(random, kept)
    often, seldom = (watched(kept, known, TRAINED + 14 * DAY, check=check) for check in (HOUR // 4, 12 * HOUR))
    assert often.changes == seldom.changes
    raised, cleared = [change for change in often.changes if (change.what, change.of) == ("freshness", "events")]
    assert begin - HOUR < raised.since_us <= begin < raised.at_us < begin + DAY
    assert end < cleared.since_us < end + HOUR < cleared.at_us
    during = watched(kept, known, TRAINED + 7 * DAY)
    assert ("freshness", "events") in {(one.what, one.of) for one in troubles_of(during.changes) if one.ended is None}


def test_a_silence_that_stutters_is_one(random):
    at = events(random, 70, rhythm=False)
    begin = TRAINED + 5 * DAY
    some = at[(at < begin) | ((at - begin) % (6 * HOUR) < HOUR // 6) | (at >= begin + 3 * DAY)]
    changes = watched(some, outcomes(random, some), TRAINED + 12 * DAY).changes
    assert [change.state for change in changes if change.of == "events" and change.what == "freshness"] == [
        "raised",
        "cleared",
    ]


def test_outcomes_that_stay_away_are_overdue_and_their_silence_is_told(random):
    at = events(random, 120)
    known = outcomes(random, at)
    begin, end = TRAINED + 10 * DAY, TRAINED + 20 * DAY
    lost = (known >= begin) & (known < end)
    monitor = watched(at, np.where(lost, NEVER, known), TRAINED + 60 * DAY)
    assert told(monitor) == [
        ("freshness", "outcomes", "raised"),
        ("freshness", "outcomes", "cleared"),
        ("overdue", "outcomes", "raised"),
        ("overdue", "outcomes", "cleared"),
    ]
    overdue = monitor.changes[2]
    assert begin - 8 * DAY < overdue.since_us < end
    assert overdue.size > 0.2 and "have no outcome after" in overdue.change


def test_too_short_a_history_watches_nothing():
    at = np.arange(30) * HOUR
    usual = arrivals_of(at, at + HOUR, at + HOUR, 40 * HOUR)
    assert (usual.volume, usual.events, usual.outcomes, usual.overdue) == (None, None, None, None)
    monitor = QualityMonitor(usual, 40 * HOUR, 30 * DAY)
    monitor.event(1, 50 * HOUR)
    monitor.outcome(1, 51 * HOUR)
    monitor.tick(900 * DAY)
    assert monitor.changes == []


def test_outcomes_that_never_came_are_overdue_in_a_history_of_before_1970_too(random):
    at = events(random, 56)
    known, before = outcomes(random, at), 7 * 2_000 * DAY
    usual = arrivals_of(at, known, np.sort(known[known < NEVER]), TRAINED).overdue
    shifted = np.where(known < NEVER, known - before, NEVER)
    old = arrivals_of(at - before, shifted, np.sort(known[known < NEVER]) - before, TRAINED - before).overdue
    assert old == usual
    assert usual.overdue > 100


def test_years_without_an_event_take_no_years_to_count(random):
    at = events(random, 56, an_hour=60.0)
    monitor = QualityMonitor(arrivals_of(at, at, at, TRAINED), TRAINED, 30 * DAY)
    monitor.tick(TRAINED + 4_000 * DAY)
    monitor.event("late", TRAINED + 4_001 * DAY)
    assert {change.what for change in monitor.changes} == {"volume", "freshness"}
