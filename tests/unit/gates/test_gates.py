"""Each gate judges the candidate's figures against its bound or its rival, and says by which figures."""

import math

import pytest

from modelwright import gate
from modelwright.core.errors import DeclarationError
from modelwright.spec.label import LabelSpec


class Trial:
    """Figures as given: {who: {metric: value}}."""

    def __init__(self, **figures):
        self.figures = figures

    @property
    def rivals(self):
        return tuple(name for name in self.figures if name != "candidate")

    def metric(self, name, of="candidate"):
        return self.figures[of][name]


def judged(declared, steering="accuracy", **figures):
    verdict = declared.judge(Trial(**{who: {steering: value} for who, value in figures.items()}), steering)
    return verdict.passed, verdict.value, verdict.threshold


@pytest.mark.parametrize(("value", "passed"), [(0.8, True), (0.8001, True), (0.7999, False), (math.nan, False)])
def test_at_least(value, passed):
    verdict = gate.metric("accuracy", at_least=0.8).judge(Trial(candidate={"accuracy": value}), "accuracy")
    assert (verdict.name, verdict.passed, verdict.threshold) == ("accuracy >= 0.8", passed, 0.8)


@pytest.mark.parametrize(("value", "passed"), [(2.0, True), (1.9, True), (2.1, False), (math.nan, False)])
def test_at_most(value, passed):
    verdict = gate.metric("mae", at_most=2).judge(Trial(candidate={"mae": value}), "mae")
    assert (verdict.name, verdict.passed, verdict.threshold) == ("mae <= 2", passed, 2)


def test_the_gated_metric_need_not_be_the_steering_one():
    trial = Trial(candidate={"recall": 0.9, "accuracy": 0.1})
    assert gate.metric("recall", at_least=0.5).judge(trial, "accuracy").passed


def test_better_than_the_baseline_is_more_than_as_good():
    assert judged(gate.better_than("baseline"), candidate=0.81, baseline=0.8) == (True, 0.81, 0.8)
    assert not judged(gate.better_than("baseline"), candidate=0.8, baseline=0.8)[0]
    assert not judged(gate.better_than("baseline"), candidate=math.nan, baseline=0.8)[0]


def test_better_by_so_much():
    assert judged(gate.better_than("baseline", by=0.25), candidate=0.75, baseline=0.25)[::2] == (True, 0.5)
    assert not judged(gate.better_than("baseline", by=0.25), candidate=0.5, baseline=0.25)[0]


def test_where_lower_is_better_the_rival_must_be_undercut():
    assert judged(gate.better_than("baseline"), "mae", candidate=1.0, baseline=2.0) == (True, 1.0, 2.0)
    assert judged(gate.better_than("champion", by=0.5), "mae", candidate=1.6, champion=2.0)[::2] == (False, 1.5)


def test_without_a_champion_there_is_nothing_to_be_worse_than():
    assert judged(gate.better_than("champion"), candidate=0.1, baseline=0.9)[0]


def test_a_metric_must_exist_and_fit_the_label():
    number = LabelSpec(name="y", kind="float", delay_us=1)
    with pytest.raises(
        DeclarationError, match=r"gate\.metric: no metric 'accuracy' for a float label; choose from mae"
    ):
        gate.metric("accuracy", at_least=0.5).check(number)
    gate.metric("mae", at_most=0.5).check(number)
    gate.better_than("baseline").check(number)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: gate.metric("accuracy"), "give either at_least= or at_most="),
        (lambda: gate.metric("accuracy", at_least=0.1, at_most=0.2), "give either at_least= or at_most="),
        (lambda: gate.metric("accuracy", at_least=math.nan), "the bound nan is no number"),
        (lambda: gate.metric("accuracy", at_least="0.5"), "the bound '0.5' is no number"),
        (lambda: gate.metric("accuracy", at_least=True), "the bound True is no number"),
        (lambda: gate.metric("accuracy", at_least=70), "the bound 70 says nothing, since accuracy goes from 0 to 1"),
        (lambda: gate.metric("rmse", at_most=-1), "the bound -1 says nothing, since rmse goes from 0 up"),
        (lambda: gate.metric("r2", at_least=1.5), "the bound 1.5 says nothing, since r2 goes to 1"),
        (
            lambda: gate.metric("mae", at_least=3),
            r"gate\.metric\('mae', at_least=3\): a smaller mae is better, so .* refuse the better models; use at_most=$",
        ),
        (
            lambda: gate.metric("roc_auc", at_most=0.9),
            r"gate\.metric\('roc_auc', at_most=0\.9\): a larger roc_auc is better, .* use at_least=$",
        ),
        (lambda: gate.better_than("me"), "the rival is one of 'baseline', 'champion'"),
        (lambda: gate.better_than("baseline", by=-0.1), "by is 0 or more"),
        (lambda: gate.better_than("baseline", by=math.nan), "by is 0 or more"),
    ],
)
def test_a_gate_that_cannot_be_is_refused_when_declared(declare, message):
    with pytest.raises(DeclarationError, match=message):
        declare()
