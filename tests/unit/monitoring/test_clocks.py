"""Clocks that are ahead and events that come later than they did are told, with by how much; what clocks differ by is not."""

import numpy as np
import pytest

from modelwright.monitoring.clocks import BLOCK, FIRST, ClockWatch

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND


@pytest.fixture
def random():
    return np.random.default_rng(2)


@pytest.fixture
def watch():
    return ClockWatch(0, 30 * DAY, 0.02)


def fed(watch, delays, begin=0, apart=MINUTE):
    """An event every so often, each so many seconds after its own time."""
    found = []
    for place, delay in enumerate(np.asarray(delays, dtype=float).tolist()):
        found += watch.event(int(delay * SECOND), begin + place * apart)
    return found


def usual(random, n):
    return random.exponential(0.3, n) - 0.2  # clocks differ a little


def test_clocks_that_go_ahead_are_told_with_by_how_much_and_when_they_are_right_again(watch, random):
    ahead = usual(random, 2_000) - 240
    found = fed(watch, np.concatenate([usual(random, 3_000), ahead, usual(random, 3_000)]))
    raised, cleared = found
    assert [(one.what, one.of, one.state) for one in found] == [
        ("clock", "events", "raised"),
        ("clock", "events", "cleared"),
    ]
    assert 2_900 * MINUTE < raised.since_us < 3_100 * MINUTE > raised.at_us - 100 * MINUTE
    assert raised.size > 0.5
    assert raised.name == "clock skew"
    assert raised.change.endswith(
        "come before their own time, half of them by 240s or more; up to 5% is taken as usual"
    )
    assert 4_900 * MINUTE < cleared.since_us < 5_100 * MINUTE
    assert cleared.change.startswith("0.0% of ")


def test_some_clocks_that_are_ahead_from_the_first_event_on_are_told_as_well(watch, random):
    delays = usual(random, 2_000)
    delays[random.random(2_000) < 0.2] -= 90
    (raised,) = fed(watch, delays)
    assert (raised.what, raised.state) == ("clock", "raised")
    assert raised.since_us < HOUR
    assert 0.1 < raised.size < 0.3 and "by 90s or more" in raised.change


def test_events_that_come_later_than_at_first_are_told_and_their_return_too(watch, random):
    late = usual(random, 3_000) + random.exponential(600, 3_000)
    raised, cleared = fed(watch, np.concatenate([usual(random, 3_000), late, usual(random, 3_000)]))
    assert (raised.what, raised.of, raised.state, cleared.state) == ("delay", "events", "raised", "cleared")
    assert 2_900 * MINUTE < raised.since_us < 3_100 * MINUTE
    assert raised.at_us < 3_300 * MINUTE
    assert raised.size > 100
    assert raised.change.startswith("half come within ") and raised.change.endswith("; at first 1s and 1s")
    assert 5_900 * MINUTE < cleared.since_us < 6_100 * MINUTE and cleared.began_us == raised.since_us


def test_queues_that_always_took_hours_are_usual_and_being_faster_is_told(watch, random):
    hours = random.gamma(4, HOUR / SECOND, 5_000)
    found = fed(watch, np.concatenate([hours, random.gamma(4, 5, 1_000)]))
    assert [(one.what, one.state) for one in found] == [("delay", "raised")]
    assert found[0].at_us > 5_000 * MINUTE


def test_clocks_that_go_ahead_are_no_change_of_how_late_the_others_come(watch, random):
    delays = random.gamma(4, 15, 6_000)
    ahead = (np.arange(6_000) >= 3_000) & (random.random(6_000) < 0.7)
    delays[ahead] = -240
    assert [(one.what, one.state) for one in fed(watch, delays)] == [("clock", "raised")]


def test_twice_as_late_is_no_matter_where_that_is_within_a_second(watch, random):
    assert fed(watch, np.concatenate([np.full(3_000, 0.05), np.full(3_000, 0.4)])) == []


def test_usual_is_what_a_day_shows_however_many_events_it_has_and_memory_does_not_grow(watch, random):
    day = 50 * FIRST
    fed(watch, usual(random, day), apart=DAY // day)
    assert watch._usual is None
    assert sum(map(len, watch._first)) <= 4 * FIRST + BLOCK
    fed(watch, usual(random, 10_000), begin=DAY, apart=DAY // day)
    found = fed(watch, np.full(10_000, 60.0), begin=2 * DAY, apart=DAY // day)
    assert [(one.what, one.state) for one in found] == [("delay", "raised")]


def test_the_morning_of_that_day_counts_as_much_as_its_evening(watch, random):
    half = 25 * FIRST
    fed(watch, np.concatenate([np.full(half, 60.0), usual(random, half)]), apart=DAY // (2 * half))
    assert 0.4 < np.mean(np.concatenate(watch._first) > 30 * SECOND) < 0.6


def test_few_events_are_counted_by_the_hour(watch, random):
    fed(watch, usual(random, 2 * FIRST), apart=20 * MINUTE)
    begin = 2 * FIRST * 20 * MINUTE
    (raised,) = fed(watch, np.full(40, 7_200.0), begin=begin, apart=20 * MINUTE)
    assert raised.what == "delay" and raised.at_us < begin + 12 * HOUR
