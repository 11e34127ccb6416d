"""What the monitor has found, as people read it."""

from modelwright.monitoring.drift import DriftAlarm, Drifted
from modelwright.monitoring.findings import findings_of, likelier


def drifted(name, importance, log10=4.0):
    return Drifted(
        name=name, importance=importance, since="1996-11-14T00:00:00Z", log10=log10, size=0.3, change="median 1, now 2"
    )


def test_what_matters_most_to_the_model_comes_first_whichever_alarm_named_it():
    alarms = [
        (
            "r1-a",
            DriftAlarm(at_us=1_000_000, rows=100, drifted=(drifted("small", 0.1), drifted("small with big", None))),
        ),
        ("r2-b", DriftAlarm(at_us=2_000_000, rows=200, drifted=(drifted("big", 0.6),))),
    ]
    found = findings_of(alarms)
    assert [(one.name, one.release) for one in found] == [
        ("big", "r2-b"),
        ("small", "r1-a"),
        ("small with big", "r1-a"),
    ]
    assert found[0].noticed.startswith("1970-01-01T00:00:02")
    assert found[0].since == "1996-11-14T00:00:00Z"
    assert found[0].sure == "10,000 times likelier"


def test_how_sure_is_said_in_words_and_never_as_an_endless_number():
    assert likelier(3.0) == "1,000 times likelier"
    assert likelier(300.0) == "over a billion times likelier"
