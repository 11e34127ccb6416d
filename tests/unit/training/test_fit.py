"""A fresh, seeded copy is fitted; the declared estimator stays as it was declared."""

import pickle

import cloudpickle
import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import KNNImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from modelwright.core.errors import TrainingError
from modelwright.release.inputs import InputColumn, Rows, data_frame
from modelwright.spec.label import LabelSpec
from modelwright.training.fit import classes_of, fit, fresh_copy, pickled

COLUMNS = (InputColumn(name="a", kind="number"), InputColumn(name="b", kind="number"))
BOOL, TEXT, NUMBER = (LabelSpec(name="y", kind=kind, delay_us=1) for kind in ("bool", "str", "float"))


@pytest.fixture
def rows():
    return Rows(np.random.default_rng(0).normal(size=(80, 2)))


@pytest.fixture
def outcomes(rows):
    return rows.numbers[:, 0] > 0


def test_unset_random_states_are_seeded_however_deep():
    model = make_pipeline(
        make_column_transformer((make_pipeline(QuantileTransformer(n_quantiles=5)), ["a"])),
        GridSearchCV(RandomForestClassifier(), {"max_depth": [2]}),
    )
    copied = fresh_copy(model, 17)
    seeds = {name: value for name, value in copied.get_params().items() if name.endswith("random_state")}
    assert len(seeds) == 2
    assert set(seeds.values()) == {17}
    assert all(value is None for name, value in model.get_params().items() if name.endswith("random_state"))


def test_a_random_state_that_is_set_stays():
    model = make_pipeline(StandardScaler(), LGBMClassifier(random_state=3))
    assert fresh_copy(model, 17).get_params()["lgbmclassifier__random_state"] == 3
    assert fresh_copy(LGBMClassifier(), 17).random_state == 17


def test_an_estimator_without_parameters_is_copied_too():
    class Plain:
        random_state = None
        state = ()

    model = Plain()
    copied = fresh_copy(model, 5)
    assert (copied.random_state, model.random_state) == (5, None)


def test_the_declared_estimator_is_never_fitted(rows, outcomes):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    before = pickle.dumps(model)
    fitted = fit(model, 0, rows, COLUMNS, outcomes, BOOL)
    assert fitted is not model
    assert pickle.dumps(model) == before
    check_is_fitted(fitted)


def test_two_fits_with_one_seed_are_one_model(rows, outcomes):
    model = RandomForestClassifier(n_estimators=5)
    first, again, other = (pickled(fit(model, seed, rows, COLUMNS, outcomes, BOOL)) for seed in (4, 4, 5))
    assert first == again != other


def test_a_failing_fit_is_a_training_error_with_its_first_line(rows, outcomes):
    class Broken:
        def fit(self, frame, target):
            raise ValueError("no\nway")

    with pytest.raises(TrainingError, match=r"^Broken\.fit failed on 80 rows: ValueError: no$"):
        fit(Broken(), 0, rows, COLUMNS, outcomes, BOOL)


def test_an_estimator_that_cannot_be_copied_is_a_training_error(rows, outcomes):
    class Stuck(LogisticRegression):
        def __deepcopy__(self, memo):
            raise RuntimeError("holds a socket")

        def get_params(self, deep=True):
            raise RuntimeError("holds a socket")

    with pytest.raises(TrainingError, match=r"Stuck\.fit failed on 80 rows: RuntimeError: holds a socket"):
        fit(Stuck(), 0, rows, COLUMNS, outcomes, BOOL)


def test_one_class_is_nothing_to_learn_from(rows):
    with pytest.raises(TrainingError, match="every known outcome is y=True; a classifier needs both kinds"):
        fit(LogisticRegression(), 0, rows, COLUMNS, np.ones(80, dtype=bool), BOOL)


def test_an_amount_may_be_constant(rows):
    fitted = fit(LinearRegression(), 0, rows, COLUMNS, np.full(80, 2.0), NUMBER)
    assert classes_of(fitted, NUMBER) == ()


def test_classes_are_in_the_order_of_the_probabilities(rows, outcomes):
    assert classes_of(fit(LogisticRegression(), 0, rows, COLUMNS, outcomes, BOOL), BOOL) == (False, True)
    texts = np.array(["b", "a", "c", "a"] * 20, dtype=object)
    assert classes_of(fit(LogisticRegression(), 0, rows, COLUMNS, texts, TEXT), TEXT) == ("a", "b", "c")


def test_a_classifier_must_say_its_classes():
    class Silent:
        def predict_proba(self, frame): ...

    class Mirrored(Silent):
        classes_ = np.array([True, False])

    class Decides:
        def predict(self, frame): ...

    with pytest.raises(TrainingError, match="Silent has no classes_ after fit"):
        classes_of(Silent(), BOOL)
    with pytest.raises(TrainingError, match=r"Mirrored\.classes_ is .*; \[False, True\] was expected"):
        classes_of(Mirrored(), BOOL)
    assert classes_of(Decides(), BOOL) == (False, True)


def test_an_estimator_that_cannot_be_stored_is_a_training_error():
    class Holds:
        def __reduce__(self):
            raise TypeError("a thread cannot be pickled")

    with pytest.raises(TrainingError, match="Holds cannot be stored: TypeError: a thread cannot be pickled"):
        pickled(Holds())


def test_what_is_stored_predicts_the_same(rows, outcomes):
    fitted = fit(make_pipeline(KNNImputer(), LogisticRegression()), 0, rows, COLUMNS, outcomes, BOOL)
    stored = cloudpickle.loads(pickled(fitted))
    frame = data_frame(rows, COLUMNS)
    assert np.array_equal(stored.predict_proba(frame), fitted.predict_proba(frame))
