"""The loop has what was served compared: after each training, now and then without one, and never twice."""

import pytest

import modelwright.control.controller as controller
from modelwright.control.parity import InRehearsal
from modelwright.core.errors import WorkspaceError
from modelwright.monitoring.ledger import Scored
from modelwright.monitoring.parity import Difference, FeatureParity, ParityReport

HOUR = 3_600_000_000
DAY = 24 * HOUR
T0 = 1_767_225_600_000_000


class ScriptedParity:
    """Finds what the test says, over so many rows as the ledger has had answers since."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.checks = 0
        self.checked = 0
        self.found = {}
        self.error = None

    def check(self):
        self.checks += 1
        if self.error is not None:
            raise self.error
        before, self.checked = self.checked, self.ledger.predictions
        first = Difference(seq=3, id="p1", at="2026-01-01T00:00:00Z", release="r1", served=1.5, recomputed=None)
        features = [FeatureParity(feature=name, differ=count, first=first) for name, count in self.found.items()]
        return ParityReport(
            checked=self.checked - before, differ=self.found, features=features, from_seq=before + 1,
            upto_seq=self.checked,
        )  # fmt: skip


@pytest.fixture
def begun(stage):
    """With release 1 live since T0, and parity checked."""
    stage.parity = ScriptedParity(stage.ledger)
    stage.new()
    stage.controller.start(T0)
    return stage


def parity_rows(stage):
    return [row for row in stage.journal.rows() if row.kind == "parity"]


def test_each_training_is_followed_by_a_check_of_what_was_answered_since_the_last(begun):
    assert parity_rows(begun) == []  # nothing was answered before the first
    begun.outcomes(30)
    rows = begun.controller.step(T0 + 10 * DAY)
    assert [row.kind for row in rows] == ["trigger", "trained", "gated", "registered", "shadow_started", "parity"]
    assert rows[-1].evidence == {"checked": 30, "differ": {}, "not_comparable": {}}
    assert rows[-1].observed == {"answers": 30, "from_seq": 1, "upto_seq": 30, "shadow": 0, "first": {}}
    assert rows[-1].summary == "30 answers checked: served features equal recomputed ones"
    begun.outcomes(60, champion=False)
    assert [row.kind for row in begun.controller.step(T0 + 11 * DAY)] == ["promoted"]
    begun.controller.step(T0 + 20 * DAY)
    assert [row.evidence["checked"] for row in parity_rows(begun)] == [30, 60]


def test_nothing_answered_is_nothing_to_check(begun):
    assert [row.kind for row in begun.controller.step(T0 + 10 * DAY)][-1] == "shadow_started"
    assert begun.parity.checks == 0


def test_a_failed_training_is_no_occasion(begun):
    begun.trainer.script = ["no memory"]
    begun.outcomes(30)
    assert [row.kind for row in begun.controller.step(T0 + 10 * DAY)] == ["trigger", "error"]
    assert begun.parity.checks == 0


def test_without_a_training_it_is_checked_every_so_many_answers(begun, monkeypatch):
    monkeypatch.setattr(controller, "PARITY_EVERY", 50)
    begun.outcomes(49)
    assert begun.controller.step(T0 + HOUR) == []
    begun.outcomes(1)
    (row,) = begun.controller.step(T0 + 2 * HOUR)
    assert (row.kind, row.evidence["checked"]) == ("parity", 50)
    begun.outcomes(49)
    assert begun.controller.step(T0 + 3 * HOUR) == []


def test_a_difference_is_journalled_with_where_it_begins_and_stops_nothing(begun):
    begun.outcomes(30)
    begun.parity.found = {"usual_amount": 3}
    before = begun.journal.pointer()
    rows = begun.controller.step(T0 + 10 * DAY)
    assert rows[-1].summary == "served features differ from recomputed ones over 30 answers: usual_amount (3)"
    assert rows[-1].evidence["differ"] == {"usual_amount": 3}
    assert rows[-1].observed["first"]["usual_amount"]["id"] == "p1"
    assert begun.journal.pointer().champion == before.champion
    assert begun.journal.pointer().challenger is not None
    begun.journal.verify()


def test_a_check_that_fails_is_journalled_and_not_repeated_at_once(begun, monkeypatch):
    monkeypatch.setattr(controller, "PARITY_EVERY", 20)
    begun.outcomes(20)
    begun.parity.error = WorkspaceError("the trainer process ended with code 1")
    (row,) = begun.controller.step(T0 + HOUR)
    assert (row.kind, row.evidence) == ("error", {"answers": 20})
    assert row.summary == "parity could not be checked: the trainer process ended with code 1"
    assert begun.controller.step(T0 + 2 * HOUR) == []
    begun.parity.error = None
    begun.outcomes(20)
    (row,) = begun.controller.step(T0 + 3 * HOUR)
    assert row.evidence["checked"] == 40  # what was left out then


def test_an_error_beside_trainings_does_not_put_the_next_one_off(begun):
    begun.journal.append("error", T0 + 9 * DAY, summary="the serving process ended with code -9 and is started again")
    again = begun.new()
    assert again.trained_us == T0
    assert "trained" in [row.kind for row in again.step(T0 + 10 * DAY)]


def test_a_restarted_loop_goes_on_counting_where_the_journal_ends(begun, monkeypatch):
    monkeypatch.setattr(controller, "PARITY_EVERY", 50)
    begun.outcomes(50)
    begun.controller.step(T0 + HOUR)
    again = begun.new()
    begun.outcomes(49)
    assert again.step(T0 + 2 * HOUR) == []
    begun.outcomes(1)
    assert [row.kind for row in again.step(T0 + 3 * HOUR)] == ["parity"]


def test_a_rehearsal_counts_what_it_answered(stage):
    check = InRehearsal(stage.ledger)
    assert check.check() == ParityReport()
    for place in range(7):
        stage.ledger.predicted(place, T0 + place, Scored("r1", True, None))
        stage.ledger.predicted(place, T0 + place, Scored("r2", True, None), challenger=True)
    assert check.check() == ParityReport(checked=7)
    assert check.check() == ParityReport()
