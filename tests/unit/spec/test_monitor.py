"""`mw.monitor(...)`: what is watched is declared, and what cannot be is said in one line."""

from datetime import timedelta

import pytest

import modelwright as mw
from modelwright.core.errors import DeclarationError

DAY = 86_400_000_000


def test_a_rate_and_slices_are_declared():
    assert mw.monitor().false_alarm_us == 30 * DAY
    watched = mw.monitor(false_alarm_every=timedelta(days=7), slices=["country"])
    assert (watched.false_alarm_us, watched.slices) == (7 * DAY, ("country",))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"slices": "country"}, "give a list"),
        ({"slices": ["a", "b", "a"]}, "'a' stands twice"),
        ({"false_alarm_every": "a month"}, "is not a duration"),
        ({"false_alarm_every": "0d"}, "longer than nothing"),
    ],
)
def test_what_cannot_be_is_refused_in_words(wrong, said):
    with pytest.raises(DeclarationError, match=said):
        mw.monitor(**wrong)


def test_a_system_slices_by_its_event_s_columns_only(declare):
    assert declare().monitor == mw.monitor()
    assert declare(monitor=mw.monitor(slices=["country"])).monitor.slices == ("country",)
    for name in ("countri", "payment_id", "at"):
        with pytest.raises(DeclarationError, match=f"no column '{name}' to slice by"):
            declare(monitor=mw.monitor(slices=[name]))
    with pytest.raises(DeclarationError, match="did you mean 'country'"):
        declare(monitor=mw.monitor(slices=["countri"]))
    with pytest.raises(DeclarationError, match=r"declare it with mw\.monitor"):
        declare(monitor="30d")
