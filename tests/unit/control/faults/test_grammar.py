"""What `--inject` takes, and the one line that it answers the rest with."""

from pathlib import Path

import pytest

import modelwright as mw
from modelwright.app.cli import main
from modelwright.control.faults.challenger import BadChallenger
from modelwright.control.faults.columns import Missing, Moved, Renamed, Units
from modelwright.control.faults.grammar import FORMS, parse_fault
from modelwright.control.faults.outcomes import OutcomesFault
from modelwright.control.faults.trainer import TrainerDies
from modelwright.core.errors import UsageError

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def parcels(histories):
    return mw.load(histories("parcels") / "system.py")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("missing:weight", Missing, {"column": "weight", "begin": None, "end": None}),
        ("missing:weight@0.6", Missing, {"begin": 0.6, "end": None}),
        ("missing:weight@.6-0.85", Missing, {"begin": 0.6, "end": 0.85}),
        ("units:weight*100", Units, {"column": "weight", "factor": 100.0}),
        ("units:pieces/1e3@0.5", Units, {"column": "pieces", "factor": 0.001, "begin": 0.5}),
        ("renamed:depot:north=NORTH", Renamed, {"column": "depot", "old": "north", "new": "NORTH"}),
        ("renamed:depot:a@b=c@d@0.6", Renamed, {"old": "a@b", "new": "c@d", "begin": 0.6}),
        ("renamed:depot:north=a:b=c", Renamed, {"old": "north", "new": "a:b=c"}),
        ("renamed:depot:north=", Renamed, {"old": "north", "new": ""}),
        ("shift:distance+2", Moved, {"sigmas": 2.0, "how": "sudden"}),
        ("shift:distance-0.5@0.7", Moved, {"sigmas": -0.5, "how": "sudden", "begin": 0.7}),
        ("gradual:distance+1.5@0.4-0.9", Moved, {"sigmas": 1.5, "how": "gradual", "end": 0.9}),
        ("late:7d", OutcomesFault, {"lasts_us": 7 * DAY, "how": "late"}),
        ("lost:36h@0.3", OutcomesFault, {"lasts_us": 3 * DAY // 2, "how": "lost", "begin": 0.3}),
        ("trainer-dies", TrainerDies, {"times": 1}),
        ("trainer-dies:3@0.5", TrainerDies, {"times": 3, "begin": 0.5}),
        ("bad-challenger@0.5", BadChallenger, {"begin": 0.5}),
    ],
)
def test_a_fault_is_what_its_text_says(parcels, text, kind, said):
    fault = parse_fault(text, parcels)
    assert type(fault) is kind
    assert fault.text == text
    assert {name: getattr(fault, name) for name in said} == said
    assert fault.meaning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mising:weight", "'mising' is no fault; did you mean missing:COLUMN?"),
        ("", "'' is no fault; the faults are missing:COLUMN, units:"),
        ("missing:weigth", "'weigth' is no column of Parcel; did you mean 'weight'?"),
        ("missing:", "'' is no column of Parcel; its columns are weight, distance, pieces, depot"),
        ("missing:parcel", "'parcel' is what an event is known by of Parcel; its columns are"),
        ("missing:at", "'at' is what an event is known by"),
        ("units:weight", "write units:COLUMN*FACTOR"),
        ("units:weight*", "write units:COLUMN*FACTOR"),
        ("units:weight*0", "the factor changes nothing, or too much"),
        ("units:weight/0", "the factor changes nothing, or too much"),
        ("units:weight*1", "the factor changes nothing, or too much"),
        ("units:weight*1e999", "the factor changes nothing, or too much"),
        ("units:depot*100", "depot is a str, and this takes a number; weight, distance, pieces would do"),
        ("renamed:weight:1=2", "weight is a float, and this takes a text; depot would do"),
        ("renamed:depot", "write renamed:COLUMN:OLD=NEW, such as renamed:depot:DE=GER"),
        ("renamed:depot:north=north", "write renamed:COLUMN:OLD=NEW"),
        ("shift:distance", "write shift:COLUMN+SIGMAS"),
        ("gradual:distance+0", "by no standard deviations it does not move"),
        ("late:", "the time='' is not a duration"),
        ("late:week", "the time='week' is not a duration: write a number and a unit"),
        ("lost:0d", "must be longer than nothing"),
        ("late:7d@0.5-0.6", "it ends by itself; say only where it begins, @0.5"),
        ("trainer-dies:0", "'0' is no number of deaths; write trainer-dies, or trainer-dies:3"),
        ("bad-challenger:2", "write only bad-challenger"),
        ("missing:weight@1.5", "1.5 is no share of the history; give one between 0 and 1, such as @0.6"),
        ("missing:weight@0", "0 is no share of the history"),
        ("missing:weight@0.1.2", "0.1.2 is no share of the history"),
    ],
)
def test_what_cannot_be_is_one_line_that_says_what_to_do(parcels, text, message):
    with pytest.raises(UsageError) as raised:
        parse_fault(text, parcels)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"--inject {text}: ")
    assert "\n" not in str(raised.value)


def test_outcomes_that_are_read_from_later_events_cannot_be_late(histories):
    returns = mw.load(histories("returns") / "system.py")
    with pytest.raises(UsageError, match="the outcome spends is read from later events, and comes as they do"):
        parse_fault("late:7d", returns)


def test_help_and_the_page_know_every_fault(capsys):
    page = (Path(__file__).parents[4] / "docs/rehearsals.md").read_text()
    with pytest.raises(SystemExit):
        main(["rehearse", "--help"])
    told = capsys.readouterr().out
    for kind in FORMS:
        assert kind in told.replace("\n", " ")
        assert f"`{kind}" in page
