from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.durations import LONGEST_US, duration_text, duration_us
from modelwright.core.errors import DeclarationError

UNITS = {"us": 1, "ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6, "w": 604800 * 10**6}


@pytest.mark.parametrize(("unit", "micros"), UNITS.items())
def test_every_unit_counts_microseconds(unit, micros):
    assert duration_us(f"3{unit}") == duration_us(f" 3 {unit} ") == 3 * micros


def test_a_timedelta_is_taken_exactly():
    assert duration_us(timedelta(days=1, microseconds=1)) == 86_400_000_001


@pytest.mark.parametrize("value", ["", "7", "d", "1.5h", "-1d", "1d2h", "1 day", "7D", None, 7, 7.0, ["7d"], b"7d"])
def test_what_is_no_duration_names_the_setting_and_shows_one_that_is(value):
    with pytest.raises(DeclarationError, match=r"over=.* is not a duration: .*such as \"30m\", \"24h\" or \"7d\""):
        duration_us(value, "over")


@pytest.mark.parametrize("value", ["0d", timedelta(0), timedelta(days=-1)])
def test_nothing_and_less_are_refused(value):
    with pytest.raises(DeclarationError, match=r"delay=.* must be longer than nothing"):
        duration_us(value, "delay")


def test_a_duration_that_would_overflow_an_instant_is_refused():
    assert duration_us("3652425d") == LONGEST_US
    with pytest.raises(DeclarationError, match="over='99999999w' is longer than ten thousand years"):
        duration_us("99999999w", "over")


@given(st.integers(1, LONGEST_US))
def test_text_and_back(micros):
    assert duration_us(duration_text(micros)) == micros


def test_the_text_is_as_people_write_it():
    texts = {"30m": "30m", "24h": "1d", "7d": "7d", "90s": "90s", "4w": "4w", "1500us": "1500us", "1500ms": "1500ms"}
    assert {text: duration_text(duration_us(text)) for text in texts} == texts
