"""The console's digests are of three periods up to now, made again now and then; a period that is none is refused."""

from types import SimpleNamespace

import pytest

import modelwright as mw
from modelwright.app import lookback
from modelwright.app.commands.status import status
from modelwright.app.lookback import FROZEN, SPANS, Lookback
from modelwright.app.wiring import open_log
from modelwright.core.clock import SimulatedClock
from modelwright.core.errors import UsageError
from modelwright.lake.journal import Pointer
from modelwright.lake.workspace import Workspace
from modelwright.monitoring.ledger import Account, Ledger, Scored

HOUR = 3_600_000_000
DAY = 24 * HOUR
NOW = 1_767_225_600_000_000


@pytest.fixture
def system(declare):
    return mw.load(declare("disputes"))


@pytest.fixture
def log(system, tmp_path):
    with open_log(system, Workspace(tmp_path / "state"), SimulatedClock(NOW)) as opened:
        champion = Pointer(champion="r1-0123456789ab", since_us=NOW - 90 * DAY)
        opened.journal.append("promoted", NOW - 90 * DAY, release="r1-0123456789ab", summary="first", point=champion)
        opened.journal.append("error", NOW - 3 * DAY, summary="serving ended with 9")
        yield opened


def answered(hours):
    """One answer an hour up to now, all of them right."""
    ledger = Ledger("accuracy", (False, True))
    for hour in range(hours):
        ledger.predicted(hour, NOW - (hours - hour) * HOUR, Scored("r1", True, (0.2, 0.8), (False, True)))
        ledger.known(hour, True)
    ledger.settle()
    return ledger


def test_each_reaches_back_as_far_as_it_says(system, log):
    ledger = answered(90 * 24)
    account = ledger.account
    wrong = [Scored("r0", False, (0.8, 0.2), (False, True))] * len(account)
    frozen = Account(account.event_seq, account.at_us, account.outcome, wrong)
    made = Lookback(system, log, SimpleNamespace(ledger=ledger)).digests(list(log.journal.rows()), frozen, NOW)
    assert list(made) == list(SPANS)
    assert [one["answers"] for one in made.values()] == [24, 7 * 24, 30 * 24]
    assert [one["counts"].get("error", 0) for one in made.values()] == [0, 1, 1]
    month = made["30d"]["quality"]
    assert (month["now"]["value"], month["rivals"][FROZEN]["value"]) == (1.0, 0.0)
    assert (month["now"]["rows"], month["before"]["rows"]) == (30 * 24 + 1, 30 * 24)  # outcomes are due a day later


def test_they_are_made_again_only_now_and_then(system, log, monkeypatch):
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(lookback, "time", clock)
    ledger, made = answered(24), []
    looking = Lookback(system, log, SimpleNamespace(ledger=ledger))
    for seconds in (0, 10, 10):
        clock.now += seconds
        made.append(looking.digests([], Account(), NOW))
    assert made[0] is made[1] is not made[2]


@pytest.mark.parametrize(
    ("since", "of", "said"),
    [
        ("week", None, "--since='week' is not a duration: write a number and a unit"),
        ("0d", None, "--since='0d' must be longer than nothing"),
        ("7d", "rehearsal", "a rehearsal's answers are in its report, not in its log; see .*rehearsal.html"),
    ],
)
def test_a_period_that_is_none_is_refused(system, since, of, said):
    with pytest.raises(UsageError, match=said):
        status(system, of, since)
