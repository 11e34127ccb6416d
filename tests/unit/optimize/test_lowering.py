"""A compiled program gives the estimator's own answers: trees to the bit, the rest to rounding."""

import re
import warnings

import numpy as np
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import make_column_selector as select
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier, XGBRegressor

from modelwright.optimize.lowering.builder import Unsupported
from modelwright.optimize.lowering.pipeline import lowered
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.inputs import InputColumn, Rows, data_frame
from modelwright.release.runtime import estimator_output

N = 400
WORDS = tuple("abcdefg")
COLUMNS = (
    *(InputColumn(name=f"n{i}", kind="number") for i in range(4)),
    InputColumn(name="few", kind="number"),
    *(InputColumn(name=f"t{i}", kind="text", vocabulary=WORDS) for i in range(2)),
)
FEW = {"n_estimators": 12, "n_jobs": 1, "verbose": -1, "min_child_samples": 5}
XGB = {"n_estimators": 12, "max_depth": 4, "n_jobs": 1, "enable_categorical": True}
CAT = {"iterations": 12, "depth": 4, "verbose": False, "thread_count": 1, "allow_writing_files": False}


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(7)
    numbers = random.normal(size=(N, 5))
    numbers[:, 4] = random.integers(0, 4, N)
    numbers[random.random((N, 5)) < 0.08] = np.nan
    numbers[random.random((N, 5)) < 0.08] = 0.0
    texts = tuple(
        [None if random.random() < 0.05 else str(text) for text in random.choice(WORDS[:-1], N)] for _ in range(2)
    )
    return Rows(numbers, texts)


def outcome(rows, kind):
    value = np.nan_to_num(rows.numbers[:, 0]) + np.array([text == "a" for text in rows.texts[0]])
    value = value + np.random.default_rng(3).normal(size=N) * 0.3
    return {"two": value > 0.3, "three": np.digitize(value, [-0.4, 0.6]).astype(str), "amount": np.exp(value / 3)}[kind]


def numeric(*steps):
    return make_column_transformer(
        (make_pipeline(*steps), select(dtype_include="float")),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=30), select(dtype_include="category")),
    )


TREES = [
    ("two", LGBMClassifier(**FEW)),
    ("two", LGBMClassifier(**FEW, boosting_type="rf", bagging_freq=1, bagging_fraction=0.6)),
    ("two", LGBMClassifier(**FEW, zero_as_missing=True)),
    ("two", LGBMClassifier(**FEW, use_missing=False)),
    ("three", LGBMClassifier(**FEW)),
    ("amount", LGBMRegressor(**FEW)),
    ("amount", LGBMRegressor(**FEW, objective="poisson")),
    ("two", HistGradientBoostingClassifier(max_iter=10, random_state=0)),
    ("three", HistGradientBoostingClassifier(max_iter=5, random_state=0)),
    ("amount", HistGradientBoostingRegressor(max_iter=10, loss="poisson", random_state=0)),
    ("two", RandomForestClassifier(8, random_state=0)),
    ("three", RandomForestClassifier(8, random_state=0)),
    ("amount", RandomForestRegressor(8, random_state=0)),
    ("amount", ExtraTreesRegressor(8, random_state=0)),
    ("two", DecisionTreeClassifier(random_state=0)),
    ("two", GradientBoostingClassifier(n_estimators=8, random_state=0)),
    ("three", GradientBoostingClassifier(n_estimators=4, random_state=0)),
    ("amount", GradientBoostingRegressor(n_estimators=8, random_state=0)),
    ("two", XGBClassifier(**XGB)),
    ("amount", XGBRegressor(**XGB)),
    ("amount", XGBRegressor(**XGB, objective="count:poisson")),
    ("amount", XGBRegressor(**XGB, num_parallel_tree=3, tree_method="approx")),
    ("two", CatBoostClassifier(**CAT)),
    ("three", CatBoostClassifier(**CAT, grow_policy="Lossguide")),
    ("amount", CatBoostRegressor(**CAT)),
    ("amount", CatBoostRegressor(**CAT, loss_function="Poisson", grow_policy="Depthwise", nan_mode="Max")),
]
LINEAR = [
    ("two", LogisticRegression()),
    ("three", LogisticRegression()),
    ("amount", LinearRegression()),
    ("amount", Ridge()),
    ("amount", PoissonRegressor()),
]


