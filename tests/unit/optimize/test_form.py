"""LightGBM is exact in float64; whatever has no equal ONNX form is served as it was fitted, and says why."""

import numpy as np
import onnx
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelwright.core.errors import TrainingError
from modelwright.optimize import form
from modelwright.optimize.form import served_form
from modelwright.optimize.onnx_form import NotConvertible, onnx_form
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.inputs import Rows, data_frame
from modelwright.release.runtime import OnnxRuntime, estimator_output
from modelwright.spec.label import LabelSpec
from modelwright.training.fit import classes_of, fit

SMALL = {"n_estimators": 15, "num_leaves": 7, "min_child_samples": 5, "n_jobs": 1, "verbose": -1}
MODEL = {"bool": LGBMClassifier(**SMALL), "str": LGBMClassifier(**SMALL), "float": LGBMRegressor(**SMALL)}
EXACT = 4e-16
"""Two answers of the same trees: the sum of leaves and the link may be rounded in another order."""


def label(kind):
    return LabelSpec(name="y", kind=kind, delay_us=1)


def one_hot(model):
    texts = (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category"))
    return make_pipeline(make_column_transformer(texts, remainder="passthrough"), model)


def scaled(model):
    texts = (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category"))
    numbers = (StandardScaler(), make_column_selector(dtype_include="number"))
    return make_pipeline(make_column_transformer(texts, numbers), model)


def fitted(model, rows, columns, outcomes, kind):
    estimator = fit(model, 0, rows, columns, outcomes, label(kind))
    return estimator, classes_of(estimator, label(kind), outcomes)


def answers(estimator, rows, columns, classes):
    said = estimator_output(estimator, data_frame(rows, columns), classes)
    data = onnx_form(estimator, columns, "float64", classifier=bool(classes))
    return said, OnnxRuntime(data, columns).run(rows).reshape(said.shape)


def relative(said, compiled):
    return float((np.abs(said - compiled) / np.maximum(1.0, np.abs(said))).max())


@pytest.mark.parametrize(("kind", "objective"), [("bool", "binary"), ("float", "regression"), ("float", "poisson")])
def test_a_rows_answer_does_not_depend_on_the_rows_beside_it(numbers, outcome, kind, objective):
    rows, columns = numbers
    learnt = outcome(rows, kind) if kind == "bool" else np.abs(outcome(rows, kind))
    model = LGBMClassifier(**SMALL) if kind == "bool" else LGBMRegressor(**SMALL, objective=objective)
    estimator, classes = fitted(model, rows, columns, learnt, kind)
    runtime = OnnxRuntime(onnx_form(estimator, columns, "float64", classifier=bool(classes)), columns)
    together = runtime.run(rows)
    alone = np.concatenate([runtime.run(rows.take(slice(place, place + 1))) for place in range(len(rows))])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("kind", ["bool", "str", "float"])
def test_lightgbm_is_exact_missing_values_included(numbers, outcome, kind):
    rows, columns = numbers
    estimator, classes = fitted(MODEL[kind], rows, columns, outcome(rows, kind), kind)
    said, compiled = answers(estimator, rows, columns, classes)
    assert relative(said, compiled) <= EXACT
    assert np.ptp(said) > 0.1


@pytest.mark.parametrize("kind", ["bool", "str", "float"])
@pytest.mark.parametrize("pipeline", [one_hot, scaled])
def test_lightgbm_is_exact_inside_a_pipeline_with_texts(mixed, outcome, kind, pipeline):
    rows, columns = mixed
    estimator, classes = fitted(pipeline(MODEL[kind]), rows, columns, outcome(rows, kind), kind)
    said, compiled = answers(estimator, rows, columns, classes)
    assert relative(said, compiled) <= EXACT
    chosen = served_form(estimator, columns, classes, rows.take(slice(0, 500)), rows.take(slice(500, None)))
    assert chosen.runtime == "compiled"
    assert [figures.name for figures in chosen.tried] == ["compiled", "onnx float64", "native"]
    for figures in chosen.tried:
        assert figures.equivalence.accepted
        assert figures.equivalence.flips == 0
        assert figures.equivalence.largest <= EXACT
        assert figures.equivalence.rows == 620  # all rows, and 20 of them with the text missing
    assert chosen.equivalence == chosen.tried[0].equivalence
    assert (CompiledRuntime(chosen.data, columns).run(rows).reshape(said.shape) == said).mean() > 0.9
    assert OnnxRuntime(chosen.beside["model.onnx"], columns).run(rows).shape[0] == len(rows)
    assert {"native", "compiled", "onnx float64"} <= set(chosen.latencies)


def test_texts_that_training_has_not_seen_are_compared_as_they_are_served(mixed, outcome):
    rows, columns = mixed
    estimator, classes = fitted(one_hot(MODEL["bool"]), rows, columns, outcome(rows, "bool"), "bool")
    held_back = rows.take(slice(0, 50))
    unseen = Rows(held_back.numbers, (["Atlantis"] * 50,))
    chosen = served_form(estimator, columns, classes, rows, unseen)
    assert chosen.runtime == "compiled"
    missing = Rows(held_back.numbers, ([None] * 50,))
    assert chosen.equivalence == served_form(estimator, columns, classes, rows, missing).equivalence


def test_a_value_on_a_threshold_falls_on_lightgbms_side(numbers, outcome):
    rows, columns = numbers
    estimator, classes = fitted(MODEL["bool"], rows, columns, outcome(rows, "bool"), "bool")
    found = []

    def thresholds(node):
        if "threshold" in node:
            if abs(node["threshold"]) > 1e-30:  # LightGBM takes what is as near to 0 as its thresholds there for 0
                found.append((node["split_feature"], float(node["threshold"])))
            thresholds(node["left_child"])
            thresholds(node["right_child"])

    for tree in estimator.booster_.dump_model()["tree_info"]:
        thresholds(tree["tree_structure"])
    edge = rows.take(np.zeros(3 * len(found), dtype=int)).numbers
    for place, (feature, value) in enumerate(found):
        edge[3 * place : 3 * place + 3, feature] = [np.nextafter(value, -np.inf), value, np.nextafter(value, np.inf)]
    said, compiled = answers(estimator, Rows(edge), columns, classes)
    assert len({tuple(row) for row in said}) > 1
    assert relative(said, compiled) <= EXACT


@pytest.mark.parametrize("given", [np.nan, 0.0, -0.0, np.inf, -np.inf])
def test_missing_zero_and_infinite_agree_whether_or_not_training_had_gaps(outcome, numbers, given):
    rows, columns = numbers
    for block in (rows.numbers, np.nan_to_num(rows.numbers)):
        estimator, classes = fitted(MODEL["bool"], Rows(block), columns, outcome(Rows(block), "bool"), "bool")
        for column in range(3):
            asked = block.copy()
            asked[:, column] = given
            said, compiled = answers(estimator, Rows(asked), columns, classes)
            assert relative(said, compiled) <= EXACT


def test_trees_of_one_leaf_are_exact(numbers, outcome):
    rows, columns = numbers
    stump = LGBMRegressor(n_estimators=3, min_child_samples=10_000, verbose=-1)
    estimator, classes = fitted(stump, rows, columns, outcome(rows, "float"), "float")
    said, compiled = answers(estimator, rows, columns, classes)
    assert np.ptp(said) == 0
    assert relative(said, compiled) <= EXACT


@pytest.mark.parametrize("objective", ["regression_l1", "poisson", "tweedie", "quantile", "huber"])
def test_objectives_with_a_link_of_their_own_are_exact(numbers, outcome, objective):
    rows, columns = numbers
    model = LGBMRegressor(objective=objective, **SMALL)
    estimator, classes = fitted(model, rows, columns, np.abs(outcome(rows, "float")), "float")
    said, compiled = answers(estimator, rows, columns, classes)
    assert relative(said, compiled) <= 4 * EXACT


def test_categorical_splits_have_a_compiled_form_where_onnx_has_none(mixed, outcome):
    rows, columns = mixed
    model = LGBMClassifier(**SMALL, min_data_per_group=5, cat_smooth=1)
    estimator, classes = fitted(model, rows, columns, outcome(rows, "bool"), "bool")
    chosen = served_form(estimator, columns, classes, rows, rows.take(slice(0, 50)))
    assert chosen.runtime == "compiled"
    assert chosen.beside == {}
    refused = {figures.name: figures.equivalence.reason for figures in chosen.tried[1:-1]}
    assert refused.keys() == {"onnx float64", "onnx float32"}
    assert all(refused.values())
    said = estimator_output(estimator, data_frame(rows, columns), classes)
    assert np.array_equal(CompiledRuntime(chosen.data, columns).run(rows), said)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"zero_as_missing": True}, "zero as missing has no ONNX form"),
        ({"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averaged trees have no exact ONNX form"),
        ({"objective": "cross_entropy"}, "objective 'cross_entropy'"),
    ],
)
def test_what_the_operator_cannot_do_is_refused_with_the_reason(numbers, outcome, settings, reason):
    rows, columns = numbers
    model = LGBMClassifier(**SMALL, **settings) if "objective" not in settings else LGBMRegressor(**SMALL, **settings)
    kind = "float" if "objective" in settings else "bool"
    target = outcome(rows, "bool")
    estimator, classes = fitted(model, rows, columns, target.astype(float) if kind == "float" else target, kind)
    with pytest.raises(NotConvertible, match=reason):
        onnx_form(estimator, columns, "float64", classifier=bool(classes))


