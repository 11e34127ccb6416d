"""A PyTorch module inside an estimator is served as a graph that says what the estimator says."""

import os

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from modelwright.optimize import within
from modelwright.optimize.equivalence import Bounds
from modelwright.optimize.form import served_form
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.inputs import InputColumn, Rows, data_frame
from modelwright.release.runtime import estimator_output
from modelwright.spec.label import LabelSpec
from modelwright.spec.metric import METRICS
from modelwright.training.fit import classes_of, fit

if os.environ.get("MODELWRIGHT_SERVICES") == "required":
    import torch
else:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore:.*")


class Network(BaseEstimator):
    """An estimator as people write one: it learns a module and keeps it as `module_`, as skorch does."""

    def __init__(self, units=16, outputs="softmax", epochs=30):
        self.units = units
        self.outputs = outputs
        self.epochs = epochs

    def fit(self, rows, target):
        rows, target = self._given(rows), np.asarray(target)
        if self.outputs != "amount":
            self.classes_, target = np.unique(target, return_inverse=True)
        last = {"softmax": lambda: len(self.classes_), "none": lambda: len(self.classes_)}.get(
            self.outputs, lambda: 1
        )()
        self.module_ = nn.Sequential(
            nn.Linear(rows.shape[1], self.units), nn.ReLU(), nn.Dropout(0.1), nn.Linear(self.units, self.units), nn.ReLU(),
            nn.Linear(self.units, last), *([nn.Softmax(1)] if self.outputs == "none" else []),
        )  # fmt: skip
        loss = {"sigmoid": nn.BCEWithLogitsLoss(), "amount": nn.MSELoss()}.get(self.outputs, nn.CrossEntropyLoss())
        wanted = torch.tensor(target)
        wanted = wanted.float().reshape(-1, 1) if last == 1 else wanted
        step = torch.optim.Adam(self.module_.parameters(), lr=0.02)
        for _ in range(self.epochs):
            step.zero_grad()
            loss(self.module_(rows), wanted).backward()
            step.step()
        return self

    def _given(self, rows):
        return torch.tensor(np.asarray(rows, np.float32))

    def _raw(self, rows):
        self.module_.eval()
        with torch.no_grad():
            return self.module_(self._given(rows))

    def predict(self, rows):
        if self.outputs == "amount":
            return self._raw(rows).numpy()[:, 0]
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]

    def predict_proba(self, rows):
        raw = self._raw(rows)
        if self.outputs == "sigmoid":
            positive = torch.sigmoid(raw[:, 0]).numpy()
            return np.column_stack([1 - positive, positive])
        return (raw if self.outputs == "none" else torch.softmax(raw, 1)).numpy()


class Halved(Network):
    """Its answer is more than its module's."""

    def predict_proba(self, rows):
        said = super().predict_proba(rows)
        return np.column_stack([1 - said[:, 1] / 2, said[:, 1] / 2])


def prepared(model, *more):
    texts = (
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        make_column_selector(dtype_include="category"),
    )
    numbers = (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number"))
    return make_pipeline(make_column_transformer(texts, numbers), *more, model)


def formed(model, mixed, outcome, kind, bounds=None):
    rows, columns = mixed
    label = LabelSpec(name="y", kind=kind, delay_us=1)
    outcomes = outcome(rows, kind)
    estimator = fit(model, 0, rows.take(slice(0, 500)), columns, outcomes[:500], label)
    classes = classes_of(estimator, label, outcomes[:500])
    judged = None if bounds is None else Bounds(bounds, METRICS["accuracy"], outcomes[500:], classes)
    form = served_form(estimator, columns, classes, rows.take(slice(0, 500)), rows.take(slice(500, None)), judged)
    return estimator, classes, form


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [("bool", "softmax"), ("str", "softmax"), ("str", "none"), ("bool", "sigmoid"), ("float", "amount")],
)
def test_a_network_behind_a_preparation_is_served_without_torch(mixed, outcome, kind, outputs):
    rows, columns = mixed
    estimator, classes, form = formed(prepared(Network(outputs=outputs)), mixed, outcome, kind)
    assert next(figures.name for figures in form.tried if figures.equivalence.accepted) == "compiled + onnx float32"
    assert form.requires == {}
    assert "torch" in form.tried[-1].requires
    said = estimator_output(estimator, data_frame(rows, columns), classes)
    assert np.ptp(said) > 0.2
    given = CompiledRuntime(form.data, columns).run(rows).reshape(said.shape)
    np.testing.assert_allclose(given, said, rtol=0, atol=1e-5)