def both(estimator, rows, kind, columns=COLUMNS, dense=True):
    frame = data_frame(rows, columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's own, of what the models are given here
        estimator.fit(frame, outcome(rows, kind))
    classes = tuple(getattr(estimator, "classes_", ()))
    said = estimator_output(estimator, frame, classes)
    compiled = CompiledRuntime(lowered(estimator, columns).to_bytes(), columns).run(rows)
    assert compiled.shape == said.shape
    assert np.ptp(said) > 0
    return said, compiled


@pytest.mark.parametrize(("kind", "model"), TREES, ids=lambda x: x if isinstance(x, str) else type(x).__name__)
def test_trees_behind_a_preparation_are_equal(rows, kind, model):
    preparation = make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), select(dtype_include="float")),
        (
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
            select(dtype_include="category"),
        ),
    )
    said, compiled = both(make_pipeline(preparation, model), rows, kind)
    # The last operation, the link of several classes or of a logarithm, is the library's own to the last bit or two.
    np.testing.assert_array_max_ulp(compiled, said, maxulp=8)
    if kind == "two":
        assert (compiled == said).all()


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("two", LGBMClassifier(**FEW, min_data_per_group=5, cat_smooth=1)),
        ("amount", LGBMRegressor(**FEW, min_data_per_group=5)),
        ("two", HistGradientBoostingClassifier(max_iter=10, categorical_features="from_dtype", random_state=0)),
        ("amount", HistGradientBoostingRegressor(max_iter=10, categorical_features="from_dtype", random_state=0)),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_native_categories_and_missing_values_are_equal(rows, kind, model):
    said, compiled = both(model, rows, kind)
    assert (compiled == said).all()
    # A word of the vocabulary that no row held.
    other = Rows(rows.numbers[:20], tuple(["g"] * 20 for _ in rows.texts))
    frame = data_frame(other, COLUMNS)
    wanted = estimator_output(model, frame, tuple(getattr(model, "classes_", ())))
    got = CompiledRuntime(lowered(model, COLUMNS).to_bytes(), COLUMNS).run(other)
    assert (got == wanted).all()


@pytest.mark.parametrize(
    "steps",
    [
        [SimpleImputer(), StandardScaler()],
        [SimpleImputer(strategy="median", add_indicator=True), RobustScaler()],
        [SimpleImputer(strategy="constant", fill_value=-1), MinMaxScaler(clip=True)],
        [SimpleImputer(strategy="most_frequent"), MaxAbsScaler(), SelectKBest(k=3)],
        [SimpleImputer(), KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf")],
        [SimpleImputer(), KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf")],
        [SimpleImputer(), FunctionTransformer(np.square), FunctionTransformer(np.log1p), FunctionTransformer()],
        [SimpleImputer(), FunctionTransformer(np.abs), FunctionTransformer(np.sqrt), FunctionTransformer(np.expm1)],
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps),
)
@pytest.mark.parametrize(("kind", "model"), LINEAR, ids=lambda x: x if isinstance(x, str) else type(x).__name__)
def test_preparation_before_a_linear_model_agrees(rows, steps, kind, model):
    said, compiled = both(make_pipeline(numeric(*steps), model), rows, kind)
    np.testing.assert_allclose(compiled, said, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=3, drop="first"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
        make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
        make_pipeline(SimpleImputer(strategy="constant", fill_value="a"), TargetEncoder(random_state=0)),
        TargetEncoder(random_state=0),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_texts_are_what_the_encoder_says(rows, encoder):
    preparation = make_column_transformer(
        (encoder, select(dtype_include="category")), remainder="passthrough", sparse_threshold=0
    )
    said, compiled = both(make_pipeline(preparation, LGBMClassifier(**FEW)), rows, "two")
    assert (compiled == said).all()


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=90),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_numbers_that_are_categories(rows, encoder):
    preparation = make_column_transformer((encoder, ["few"]), ("passthrough", ["n0", "n1"]), sparse_threshold=0)
    model = make_pipeline(preparation, LGBMClassifier(**FEW))
    said, compiled = both(model, rows, "two")
    assert (compiled == said).all()
    unknown = Rows(np.where(np.arange(5) == 4, 77.0, rows.numbers[:30]), tuple(column[:30] for column in rows.texts))
    wanted = estimator_output(model, data_frame(unknown, COLUMNS), (False, True))
    assert (CompiledRuntime(lowered(model, COLUMNS).to_bytes(), COLUMNS).run(unknown) == wanted).all()


def test_a_row_alone_is_the_row_in_a_batch(rows):
    model = make_pipeline(numeric(SimpleImputer(), StandardScaler()), LogisticRegression())
    model.fit(data_frame(rows, COLUMNS), outcome(rows, "two"))
    runtime = CompiledRuntime(lowered(model, COLUMNS).to_bytes(), COLUMNS)
    whole = runtime.run(rows)
    alone = np.vstack([runtime.run(rows.take(slice(i, i + 1))) for i in range(0, N, 7)])
    assert (alone == whole[::7]).all()


def test_a_number_that_the_encoder_refuses_gets_no_answer(rows):
    preparation = make_column_transformer((OneHotEncoder(), ["few"]), remainder="drop")
    model = make_pipeline(preparation, LGBMClassifier(**FEW))
    numbers = COLUMNS[:5]
    model.fit(data_frame(Rows(rows.numbers), numbers), outcome(rows, "two"))
    runtime = CompiledRuntime(lowered(model, numbers).to_bytes(), numbers)
    unknown = Rows(np.array([[0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0, 77.0]]))
    with pytest.raises(ValueError, match="unknown categories"):
        model.predict_proba(data_frame(unknown, numbers))
    assert np.isfinite(runtime.run(unknown)).tolist() == [[True, True], [False, False]]


class LogisticRegressionOfMine(LogisticRegression):
    """A user's own class may predict in another way."""


LogisticRegressionOfMine.__name__ = "LogisticRegression"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (KNeighborsClassifier(), "KNeighborsClassifier has no compiled form"),
        (LogisticRegressionOfMine(), "LogisticRegression has no compiled form"),
        (make_pipeline(FunctionTransformer(lambda x: x + 1), LogisticRegression()), "FunctionTransformer"),
    ],
)
def test_what_has_no_exact_form_says_so(rows, model, reason):
    numbers = COLUMNS[:4]
    given = Rows(np.nan_to_num(rows.numbers[:, :4]))
    model.fit(data_frame(given, numbers), outcome(rows, "two"))
    with pytest.raises(Unsupported, match=reason):
        lowered(model, numbers)