def test_a_number_split_as_a_category_is_refused(numbers):
    rows, columns = numbers
    rows = Rows(np.nan_to_num(rows.numbers))
    target = np.isin(rows.numbers[:, 1], [-2, 1])
    model = LGBMClassifier(**SMALL, min_data_per_group=5, cat_smooth=1)
    estimator = model.fit(data_frame(rows, columns), target, categorical_feature=["b"])
    with pytest.raises(NotConvertible, match="^categorical splits have no exact ONNX form$"):
        onnx_form(estimator, columns, "float64", classifier=True)


class Homemade:
    """No converter knows it."""

    classes_ = np.array([False, True])

    def fit(self, frame, target):
        self.rate = float(np.mean(target))
        return self

    def predict(self, frame):
        return np.full(len(frame), self.rate > 0.5)

    def predict_proba(self, frame):
        return np.tile([1 - self.rate, self.rate], (len(frame), 1))


def test_a_model_that_does_not_convert_is_served_natively_and_says_why(numbers, outcome):
    rows, columns = numbers
    estimator, classes = fitted(Homemade(), rows, columns, outcome(rows, "bool"), "bool")
    chosen = served_form(estimator, columns, classes, rows, rows.take(slice(0, 50)))
    assert chosen.runtime == "native"
    assert "Homemade" in chosen.equivalence.reason
    assert "\n" not in chosen.equivalence.reason


