"""The baseline says what anyone would say without a model."""

import msgspec
import numpy as np
import pytest

from modelwright.release.inputs import Rows
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec
from modelwright.training.baseline import class_order, constant_baseline, last_outcome_baseline, last_outcome_view

BOOL, TEXT, NUMBER = (LabelSpec(name="y", kind=kind, delay_us=1) for kind in ("bool", "str", "float"))
CONTRACT = Contract(name="Pay", fields=(), entity="card", time="at")
LAST = np.array([np.nan, 1, 1, 0, 1])
OUTCOMES = np.array([True, True, False, False, True])


def run(baseline, *values):
    if baseline.inputs and baseline.inputs[0].kind == "text":
        rows = Rows(np.zeros((len(values), 0)), (list(values),))
    else:
        rows = Rows(np.array([np.nan if value is None else float(value) for value in values]).reshape(-1, 1))
    return baseline.load().run(rows).tolist()


def test_the_constant_gives_the_rates_of_the_classes():
    baseline = constant_baseline(OUTCOMES, BOOL)
    assert run(baseline, None, None) == [[0.4, 0.6]] * 2
    assert (baseline.classes, baseline.inputs, baseline.views) == ((False, True), (), ())
    assert run(constant_baseline(np.array([True, True]), BOOL), None) == [[0.0, 1.0]]


def test_the_constant_amount_is_the_median():
    assert run(constant_baseline(np.array([1.0, 2.0, 100.0]), NUMBER), None, None) == [2.0, 2.0]


def test_texts_are_classes_in_alphabetical_order():
    baseline = constant_baseline(np.array(["b", "a", "b", "c"], dtype=object), TEXT)
    assert baseline.classes == ("a", "b", "c") == class_order(np.array(["c", "b", "a"]), TEXT)
    assert run(baseline, None) == [[0.25, 0.5, 0.25]]


def test_as_it_was_last_time_gives_the_rates_after_each_outcome():
    baseline = last_outcome_baseline(OUTCOMES, LAST, CONTRACT, BOOL)
    after_true = [1 / 3, 2 / 3]  # True, False, True
    assert run(baseline, True, False, None) == [after_true, [1.0, 0.0], [0.4, 0.6]]
    assert baseline.views == (last_outcome_view(CONTRACT, BOOL),)
    assert baseline.views[0].by == ("card",)
    assert last_outcome_view(Contract(name="Hour", fields=(), time="at"), BOOL).by == ()


def test_a_text_that_never_came_before_is_answered_with_the_rates():
    outcomes = np.array(["a", "b", "b"], dtype=object)
    baseline = last_outcome_baseline(outcomes, np.array([None, "a", "a"], dtype=object), CONTRACT, TEXT)
    assert run(baseline, "a", "b", None) == [[0.0, 1.0], [1 / 3, 2 / 3], [1 / 3, 2 / 3]]


def test_the_last_amount_is_said_again_and_the_median_where_there_is_none():
    baseline = last_outcome_baseline(np.array([1.0, 5.0, 6.0]), np.array([np.nan, 1.0, 5.0]), CONTRACT, NUMBER)
    assert run(baseline, 7.5, None) == [7.5, 5.0]


@pytest.mark.parametrize(
    "make", [constant_baseline, lambda *given: last_outcome_baseline(given[0], LAST, CONTRACT, BOOL)]
)
def test_the_artefact_holds_all_of_it_in_the_same_bytes(make):
    baseline = make(OUTCOMES, BOOL)
    assert baseline.data() == make(OUTCOMES.copy(), BOOL).data()
    assert msgspec.json.decode(baseline.data()) == baseline.answers
