"""What counts as noticing a fault, and what as harm: only what the clean rehearsal does not show as well."""

import numpy as np
import pytest

import modelwright as mw
from modelwright.control.faults.effect import first_notice, worst_stretch
from modelwright.control.faults.fault import Damaged, Disturbance
from modelwright.control.faults.grammar import parse_fault
from modelwright.core.clock import iso
from modelwright.lake.journal import JournalRow

HOUR = 3_600_000_000
T0 = 1_767_225_600_000_000


@pytest.fixture(scope="module")
def cards(histories):
    """A system with features over its columns and its outcomes."""
    return mw.load(histories("disputes") / "system.py")


def row(hour, kind, summary="", release=None, **evidence):
    return JournalRow(1, iso(T0 + hour * HOUR), kind, release, summary, evidence, {}, "", "")


def drift(hour, *names):
    return row(hour, "alert", f"drift of {names[0]}", "r1-a", drifted=[{"name": name} for name in names])


def decay(hour):
    return row(hour, "trigger", "retrain: mean loss", trigger="OnDecay")


def noticed(system, text, clean, faulty, disturbance=None, damaged=None):
    fault = parse_fault(text, system)
    return first_notice(system, fault, damaged or Damaged(None), disturbance or Disturbance(T0), clean, faulty, T0)


def test_a_decision_that_the_clean_one_has_made_as_often_by_then_is_no_notice(cards):
    assert noticed(cards, "missing:amount", [decay(5)], [decay(5)]) is None
    assert noticed(cards, "missing:amount", [decay(5)], [decay(9)]) is None  # only later
    assert noticed(cards, "missing:amount", [decay(9)], [decay(5)]).at == iso(T0 + 5 * HOUR)  # sooner, for the fault
    assert noticed(cards, "missing:amount", [decay(5)], [decay(5), decay(9)]).at == iso(T0 + 9 * HOUR)  # once more
    assert noticed(cards, "missing:amount", [decay(-5)], [decay(-5), decay(9)]).at == iso(T0 + 9 * HOUR)


def test_nothing_before_the_fault_has_noticed_it(cards):
    assert noticed(cards, "missing:amount", [], [decay(-1)]) is None


@pytest.mark.parametrize(
    ("named", "counts"),
    [
        ("amount", True),
        ("usual_amount", True),  # the mean of amount
        ("amount with country", True),
        ("idle with usual_amount", True),
        ("score", True),
        ("country", False),
        ("last_country", False),
        ("idle with country", False),
    ],
)
def test_an_alarm_counts_where_it_names_what_hangs_on_the_column(cards, named, counts):
    found = noticed(cards, "missing:amount", [], [drift(3, named)])
    assert (found is not None) is counts
    assert counts is (noticed(cards, "missing:amount", [drift(2, "country")], [drift(3, named, "country")]) is not None)


def test_outcomes_are_noticed_by_what_is_computed_from_them_and_by_no_other_drift(cards):
    assert noticed(cards, "late:7d", [], [drift(3, "disputes_30d")]) is not None
    assert noticed(cards, "late:7d", [], [drift(3, "amount"), decay(4), row(5, "rolled_back")]) is None


def test_values_out_of_range_count_where_they_are_the_column_s_own(cards):
    def beyond(column):
        return row(3, "alert", f"range of {column}", "r1-a", what="range", of=column, state="raised")

    silence = row(3, "alert", "freshness of events", "r1-a", what="freshness", of="events", state="raised")
    assert noticed(cards, "units:amount*100", [], [beyond("amount")]).by == "alert"
    assert noticed(cards, "units:amount*100", [], [beyond("idle")]) is None
    assert noticed(cards, "late:7d", [], [beyond("amount")]) is None
    assert noticed(cards, "late:7d", [], [silence]) is not None


def test_what_the_loop_says_about_itself_is_no_notice(cards):
    told = [
        row(1, "alert", "no retraining yet", held="OnDecay"),
        row(2, "alert", "waits for approve", pairs=30),
        row(3, "trigger", "14d since", trigger="Every"),
        row(4, "trained", release="r2-b"),
        row(5, "rejected", release="r2-b", by="gates"),
        row(6, "parity", checked=5, differ=0),
    ]
    assert noticed(cards, "missing:amount", [], told) is None
    assert noticed(cards, "late:7d", [], told) is None


def test_the_contract_counts_from_the_first_row_it_refuses(cards):
    damaged = Damaged(None, 5, (T0 + HOUR, T0 + 2 * HOUR), "amount is missing")
    found = noticed(cards, "missing:amount", [], [decay(3)], damaged=damaged)
    assert (found.by, found.at, found.lasted_us) == ("contract", iso(T0 + HOUR), HOUR)
    assert noticed(cards, "missing:amount", [], [decay(0)], damaged=damaged).by == "trigger"  # that was sooner


def test_only_the_end_of_the_bad_challenger_itself_is_noticing_it(cards):
    disturbance = Disturbance(T0)
    disturbance.release = "r3-c"
    others = [row(1, "rejected", "worse", "r2-b", by="shadow"), row(2, "promoted", "", "r3-c")]
    assert noticed(cards, "bad-challenger", [], others, disturbance) is None
    assert noticed(cards, "bad-challenger", [], [*others, row(3, "rolled_back", "", "r3-c")], disturbance) is not None


def test_only_a_failed_training_is_noticing_that_the_trainer_died(cards):
    assert noticed(cards, "trainer-dies", [], [row(1, "error", "parity could not be checked", answers=1)]) is None
    assert noticed(cards, "trainer-dies", [], [row(1, "error", "training failed", number=2)]) is not None


def test_the_worst_stretch_is_found_where_it_is():
    random = np.random.default_rng(5)
    more = random.choice([-1.0, 0.0, 1.0], 4_000, p=[0.05, 0.9, 0.05])
    more[1_000:1_500] = random.choice([0.0, 1.0], 500, p=[0.7, 0.3])
    begin, end = worst_stretch(more, 0.01)
    assert abs(begin - 1_000) < 60
    assert abs(end - 1_500) < 60


@pytest.mark.parametrize("seed", range(20))
def test_chance_is_no_harm(seed):
    more = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], 4_000, p=[0.1, 0.8, 0.1])
    assert worst_stretch(more, 0.01) is None


def test_no_difference_is_no_harm_and_all_of_it_is():
    assert worst_stretch(np.zeros(100), 0.01) is None
    assert worst_stretch(np.zeros(0), 0.01) is None
    assert worst_stretch(np.ones(100), 0.01) == (0, 100)
