"""What may be traded is bounded by what was declared; without a declaration nothing is."""

import dataclasses
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelwright.core.errors import DeclarationError
from modelwright.optimize import within
from modelwright.optimize.equivalence import Bounds
from modelwright.optimize.form import TRADED, served_form
from modelwright.optimize.graph.smaller import WORTH_WHILE
from modelwright.release.compiled.program import Program
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.inputs import InputColumn, Rows, data_frame
from modelwright.release.runtime import estimator_output
from modelwright.spec.metric import METRICS

COLUMNS = tuple(InputColumn(name=name, kind="number") for name in "abcd")
SMALLER = ("compiled + onnx int8", "compiled + onnx int8 static", "compiled + onnx pruned")
WIDE = int(WORTH_WHILE**0.5)


@pytest.fixture(scope="module")
def rows():
    return Rows(np.random.default_rng(2).normal(size=(900, 4)))


@pytest.fixture(scope="module")
def outcomes(rows):
    return rows.numbers[:, 0] * rows.numbers[:, 1] + rows.numbers[:, 2] > 0.2


@pytest.fixture(scope="module")
def network(rows, outcomes):
    model = MLPClassifier((WIDE, WIDE), max_iter=8, random_state=0)
    return learnt(make_pipeline(StandardScaler(), model), rows, outcomes)


def learnt(model, rows, outcomes):
    with pytest.warns(match="Maximum iterations"):
        return model.fit(data_frame(rows.take(slice(0, 600)), COLUMNS), outcomes[:600])


def chosen(model, rows, outcomes, declared, metric="roc_auc"):
    classes = tuple(getattr(model, "classes_", ()))
    bounds = None if declared is None else Bounds(declared, METRICS[metric], outcomes[600:], classes)
    return served_form(model, COLUMNS, classes, rows.take(slice(0, 600)), rows.take(slice(600, None)), bounds)


def served(form):
    return next(figures for figures in form.tried if figures.equivalence.accepted)


def test_nothing_is_traded_where_nothing_is_declared(network, rows, outcomes):
    form = chosen(network, rows, outcomes, None)
    assert served(form).name == "compiled + onnx float64"
    assert not set(SMALLER) & {figures.name for figures in form.tried}
    assert form.equivalence.drop is None
    assert form.equivalence.largest < 1e-12


def test_within_wide_bounds_the_first_of_the_order_is_served_and_said_to_differ(network, rows, outcomes):
    form = chosen(network, rows, outcomes, within(flips=0.1, drop=0.1))
    assert [figures.name for figures in form.tried] == [*TRADED, "native"]
    assert served(form).name == "compiled + onnx int8"
    assert form.runtime == "compiled"
    same = form.equivalence
    assert same.accepted
    assert same.reason
    # As they are compared: those held back, then those fitted on. Small integers are scaled by the rows beside them.
    compared = Rows(np.concatenate([rows.numbers[600:], rows.numbers[:600]]))
    native = network.predict_proba(data_frame(compared, COLUMNS))
    given = CompiledRuntime(form.data, COLUMNS).run(compared)
    differences = np.abs(native - given)
    assert (same.rows, same.largest) == (900, differences.max())
    assert same.largest > 0
    assert same.p999 == np.quantile(differences, 0.999)
    assert same.flips == (native.argmax(axis=1) != given.argmax(axis=1)).sum()
    lost = roc_auc_score(outcomes[600:], native[:300, 1]) - roc_auc_score(outcomes[600:], given[:300, 1])
    assert same.drop == pytest.approx(lost, abs=1e-12)
    session = onnxruntime.InferenceSession(Program.from_bytes(form.data).graph.tobytes())
    assert [given.name for given in session.get_inputs()] == ["numbers"]
    exact = next(figures for figures in form.tried if figures.name == "compiled + onnx float32")
    assert figures_of(form)["compiled + onnx int8"].size < exact.size / 2


def figures_of(form):
    return {figures.name: figures for figures in form.tried}