def test_a_cast_to_float32_before_the_network_is_taken_along(mixed, outcome):
    single = FunctionTransformer(np.float32)
    _, _, form = formed(prepared(Network(), single), mixed, outcome, "bool")
    assert next(figures.name for figures in form.tried if figures.equivalence.accepted) == "compiled + onnx float32"


def test_an_estimator_that_does_more_than_its_module_is_served_as_it_is(mixed, outcome):
    _, _, form = formed(prepared(Halved()), mixed, outcome, "bool")
    assert form.runtime == "native"
    assert "the estimator does more than its module" in form.equivalence.reason
    assert "torch" in form.requires


def test_two_trainings_are_one_network(mixed, outcome):
    first, again = (formed(prepared(Network()), mixed, outcome, "bool")[2] for _ in range(2))
    assert first.data == again.data


def test_a_wide_network_becomes_smaller_within_bounds(mixed, outcome):
    rows, columns = mixed
    estimator, classes, form = formed(
        prepared(Network(units=256)), mixed, outcome, "bool", within(flips=0.05, drop=0.05)
    )
    tried = {figures.name: figures for figures in form.tried}
    assert next(figures.name for figures in form.tried if figures.equivalence.accepted) == "compiled + onnx int8"
    for name in ("compiled + onnx int8", "compiled + onnx int8 static", "compiled + onnx pruned"):
        assert tried[name].equivalence.rows > 0, tried[name].equivalence.reason
        assert tried[name].size < 0.6 * tried["compiled + onnx float32"].size
    said = estimator_output(estimator, data_frame(rows, columns), classes)
    flips = (CompiledRuntime(form.data, columns).run(rows).argmax(axis=1) != said.argmax(axis=1)).mean()
    assert flips <= 0.05


def test_a_row_with_a_missing_number_that_nothing_fills_has_no_answer(mixed, outcome):
    (rows, columns), numbers = mixed, (StandardScaler(), ["a"])
    model = make_pipeline(make_column_transformer(numbers), Network())
    estimator, _, form = formed(model, mixed, outcome, "bool")
    lost = Rows(np.full((2, 3), np.nan), ([None, None],))
    assert np.isnan(CompiledRuntime(form.data, columns).run(lost)).all()
    assert np.isnan(estimator_output(estimator, data_frame(lost, columns), (False, True))).all()
    assert isinstance(columns[0], InputColumn)
    assert len(rows) == 600


class KerasNetwork(BaseEstimator):
    """The same around Keras, which keeps its model as `model_`."""

    def fit(self, rows, target):
        from keras import Sequential, layers

        self.classes_, target = np.unique(target, return_inverse=True)
        hidden, last = layers.Dense(16, activation="relu"), layers.Dense(len(self.classes_), activation="softmax")
        self.model_ = Sequential([layers.Input((rows.shape[1],)), hidden, last])
        self.model_.compile("adam", "sparse_categorical_crossentropy")
        self.model_.fit(np.asarray(rows, np.float32), target, epochs=2, verbose=0)
        return self

    def predict_proba(self, rows):
        return self.model_.predict(np.asarray(rows, np.float32), verbose=0)

    def predict(self, rows):
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


def test_a_keras_model_on_torch_is_such_a_module(mixed, outcome, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    if os.environ.get("MODELWRIGHT_SERVICES") != "required":
        pytest.importorskip("keras", reason="Keras is not installed: pip install 'modelwright[keras]'")
    rows, columns = mixed
    estimator, classes, form = formed(prepared(KerasNetwork()), mixed, outcome, "bool")
    assert next(figures.name for figures in form.tried if figures.equivalence.accepted) == "compiled + onnx float32"
    said = estimator_output(estimator, data_frame(rows, columns), classes)
    np.testing.assert_allclose(CompiledRuntime(form.data, columns).run(rows), said, rtol=0, atol=1e-5)
