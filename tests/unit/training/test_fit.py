"""A fresh, seeded copy is fitted; the declared estimator stays as it was declared."""

import os
import pickle
import subprocess
import sys

import cloudpickle
import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import KNNImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted
from xgboost import XGBClassifier

from modelwright.core.errors import TrainingError
from modelwright.release.inputs import InputColumn, Rows, data_frame
from modelwright.spec.label import LabelSpec
from modelwright.training.fit import classes_of, fit, fresh_copy, pickled, told

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
    assert classes_of(fitted, NUMBER, outcomes) == ()


def test_classes_are_in_the_order_of_the_probabilities(rows, outcomes):
    assert classes_of(fit(LogisticRegression(), 0, rows, COLUMNS, outcomes, BOOL), BOOL, outcomes) == (False, True)
    texts = np.array(["b", "a", "c", "a"] * 20, dtype=object)
    assert classes_of(fit(LogisticRegression(), 0, rows, COLUMNS, texts, TEXT), TEXT, texts) == ("a", "b", "c")


def test_a_classifier_must_say_its_classes():
    class Silent:
        def predict_proba(self, frame): ...

    class Mirrored(Silent):
        classes_ = np.array([True, False])

    class Decides:
        def predict(self, frame): ...

    with pytest.raises(TrainingError, match="Silent has no classes_ after fit"):
        classes_of(Silent(), BOOL, np.array([True, False]))
    with pytest.raises(TrainingError, match=r"Mirrored\.classes_ is .*; \[False, True\] was expected"):
        classes_of(Mirrored(), BOOL, np.array([True, False]))
    assert classes_of(Decides(), BOOL, np.array([True, False])) == (False, True)


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


@pytest.mark.parametrize("model", [LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())])
def test_weights_reach_the_estimator_also_behind_preparation(model, rows):
    outcomes = rows.numbers[:, 0] > 0
    outcomes[:10] = ~outcomes[:10]  # what is wrong about the oldest rows is forgotten
    weights = np.r_[np.full(10, 1e-9), np.ones(70)]
    plain, weighted = (fit(model, 0, rows, COLUMNS, outcomes, BOOL, some) for some in (None, weights))
    frame, truth = data_frame(rows, COLUMNS), rows.numbers[:, 0] > 0
    assert log_loss(truth, weighted.predict_proba(frame)) < log_loss(truth, plain.predict_proba(frame))


def test_an_estimator_without_weights_is_named(rows, outcomes):
    with pytest.raises(TrainingError, match="KNeighborsClassifier.fit takes no sample_weight, which past.decayed"):
        fit(make_pipeline(StandardScaler(), KNeighborsClassifier()), 0, rows, COLUMNS, outcomes, BOOL, np.ones(80))


def test_xgboost_learns_texts_by_their_places(rows):
    texts = np.where(rows.numbers[:, 0] > 0.5, "c", np.where(rows.numbers[:, 1] > 0, "a", "b")).astype(object)
    fitted = fit(make_pipeline(StandardScaler(), XGBClassifier(n_estimators=20)), 0, rows, COLUMNS, texts, TEXT)
    classes = classes_of(fitted, TEXT, texts)
    assert classes == ("a", "b", "c")
    said = fitted.predict_proba(data_frame(rows, COLUMNS)).argmax(axis=1)
    assert (np.array(classes)[said] == texts).mean() > 0.9


def test_a_vectorizer_over_several_columns_is_told_where_to_stand(outcomes):
    columns = (COLUMNS[0], InputColumn(name="body", kind="text"))
    rows = Rows(np.zeros((80, 1)), (["some words"] * 80,))
    with pytest.raises(
        TrainingError, match=r"reads one column, and is given 2: put it in .*\(\(TfidfVectorizer\(\), 'body'\)"
    ):
        fit(make_pipeline(TfidfVectorizer(), LogisticRegression()), 0, rows, columns, outcomes, BOOL)


def test_a_vectorizer_that_is_given_a_list_of_columns_is_told_to_name_it_alone(outcomes):
    rows = Rows(np.zeros((80, 0)), (["some words"] * 80,))
    model = make_pipeline(make_column_transformer((TfidfVectorizer(), ["body"])), LogisticRegression())
    with pytest.raises(
        TrainingError, match=r"tfidfvectorizer is given the columns \['body'\].*\(TfidfVectorizer\(\), 'body'\)"
    ):
        fit(model, 0, rows, (InputColumn(name="body", kind="text"),), outcomes, BOOL)


def test_a_vectorizer_of_categories_says_how_free_text_is_declared(outcomes):
    columns = (InputColumn(name="body", kind="text", vocabulary=("some", "words")),)
    rows = Rows(np.zeros((80, 0)), (["some", "words"] * 40,))
    model = fit(make_pipeline(TfidfVectorizer(), LogisticRegression()), 0, rows, columns, outcomes, BOOL)
    unseen = data_frame(Rows(np.zeros((1, 0)), ([None],)), columns)["body"]
    with pytest.raises(ValueError, match="invalid document") as caught:
        model.predict_proba(unseen)
    assert told(caught.value).endswith("; declare free text as Annotated[str, mw.Meta(text=True)]")
    assert told(ValueError("else")) == "ValueError: else"


def test_equal_vectorizers_are_equal_bytes_in_every_process():
    """scikit-learn remembers the address of the stop words, which each process has its own of."""
    made = [TfidfVectorizer(stop_words=["the"]).fit(["the one", "two the"]) for _ in range(2)]
    assert made[0]._stop_words_id != made[1]._stop_words_id
    data = [pickled(make_pipeline(vectorizer, LogisticRegression())) for vectorizer in made]
    assert data[0] == data[1]
    again = pickle.loads(data[0])[0]
    assert again.transform(["one the"]).toarray().tolist() == made[0].transform(["one the"]).toarray().tolist()


HELPER = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Logged(TransformerMixin, BaseEstimator):
    def fit(self, rows, outcomes=None):
        return self

    def transform(self, rows):
        return np.log1p(np.abs(rows))
"""


@pytest.mark.parametrize("module", ["own_helper", "own_package", "own_package.steps", "own_namespace.steps"])
def test_what_lies_beside_the_system_file_travels_with_the_model(tmp_path, rows, outcomes, module):
    file = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
    if module == "own_package":
        file = tmp_path / "own_package/__init__.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(HELPER)
    if module == "own_package.steps":
        (tmp_path / "own_package/__init__.py").touch()
    (tmp_path / "system.py").write_text(
        f"from sklearn.linear_model import LogisticRegression\nfrom sklearn.pipeline import make_pipeline\n"
        f"from {module} import Logged\nmodel = make_pipeline(Logged(), LogisticRegression())\n"
    )
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\nfrom modelwright.spec.load import import_file\n"
        "from modelwright.training.fit import pickled\n"
        "model = import_file('system.py').model.fit(np.arange(20.0).reshape(10, 2), np.arange(10) > 4)\n"
        "Path(sys.argv[1]).write_bytes(pickled(model))"
    )
    caching = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    stored = []
    for run in "ab":  # the second time from Python's cache
        subprocess.run([sys.executable, "-c", code, run], check=True, cwd=tmp_path, env=caching)
        stored.append((tmp_path / run).read_bytes())
    assert stored[0] == stored[1]
    assert cloudpickle.loads(stored[0]).predict(rows.numbers).shape == (80,)  # here nobody can import it
