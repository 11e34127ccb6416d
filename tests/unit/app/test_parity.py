"""The running system's parity: where it goes on after a restart, and what a person is told."""

from contextlib import closing

import pytest

import modelwright as mw
from modelwright.app.runner import LiveParity
from modelwright.app.terminal import decision_line, parity_line
from modelwright.app.wiring import open_log, workspace_of
from modelwright.core.clock import SimulatedClock
from modelwright.core.errors import WorkspaceError
from modelwright.monitoring.parity import ParityReport, last_parity

T0 = 1_767_225_600_000_000
WHOLE = {"checked": 40, "differ": {}, "not_comparable": {}}
BROKEN = {"checked": 40, "differ": {"usual": 2}, "not_comparable": {}}


class Reader:
    cursor = 0


class Trainer:
    """Notes what it is asked to check."""

    def __init__(self):
        self.asked = []
        self.fails = False

    def check_parity(self, after, upto):
        self.asked.append((after, upto))
        if self.fails:
            raise WorkspaceError("it ended")
        return ParityReport(from_seq=after + 1, upto_seq=upto)


@pytest.fixture
def journal(declare):
    system = mw.load(declare("sales"))
    with closing(open_log(system, workspace_of(system), SimulatedClock(T0))) as log:
        yield log.journal


def write(journal, evidence, upto=0):
    summary = "equal" if not evidence["differ"] else "usual differs"
    return journal.append("parity", T0, summary=summary, evidence=evidence, observed={"upto_seq": upto, "answers": 0})


def test_every_row_is_checked_once_through_restarts_and_failures(journal):
    trainer, reader = Trainer(), Reader()
    parity = LiveParity(trainer, reader, journal)
    reader.cursor = 100
    write(journal, WHOLE, parity.check().upto_seq)
    reader.cursor = 130
    trainer.fails = True
    with pytest.raises(WorkspaceError):
        parity.check()
    trainer.fails = False
    reader.cursor = 150
    write(journal, WHOLE, parity.check().upto_seq)
    reader.cursor = 170
    LiveParity(trainer, reader, journal).check()
    assert trainer.asked == [(0, 100), (100, 130), (100, 150), (150, 170)]


def test_status_says_in_one_line_when_it_was_checked_and_what_was_found(journal):
    assert "not checked yet" in parity_line(None).plain
    write(journal, WHOLE)
    assert parity_line(last_parity(journal.rows())).plain == "equal, 2026-01-01 00:00"
    write(journal, BROKEN)
    line = parity_line(last_parity(journal.rows()))
    assert (line.plain, line.style) == ("usual differs, 2026-01-01 00:00", "red")
    write(journal, WHOLE)
    line = parity_line(last_parity(journal.rows()))
    assert line.plain == "equal, 2026-01-01 00:00; earlier checks that found differences: 1"


def test_a_difference_stands_out_among_the_decisions(journal):
    assert "[red]≠ parity" in decision_line(write(journal, BROKEN))
    assert "red" not in decision_line(write(journal, WHOLE))
