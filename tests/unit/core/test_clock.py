import time
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.clock import SimulatedClock, SystemClock, from_us, iso, to_us

ZONES = st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))


def test_the_system_clock_stands_between_two_looks_at_the_machines():
    before = time.time_ns() // 1000
    seen = SystemClock().now_us()
    assert before <= seen <= time.time_ns() // 1000


def test_a_simulated_clock_stands_still_and_never_runs_backwards():
    clock = SimulatedClock(10)
    assert [clock.now_us(), clock.now_us()] == [10, 10]
    for told, shown in [(15, 15), (12, 15), (15, 15), (16, 16)]:
        clock.advance(told)
        assert clock.now_us() == shown


def test_a_naive_time_means_utc():
    assert to_us(datetime(1970, 1, 1, 0, 0, 1)) == to_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 1_000_000


def test_a_zone_is_taken_off():
    assert to_us(datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == 0


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES))
def test_every_instant_survives_the_integers_exactly(moment):
    assert from_us(to_us(moment)) == moment
    assert datetime.fromisoformat(iso(to_us(moment))) == moment


def test_instants_before_1970_are_negative_and_exact():
    assert to_us(datetime(1969, 12, 31, 23, 59, 59, 999_999)) == -1
    assert iso(-1) == "1969-12-31T23:59:59.999999Z"


def test_whole_seconds_show_no_fraction():
    assert (iso(0), iso(1)) == ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z")