def test_flips_of_the_compiled_form_are_counted_and_refuse_it(numbers, outcome, monkeypatch):
    rows, columns = numbers
    estimator, classes = fitted(MODEL["bool"], rows, columns, outcome(rows, "bool"), "bool")

    def flipped(self, given):
        said = estimator_output(estimator, data_frame(given, columns), classes)
        said[:7] = said[:7, ::-1]
        return said

    monkeypatch.setattr(form.OnnxRuntime, "run", flipped)
    monkeypatch.setattr(form.CompiledRuntime, "run", flipped)
    chosen = served_form(estimator, columns, classes, rows, rows.take(slice(0, 50)))
    assert (chosen.runtime, chosen.equivalence.flips) == ("native", 7)
    assert "7 of 650 held-back rows change their answer" in chosen.equivalence.reason


def test_scikit_learns_own_models_are_compared_too(numbers, outcome):
    rows, columns = numbers
    rows = Rows(np.nan_to_num(rows.numbers))
    for model, runtime in (
        (RandomForestClassifier(n_estimators=5, max_depth=3), "compiled"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "compiled"),
        (make_pipeline(StandardScaler(), GaussianNB()), "compiled"),
    ):
        estimator, classes = fitted(model, rows, columns, outcome(rows, "str"), "str")
        chosen = served_form(estimator, columns, classes, rows, rows.take(slice(0, 50)))
        assert chosen.runtime == runtime
        said = estimator_output(estimator, data_frame(rows, columns), classes)
        made = CompiledRuntime(chosen.data, columns) if runtime == "compiled" else OnnxRuntime(chosen.data, columns)
        assert (said.argmax(axis=1) == made.run(rows).argmax(axis=1)).all()


def test_a_model_that_fails_to_predict_is_a_training_error_of_one_line(numbers):
    class Fails(Homemade):
        def predict_proba(self, frame):
            raise RuntimeError("no idea\nat all")

    rows, columns = numbers
    with pytest.raises(TrainingError, match=r"^Fails failed to predict 650 rows: RuntimeError: no idea$"):
        served_form(Fails(), columns, (False, True), rows, rows.take(slice(0, 50)))


def test_a_model_that_gives_no_number_for_training_rows_can_still_be_written_down(numbers):
    class Gaps(Homemade):
        rate = 0.5

        def predict_proba(self, frame):
            said = super().predict_proba(frame)
            said[-1] = np.nan
            return said

    rows, columns = numbers
    chosen = served_form(Gaps(), columns, (False, True), rows, rows.take(slice(0, 50)))
    assert (chosen.runtime, np.isfinite(chosen.equivalence.largest)) == ("native", True)


def test_numbers_are_one_input_of_the_graph(mixed, outcome):
    rows, columns = mixed
    estimator, _ = fitted(one_hot(MODEL["bool"]), rows, columns, outcome(rows, "bool"), "bool")
    graph = onnx.load_from_string(onnx_form(estimator, columns, "float64", classifier=True)).graph
    assert [given.name for given in graph.input] == ["numbers", "t"]