def test_the_smaller_forms_are_what_they_are_called(network, rows, outcomes):
    form = chosen(network, rows, outcomes, within(flips=1.0, drop=1.0))
    tried = figures_of(form)
    for name in SMALLER:
        assert tried[name].equivalence.rows == 900
        assert tried[name].equivalence.largest > 1e-6
        assert {name, "compiled + onnx float32"} <= set(form.latencies)
    assert tried["compiled + onnx pruned"].size < tried["compiled + onnx float32"].size / 2
    # Half of the units by weight say more than nothing: the worst form is still a model of the same thing.
    assert all(tried[name].equivalence.flips < 400 for name in SMALLER)


@pytest.mark.parametrize("declared", [within(), within(flips=0.0, drop=0.5), within(flips=1.0, drop=0.0)])
def test_what_is_served_is_within_what_was_declared(network, rows, outcomes, declared):
    form = chosen(network, rows, outcomes, declared)
    same = served(form).equivalence
    assert same.flips <= declared.flips * same.rows
    assert same.drop <= declared.drop or not same.reason
    for figures in form.tried[:-1]:
        of = figures.equivalence
        if figures.name in SMALLER:
            assert of.accepted == (of.flips <= declared.flips * of.rows and of.drop <= declared.drop)


def test_the_same_material_gives_the_same_bytes(network, rows, outcomes):
    first, again = (chosen(network, rows, outcomes, within(flips=0.1, drop=0.1)) for _ in range(2))
    assert first.data == again.data
    assert first.tried == again.tried


def test_a_small_network_is_not_made_smaller_and_says_why(rows, outcomes):
    small = learnt(make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=5, random_state=0)), rows, outcomes)
    form = chosen(small, rows, outcomes, within(flips=1.0, drop=1.0))
    assert all("its largest matrix has" in figures_of(form)[name].equivalence.reason for name in SMALLER)
    assert served(form).name == "compiled + onnx float32"


def test_amounts_are_bounded_by_the_metric(rows):
    amounts = rows.numbers[:, 0] * rows.numbers[:, 1] + rows.numbers[:, 2]
    model = MLPRegressor(hidden_layer_sizes=(WIDE, WIDE), max_iter=8, random_state=0)
    model = learnt(make_pipeline(StandardScaler(), model), rows, amounts)
    loose = chosen(model, rows, amounts, within(drop=0.5), "mae")
    assert served(loose).name == "compiled + onnx int8"
    assert loose.equivalence.drop <= 0.5
    tight = chosen(model, rows, amounts, within(drop=0.0), "mae")
    for figures in tight.tried[:-1]:
        of = figures.equivalence
        assert of.accepted == (of.rows > 0 and (of.drop <= 0 or not of.reason)), figures


def test_a_metric_that_is_not_defined_allows_nothing(network, rows, outcomes):
    form = chosen(network, rows, np.zeros(900, bool), within(flips=1.0, drop=1.0))
    assert served(form).equivalence.reason == ""
    assert all(not figures_of(form)[name].equivalence.accepted for name in SMALLER)


def test_a_row_without_a_number_is_never_within_bounds(network, rows, outcomes):
    bounds = Bounds(within(flips=1.0, drop=1.0), METRICS["roc_auc"], outcomes, (False, True))
    said = estimator_output(network, data_frame(rows, COLUMNS), (False, True))
    refused = chosen(network, rows, outcomes, None).equivalence
    lost = dataclasses.replace(bounds).judged(
        type(refused)(rows=900, flips=1, largest=0.0, accepted=False, reason="1 of 900 rows get no number"),
        said, np.where(np.arange(900)[:, None] == 3, np.nan, said),
    )  # fmt: skip
    assert not lost.accepted


@pytest.mark.parametrize("wrong", [{"flips": -0.1}, {"flips": 1.5}, {"drop": -1}, {"drop": "a lot"}, {"flips": True}])
def test_bounds_that_bound_nothing_are_refused(wrong):
    with pytest.raises(DeclarationError, match=r"^optimize\.within\("):
        within(**wrong)


def test_declaring_bounds_loads_nothing_heavy():
    code = (
        "import sys, modelwright as mw; mw.optimize.within(); print(*{'sklearn', 'numpy', 'onnx'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