def test_texts_that_a_preparation_lets_through_reach_the_model(rows):
    preparation = make_column_transformer(
        (SimpleImputer(), ["n0"]), ("passthrough", ["t0"]), verbose_feature_names_out=False
    )
    preparation.set_output(transform="pandas")
    model = HistGradientBoostingClassifier(max_iter=4, categorical_features="from_dtype", random_state=0)
    said, compiled = both(make_pipeline(preparation, model), rows, "two")
    assert (compiled == said).all()


BOOSTERS = [
    ("two", XGBClassifier(**XGB)),
    ("codes", XGBClassifier(**XGB)),
    ("codes", XGBClassifier(**XGB, max_cat_to_onehot=1, max_leaves=7, grow_policy="lossguide")),
    ("amount", XGBRegressor(**XGB)),
    ("amount", XGBRegressor(**XGB, objective="reg:gamma")),
    ("two", CatBoostClassifier(**CAT)),
    ("amount", CatBoostRegressor(**CAT)),
    ("amount", CatBoostRegressor(**CAT, nan_mode="Max", grow_policy="Lossguide")),
]


@pytest.mark.parametrize(("kind", "model"), BOOSTERS, ids=lambda x: x if isinstance(x, str) else type(x).__name__)
def test_a_booster_is_equal_to_the_bit_on_both_sides_of_every_threshold(rows, kind, model):
    columns = COLUMNS if type(model).__name__.startswith("XGB") else COLUMNS[:5]
    given = rows if columns is COLUMNS else Rows(rows.numbers)
    learnt = outcome(rows, "three").astype(int) if kind == "codes" else outcome(rows, kind)
    model.fit(data_frame(given, columns), learnt)
    program = lowered(model, columns)
    asked = [given]
    for feature, threshold in zip(program.node_feature, program.node_threshold, strict=True):
        if feature < 5 and abs(threshold) < 1e30:
            edge = given.take(np.arange(4))
            single = np.float32(threshold)
            edge.numbers[:, feature] = [
                threshold, np.nextafter(threshold, np.inf), np.nextafter(single, np.float32(np.inf)), np.nan,
            ]  # fmt: skip
            asked.append(edge)
    if columns is COLUMNS:  # a word that no row held, and missing ones
        asked.append(Rows(rows.numbers[:20], tuple(["g", None] * 10 for _ in rows.texts)))
    block = Rows(
        np.concatenate([part.numbers for part in asked]),
        tuple([text for part in asked for text in part.texts[place]] for place in range(len(given.texts))),
    )
    said = estimator_output(model, data_frame(block, columns), tuple(getattr(model, "classes_", ())))
    compiled = CompiledRuntime(program.to_bytes(), columns).run(block)
    assert len(np.unique(said)) > 10
    assert (compiled.reshape(said.shape) == said).all()


@pytest.mark.parametrize("threshold", [0.0, 1.0], ids=["dense", "sparse"])
def test_xgboost_takes_what_a_sparse_preparation_leaves_out_for_missing(rows, threshold):
    preparation = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), select(dtype_include="category")),
        remainder="passthrough",
        sparse_threshold=threshold,
    )
    said, compiled = both(make_pipeline(preparation, XGBClassifier(**XGB)), rows, "two")
    assert (compiled == said).all()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (XGBClassifier(n_estimators=3, booster="gblinear"), "booster 'gblinear'"),
        (XGBClassifier(n_estimators=3, booster="dart"), "booster 'dart'"),
        (XGBClassifier(n_estimators=3, missing=-1.0), "missing=-1"),
        (XGBRegressor(n_estimators=3, objective="binary:hinge"), "objective 'binary:hinge'"),
        (CatBoostClassifier(**CAT, loss_function="MultiClassOneVsAll"), "loss function 'MultiClassOneVsAll'"),
        (CatBoostClassifier(**CAT, cat_features=["few"]), "CatBoost's own categories"),
    ],
)
def test_what_a_booster_does_otherwise_is_refused_with_the_reason(rows, model, reason):
    frame = data_frame(Rows(np.nan_to_num(rows.numbers)), COLUMNS[:5])
    if "cat_features" in model.get_params():
        frame["few"] = frame["few"].astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(frame, outcome(rows, "two").astype(int))
    with pytest.raises(Unsupported, match=re.escape(reason)):
        lowered(model, COLUMNS[:5])
