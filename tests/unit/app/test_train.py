"""`train` goes on where one before it was interrupted, and says what became of its candidate."""

import pytest

import modelwright as mw
from modelwright.app.cli import main
from modelwright.control.controller import Controller


class Dies(BaseException):
    """As if the process were gone."""


def test_a_first_training_that_died_before_its_promotion_is_not_trained_again(declare, monkeypatch):
    system = mw.load(declare("sales"))

    def die(*given, **named):
        raise Dies

    with monkeypatch.context() as patched:
        patched.setattr(Controller, "_first", die)
        with pytest.raises(Dies):
            system.train()
    result = system.train()
    assert result.promoted
    assert result.metrics["mae"] > 0
    rows = system.journal()
    assert [row.kind for row in rows] == ["registered", "trained", "gated", "registered", "promoted"]
    assert rows[-1].release == result.release == rows[1].release


def test_a_training_says_how_many_outcomes_there_were(declare):
    system = mw.load(declare("disputes"))
    system.train()
    (row,) = [row for row in system.journal() if row.kind == "trained"]
    assert row.observed["outcomes"] == system.status().outcomes > 100


def test_a_candidate_that_did_not_pass_is_not_called_registered(declare, capsys):
    file = declare("sales", {'gate.better_than("baseline")': 'gate.metric("mae", at_most=0.001)'})
    assert main(["train", str(file)]) == 0
    said = capsys.readouterr().err
    assert "rejected by its gates" in said
    assert "registered" not in said
