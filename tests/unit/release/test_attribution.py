"""Contributions: the sum is the model's own margin, and each is the Shapley value by its definition."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelwright.core.errors import ReleaseError
from modelwright.optimize.lowering.pipeline import lowered
from modelwright.registry.publish import publish
from modelwright.release import background
from modelwright.release.attribution import Attributor
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.compiled.shapley import contributions
from modelwright.release.folder import ARTEFACT
from modelwright.release.inputs import InputColumn, Rows, data_frame
from modelwright.release.manifest import Manifest, References, encode_pretty
from modelwright.spec.contract import Contract, Field
from modelwright.spec.label import LabelSpec
from modelwright.training.fit import pickled

COLUMNS = (
    InputColumn(name="a", kind="number"),
    InputColumn(name="t", kind="text", vocabulary=("DE", "FR", "IT")),
    InputColumn(name="b", kind="number"),
    InputColumn(name="c", kind="number"),
)
CONTRACT = Contract(name="Pay", fields=(Field(name="at", kind="time", column="at"),), time="at")


def made(rows=400, seed=5, gaps=True):
    random = np.random.default_rng(seed)
    block = np.column_stack([random.normal(size=rows), random.integers(-2, 3, rows), random.lognormal(size=rows)])
    if gaps:
        block[random.random(block.shape) < 0.1] = np.nan
    texts = [str(text) if text else None for text in random.choice(["", "DE", "FR", "IT"], rows)]
    known = np.nan_to_num(block)
    score = known[:, 0] * (known[:, 1] + 1) + known[:, 2] + np.array([text == "FR" for text in texts]) * 2.0
    return Rows(block, (texts,)), score + random.normal(size=rows) / 3


def prepared(model, *, whole=False):
    """The model behind a preparation that makes several columns of one."""
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()) if whole else "passthrough"
    return make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
            (numbers, make_column_selector(dtype_include="number")),
        ),
        model,
    )


MODELS = {
    "LightGBM": (prepared(LGBMClassifier(n_estimators=20, verbose=-1)), "bool"),
    "LightGBM, native categories": (LGBMClassifier(n_estimators=20, min_child_samples=5, verbose=-1), "bool"),
    "LightGBM, three classes": (prepared(LGBMClassifier(n_estimators=8, verbose=-1)), "str"),
    "LightGBM, amounts": (prepared(LGBMRegressor(n_estimators=20, verbose=-1)), "float"),
    "gradient boosting": (prepared(GradientBoostingClassifier(n_estimators=20, random_state=0), whole=True), "bool"),
    "histogram boosting": (prepared(HistGradientBoostingRegressor(max_iter=20, random_state=0)), "float"),
    "forest": (prepared(RandomForestClassifier(n_estimators=10, random_state=0), whole=True), "bool"),
    "forest, amounts": (prepared(RandomForestRegressor(n_estimators=10, random_state=0), whole=True), "float"),
    "extra trees, three classes": (prepared(ExtraTreesClassifier(n_estimators=10, random_state=0), whole=True), "str"),
    "logistic regression": (prepared(LogisticRegression(max_iter=500), whole=True), "bool"),
    "logistic regression, three classes": (prepared(LogisticRegression(max_iter=500), whole=True), "str"),
    "ridge": (prepared(Ridge(), whole=True), "float"),
    "Poisson": (prepared(PoissonRegressor(), whole=True), "float"),
}


def outcomes(score, kind):
    if kind == "bool":
        return score > 1
    if kind == "str":
        return np.digitize(score, [0.0, 1.5]).astype(str)
    return np.exp(score / 4)


def fitted(name, model, kind):
    rows, score = made()
    return model.fit(data_frame(rows, COLUMNS), outcomes(score, kind)), rows


def raw_values(estimator, rows, kind):
    """What the libraries say before their link, [n, targets], by their own means."""
    frame = data_frame(rows, COLUMNS)
    model = estimator[-1] if hasattr(estimator, "steps") else estimator
    if type(model).__name__.startswith("LGBM"):
        return np.asarray(estimator.predict(frame, raw_score=True)).reshape(len(rows), -1)
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(frame)).reshape(len(rows), -1)
    if kind == "float":
        said = estimator.predict(frame).reshape(-1, 1)
        return np.log(said) if type(model).__name__ == "PoissonRegressor" else said
    return estimator.predict_proba(frame)


def by_definition(value, row, others):
    """Shapley values of a function of rows: every set of columns, none left out."""
    places = {"a": 0, "b": 1, "c": 2}
    count = len(COLUMNS)

    def worth(chosen):
        numbers = others.numbers.copy()
        for name, place in places.items():
            if [column.name for column in COLUMNS].index(name) in chosen:
                numbers[:, place] = row.numbers[0, place]
        texts = list(row.texts[0]) * len(others) if 1 in chosen else list(others.texts[0])
        return value(Rows(numbers, (texts,))).mean()

    worths = {
        chosen: worth(chosen) for size in range(count + 1) for chosen in itertools.combinations(range(count), size)
    }
    result = np.zeros(count)
    for column in range(count):
        for chosen in worths:
            if column not in chosen:
                share = math.factorial(len(chosen)) * math.factorial(count - len(chosen) - 1) / math.factorial(count)
                result[column] += share * (worths[tuple(sorted((*chosen, column)))] - worths[chosen])
    return worths[()], result


@pytest.mark.parametrize("name", MODELS)
def test_contributions_are_shapley_values_and_add_up_to_the_margin(name):
    estimator, rows = fitted(name, *MODELS[name])
    kind = MODELS[name][1]
    program = lowered(estimator, COLUMNS)
    others = rows.take(slice(0, 12))
    targets = raw_values(estimator, rows.take(slice(0, 1)), kind).shape[1]
    for place, target in itertools.product((20, 57, 301), range(targets)):
        row = rows.take(slice(place, place + 1))
        base, each = contributions(program, COLUMNS, row, others, target)
        raw = raw_values(estimator, row, kind)[0, target]
        assert base + each.sum() == pytest.approx(raw, rel=1e-6, abs=1e-6)
        expected = by_definition(lambda some, t=target: raw_values(estimator, some, kind)[:, t], row, others)
        assert base == pytest.approx(expected[0], rel=1e-6, abs=1e-6)
        assert each == pytest.approx(expected[1], rel=1e-5, abs=1e-6)
        assert np.abs(each).max() > 1e-4


@pytest.mark.parametrize("model", [Ridge(), LGBMRegressor(n_estimators=15, min_child_samples=5, verbose=-1)])
def test_a_free_text_has_one_contribution_of_all_its_terms(model):
    columns = (COLUMNS[0], InputColumn(name="body", kind="text"))
    random = np.random.default_rng(4)
    rows = Rows(random.normal(size=(200, 1)), ([" ".join(random.choice(list("abcdef"), 4)) for _ in range(200)],))
    score = rows.numbers[:, 0] + np.array([text.count("a") - text.count("f") for text in rows.texts[0]])
    vectorizers = make_union(CountVectorizer(analyzer="char"), TfidfVectorizer(token_pattern=r"\w"))
    parts = make_column_transformer((vectorizers, "body"), remainder="passthrough")
    estimator = make_pipeline(parts, model).fit(data_frame(rows, columns), score)
    row, others = rows.take(slice(7, 8)), rows.take(slice(20, 40))

    def worth(number, text):
        mixed = Rows(
            row.numbers.repeat(20, 0) if number else others.numbers, (row.texts[0] * 20 if text else others.texts[0],)
        )
        return estimator.predict(data_frame(mixed, columns)).mean()

    base, each = contributions(lowered(estimator, columns), columns, row, others, 0)
    alone = [worth(True, False) - worth(False, False), worth(False, True) - worth(False, False)]
    last = [worth(True, True) - worth(False, True), worth(True, True) - worth(True, False)]
    assert base == pytest.approx(worth(False, False))
    assert each == pytest.approx(np.add(alone, last) / 2, abs=1e-9)
    assert np.abs(each).min() > 1e-3


def test_trees_agree_with_shap():
    shap = pytest.importorskip("shap")
    random = np.random.default_rng(0)
    block = random.normal(size=(500, 5)).astype(np.float32).astype(np.float64)  # what shap computes in
    columns = tuple(InputColumn(name=f"x{place}", kind="number") for place in range(5))
    rows = Rows(block)
    model = LGBMClassifier(n_estimators=30, verbose=-1).fit(data_frame(rows, columns), block[:, 0] * block[:, 1] > 0)
    base, each = contributions(lowered(model, columns), columns, rows.take(slice(9, 10)), rows.take(slice(0, 50)), 0)
    theirs = shap.TreeExplainer(model, data=block[:50], feature_perturbation="interventional", model_output="raw")
    assert each == pytest.approx(np.ravel(theirs.shap_values(block[9:10])), abs=1e-6)
    assert base == pytest.approx(theirs.expected_value, abs=1e-6)


def published(folder, estimator, rows, kind, runtime):
    classes = {"bool": (False, True), "str": ("0", "1", "2"), "float": ()}[kind]
    data = lowered(estimator, COLUMNS).to_bytes() if runtime == "compiled" else pickled(estimator)
    manifest = Manifest(
        system="pay", kind="model", runtime=runtime, metric="accuracy" if classes else "mae", classes=classes,
        label=LabelSpec(name="fraud", kind=kind, delay_us=1), inputs=COLUMNS,
    )  # fmt: skip
    files = {
        ARTEFACT[runtime]: data,
        background.FILE: background.encoded(background.background_of(rows)),
        "contract.json": encode_pretty(CONTRACT),
        "reference.json": encode_pretty(References(())),
    }
    name, _ = publish(folder, 1, manifest, files, {})
    return folder / name


@pytest.mark.parametrize(
    ("name", "unit", "method"),
    [
        ("LightGBM", "log-odds", "trees"), ("LightGBM, three classes", "score before softmax", "trees"),
        ("forest", "probability", "trees"), ("histogram boosting", "amount", "trees"),
        ("logistic regression", "log-odds", "linear"), ("Poisson", "logarithm of the amount", "linear"),
    ],
)  # fmt: skip
def test_a_release_says_its_unit_and_its_output_is_its_answer(tmp_path, name, unit, method):
    estimator, rows = fitted(name, *MODELS[name])
    attributor = Attributor(published(tmp_path, estimator, rows, MODELS[name][1], "compiled"))
    row = rows.take(slice(33, 34))
    found, said = attributor.explain(row), attributor.release.predict(row)
    assert (found.unit, found.method, found.errors) == (unit, method, None)
    assert found.base + sum(found.contributions) == pytest.approx(found.output, abs=1e-9)
    if unit == "log-odds":
        assert 1 / (1 + math.exp(-found.output)) == pytest.approx(said.score[0], abs=1e-9)
    elif unit == "probability":
        assert found.output == pytest.approx(said.score[0], abs=1e-9)
    elif unit == "score before softmax":
        assert found.of == said.value[0]
    else:
        assert (math.exp(found.output) if "log" in unit else found.output) == pytest.approx(said.value[0])


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_any_other_model_by_permutations(tmp_path, kind):
    """The standard errors cover what the definition gives, and the sum is exact."""
    model = prepared(RandomForestClassifier(20, random_state=0) if kind == "bool" else Ridge(), whole=True)
    estimator, rows = fitted("", model, kind)
    attributor = Attributor(published(tmp_path, estimator, rows, kind, "native"))
    row, others = rows.take(slice(33, 34)), background.background_of(rows)
    found = attributor.explain(row)
    assert (found.method, found.unit) == ("permutations", "probability" if kind == "bool" else "amount")
    assert found.base + sum(found.contributions) == pytest.approx(found.output, abs=1e-9)
    release = attributor.release
    value = (lambda some: release.predict(some).score) if kind == "bool" else lambda some: release.predict(some).value
    assert found.output == pytest.approx(value(row)[0])
    base, expected = by_definition(value, row, others)
    assert found.base == pytest.approx(base)
    assert np.all(np.abs(np.array(found.contributions) - expected) <= 4 * np.array(found.errors) + 1e-9)
    assert found == attributor.explain(row)


def test_a_release_without_background_says_so(tmp_path):
    estimator, rows = fitted("ridge", *MODELS["ridge"])
    folder = published(tmp_path, estimator, rows, "float", "compiled")
    manifest = Manifest(
        system="pay", kind="model", runtime="compiled", metric="mae", inputs=COLUMNS,
        label=LabelSpec(name="fraud", kind="float", delay_us=1),
    )  # fmt: skip
    files = {name: (folder / name).read_bytes() for name in ("model.npz", "contract.json", "reference.json")}
    name, _ = publish(tmp_path, 2, manifest, files, {})
    with pytest.raises(ReleaseError, match="train again"):
        Attributor(tmp_path / name)


def test_the_background_is_the_same_after_writing(tmp_path: Path):
    rows, _ = made(250)
    chosen = background.background_of(rows)
    again = background.decoded(background.encoded(chosen))
    assert len(again) == background.ROWS
    np.testing.assert_array_equal(again.numbers, chosen.numbers)
    assert list(again.texts[0]) == list(chosen.texts[0])
    assert len(background.background_of(rows.take(slice(0, 7)))) == 7


def test_programs_of_the_tests_are_those_that_serve():
    """The oracle's raw values are the program's, so that agreeing with them says something."""
    estimator, rows = fitted("LightGBM", *MODELS["LightGBM"])
    program = lowered(estimator, COLUMNS)
    served = CompiledRuntime(program.to_bytes(), COLUMNS).run(rows)[:, 1]
    assert served == pytest.approx(1 / (1 + np.exp(-raw_values(estimator, rows, "bool")[:, 0])))
