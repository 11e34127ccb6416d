"""Flips are counted, tolerances hold, and what is refused can be written down."""

import math

import msgspec
import numpy as np
import pytest

from modelwright.core.canonical import canonical_json
from modelwright.optimize.equivalence import AMOUNT_TOLERANCE, CLASS_TOLERANCE, compare, with_missing_texts
from modelwright.release.inputs import InputColumn, Rows

PAIR = np.array([[0.6, 0.4], [0.2, 0.8], [0.5, 0.5]])


def test_equal_answers_are_accepted():
    same = compare(PAIR, PAIR.copy(), classifier=True)
    assert (same.rows, same.flips, same.largest, same.accepted, same.reason) == (3, 0, 0.0, True, "")


def test_a_changed_class_is_a_flip_however_small_the_difference():
    other = PAIR.copy()
    other[2] = [0.5 - 1e-9, 0.5 + 1e-9]
    refused = compare(PAIR, other, classifier=True)
    assert (refused.flips, refused.accepted) == (1, False)
    assert refused.reason == "1 of 3 held-back rows change their answer"


@pytest.mark.parametrize(("step", "accepted"), [(CLASS_TOLERANCE * 0.9, True), (CLASS_TOLERANCE * 1.1, False)])
def test_probabilities_may_differ_by_the_tolerance_and_no_more(step, accepted):
    other = PAIR.copy()
    other[0] += [step, -step]
    found = compare(PAIR, other, classifier=True)
    assert (found.flips, found.accepted) == (0, accepted)
    assert math.isclose(found.largest, step, rel_tol=1e-6)
    assert bool(found.reason) == (not accepted)


@pytest.mark.parametrize("amount", [1e-3, 1.0, 1e9])
@pytest.mark.parametrize(("share", "flips"), [(0.9, 0), (1.1, 1)])
def test_an_amount_outside_the_relative_tolerance_is_a_flip(amount, share, flips):
    native = np.array([amount, 5.0])
    compiled = native + np.array([max(1.0, amount) * AMOUNT_TOLERANCE * share, 0.0])
    found = compare(native, compiled, classifier=False)
    assert (found.flips, found.accepted) == (flips, not flips)


@pytest.mark.parametrize(("share", "accepted"), [(0.9, True), (1.1, False)])
def test_amounts_that_are_all_small_are_held_to_the_largest_of_them(share, accepted):
    native = np.array([2e-6, -1e-6, 0.0])
    compiled = native + 2e-6 * AMOUNT_TOLERANCE * share * np.array([0.0, 1.0, -1.0])
    assert compare(native, compiled, classifier=False).accepted == accepted
    assert not compare(native, np.zeros(3), classifier=False).accepted
    assert compare(np.zeros(3), np.zeros(3), classifier=False).accepted


@pytest.mark.parametrize("classifier", [True, False])
@pytest.mark.parametrize("nothing", [np.nan, np.inf])
@pytest.mark.parametrize("side", ["native", "compiled"])
def test_what_is_no_number_is_refused_and_can_be_written_down(classifier, nothing, side):
    fine = PAIR if classifier else PAIR[:, 0]
    broken = fine.copy()
    broken[1] = nothing
    pair = (broken, fine) if side == "native" else (fine, broken)
    found = compare(*pair, classifier=classifier)
    assert not found.accepted
    assert found.flips == 1
    canonical_json(msgspec.to_builtins(found))


def test_another_shape_is_refused_and_can_be_written_down():
    found = compare(PAIR, PAIR[:, :1], classifier=True)
    assert (found.accepted, found.flips, found.reason) == (False, 3, "another shape")
    canonical_json(msgspec.to_builtins(found))


def test_each_text_is_also_tried_missing():
    columns = tuple(InputColumn(name=name, kind="text", vocabulary=("x", "y")) for name in "ab")
    rows = Rows(np.arange(30.0).reshape(30, 1), (["x"] * 30, ["y"] * 30))
    tried = with_missing_texts(rows, columns)
    assert len(tried) == 30 + 2 * 20
    assert len({len(column) for column in tried.texts}) == 1
    assert list(tried.texts[0][30:]) == [None] * 20 + ["x"] * 20
    assert list(tried.texts[1][30:]) == ["y"] * 20 + [None] * 20
    assert tried.numbers[30:50].tolist() == tried.numbers[50:].tolist() == rows.numbers[:20].tolist()
    assert with_missing_texts(Rows(rows.numbers), columns[:0]).numbers is rows.numbers
