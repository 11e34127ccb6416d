"""A difference is said in a unit that people know: amounts in the label's own."""

from types import SimpleNamespace

import pytest

from modelwright import rollout
from modelwright.control.challenge import Challenge
from modelwright.control.unit import Unit
from modelwright.lake.journal import Pointer
from modelwright.monitoring.ledger import Ledger, Scored

HOUR = 3_600_000_000


def told(theirs, pairs=200):
    """What a comparison of amounts says where the champion is off by 10 throughout, and the challenger by `theirs`."""
    system = SimpleNamespace(rollout=rollout.shadow(pairs=100, margin=0.05), label=SimpleNamespace(delay_us=0))
    ledger = Ledger("mae", ())
    for seq in range(pairs):
        ledger.predicted(seq, seq, Scored("r1", 10.0, None))
        ledger.predicted(seq, seq, Scored("r2", theirs, None), challenger=True)
        ledger.known(seq, 0.0)
    ledger.settle()
    written = []
    write = lambda kind, release, summary, evidence, **given: written.append((kind, summary, evidence))  # noqa: E731
    challenge = Challenge(system, ledger, lambda release: Unit(40.0, "sold"), write, approved=False)
    challenge.look(Pointer(champion="r1", challenger="r2", phase="shadow"), HOUR * 24 * 365)
    return written[0]


@pytest.mark.parametrize(
    ("theirs", "kind", "said"),
    [
        (4.0, "promoted", "better by 6 in mean absolute error of sold over 200 pairs"),
        (16.0, "rejected", "worse by 6 in mean absolute error of sold over 200 pairs"),
        (10.5, "promoted", "not worse by more than 2 (difference -0.5 in mean absolute error of sold) over 200 pairs"),
    ],
)
def test_amounts_are_compared_in_words_of_their_own_unit(theirs, kind, said):
    found, summary, evidence = told(theirs)
    assert (found, summary) == (kind, said)
    assert evidence["difference"] * evidence["unit"] == pytest.approx(10.0 - theirs)


def test_without_evidence_the_difference_has_its_unit_too():
    _, summary, _ = told(9.0, pairs=3)
    assert summary == "no evidence in time: 3 pairs, difference +1 in mean absolute error of sold"


def test_a_large_amount_is_said_in_figures():
    assert Unit(400_000.0, "price").said(-0.125, "+") == "-50,000 in mean absolute error of price"


def test_classes_are_said_as_before():
    unit = Unit()
    assert (unit.said(0.02064), unit.said(-0.00001, "+"), unit.bound(0.01)) == ("0.0206", "+0.0000", "0.01")
    assert unit.evidence == {}
