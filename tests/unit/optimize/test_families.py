"""Every family of models in a real system: trained, published, served over HTTP, and the answers are the estimator's."""

import asyncio
import csv
import json
from contextlib import closing
from datetime import datetime, timedelta
from functools import cache

import numpy as np
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVC
from xgboost import XGBClassifier, XGBRegressor

import modelwright as mw
from modelwright.app.commands.ingest import into_log, source_paths
from modelwright.app.wiring import open_log, workspace_of
from modelwright.control.candidate import train_candidate
from modelwright.control.material import read_material
from modelwright.core.clock import SystemClock
from modelwright.release.folder import open_release
from modelwright.release.inputs import data_frame
from modelwright.release.runtime import estimator_output
from modelwright.serving.http import HttpApp
from modelwright.serving.stateless import StatelessPlane
from modelwright.spec.metric import METRICS
from modelwright.training.examples import split_by_time
from modelwright.training.fit import fit

SYSTEM = '''\
"""What becomes of an offer?"""

from datetime import datetime

from lightgbm import LGBMClassifier

import modelwright as mw
from modelwright import source


@mw.event(id="offer", time="at")
class Offer:
    """An offer, as it is made."""

    offer: str
    at: datetime
    price: float
    weight: float
    colour: str


system = mw.System(
    name="offers",
    event=Offer,
    source=source.files("offers.csv"),
    label=mw.Label("outcome", {kind}, delay="1h"),
    model=LGBMClassifier(),
)
'''
ROWS = 400


@pytest.fixture(scope="module")
def offers(tmp_path_factory):
    """By kind of label: a system, and the material of its whole history."""

    @cache
    def of(kind):
        folder = tmp_path_factory.mktemp(kind)
        (folder / "system.py").write_text(SYSTEM.format(kind=kind))
        random = np.random.default_rng(9)
        with (folder / "offers.csv").open("w", newline="") as out:
            write = csv.writer(out)
            write.writerow(["offer", "at", "price", "weight", "colour", "outcome"])
            for number in range(ROWS):
                price, weight = random.normal(100, 25), random.normal(3, 1)
                colour = str(random.choice(["red", "green", "blue"]))
                score = (price - 100) / 25 + (colour == "red") - (weight - 3) ** 2 + random.normal() * 0.3
                outcome = {"bool": score > 0, "str": ["low", "mid", "high"][int(np.digitize(score, [-1, 0.5]))]}
                at = datetime(2024, 1, 1) + timedelta(hours=number)
                write.writerow([f"o{number}", at.isoformat(), price, weight, colour, outcome.get(kind, score)])
        system = mw.load(folder / "system.py")
        workspace = workspace_of(system)
        with closing(open_log(system, workspace)) as log:
            into_log(system, log, source_paths(system))
            return system, read_material(log, system), workspace.releases

    return of


def prepared(model, scaler=StandardScaler):
    colours = (
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        make_column_selector(dtype_include="category"),
    )
    numbers = (scaler(), make_column_selector(dtype_include="number"))
    return make_pipeline(make_column_transformer(numbers, colours), model)


CAT = {"iterations": 10, "depth": 3, "verbose": False, "thread_count": 1, "allow_writing_files": False}
LGBM = {"n_estimators": 5, "verbose": -1, "n_jobs": 1}
XGB = {"n_estimators": 10, "max_depth": 3, "n_jobs": 1, "enable_categorical": True}
TWO = [("a", LogisticRegression()), ("b", RandomForestClassifier(4))]
EXACT, ROUNDED = "compiled + onnx float64", "compiled + onnx float32"
FAMILIES = [
    ("bool", XGBClassifier(**XGB), "compiled"),
    ("str", XGBClassifier(**XGB), "compiled"),
    ("float", prepared(XGBRegressor(**XGB)), "compiled"),
    ("bool", prepared(CatBoostClassifier(**CAT)), "compiled"),
    ("str", prepared(CatBoostClassifier(**CAT)), "compiled"),
    ("float", prepared(CatBoostRegressor(**CAT)), "compiled"),
    ("bool", CatBoostClassifier(**CAT, cat_features=["colour"]), "native"),
    ("str", prepared(LGBMClassifier(**LGBM)), "compiled"),
    ("float", LGBMRegressor(**LGBM), "compiled"),
    ("bool", prepared(LinearSVC()), "compiled"),
    ("str", prepared(LinearSVC()), "compiled"),
    ("bool", prepared(RidgeClassifier()), "compiled"),
    ("bool", prepared(SGDClassifier(loss="log_loss")), "compiled"),
    ("str", prepared(SGDClassifier(loss="log_loss")), EXACT),
    ("str", prepared(SGDClassifier()), "compiled"),
    ("str", prepared(LinearDiscriminantAnalysis()), "compiled"),
    ("float", prepared(LinearSVR()), "compiled"),
    ("bool", prepared(SVC()), EXACT),
    ("str", prepared(SVC(kernel="poly")), EXACT),
    ("str", prepared(SVC(kernel="sigmoid")), EXACT),
    ("str", prepared(NuSVC(nu=0.2, kernel="linear")), EXACT),
    ("float", prepared(SVR()), EXACT),
    ("bool", prepared(KNeighborsClassifier()), EXACT),
    ("float", prepared(KNeighborsRegressor()), EXACT),
    ("str", prepared(GaussianNB()), EXACT),
    ("bool", prepared(BernoulliNB()), EXACT),
    ("str", prepared(MultinomialNB(), MinMaxScaler), "compiled"),
    ("str", prepared(MLPClassifier((8,), max_iter=20)), EXACT),
    ("float", prepared(MLPRegressor(hidden_layer_sizes=(8,), max_iter=20)), EXACT),
    ("bool", prepared(CalibratedClassifierCV(LinearSVC())), EXACT),
    ("str", prepared(VotingClassifier(TWO, voting="soft")), ROUNDED),
    ("float", prepared(VotingRegressor([("a", LinearRegression()), ("b", KNeighborsRegressor())])), EXACT),
    ("bool", prepared(StackingClassifier(TWO, cv=2)), EXACT),
    ("str", prepared(BaggingClassifier(n_estimators=3)), ROUNDED),
    ("float", prepared(AdaBoostRegressor(n_estimators=3)), ROUNDED),
    ("str", prepared(NearestCentroid()), "native"),
]


def name_of(value):
    return (
        type(value.steps[-1][1] if hasattr(value, "steps") else value).__name__ if not isinstance(value, str) else value
    )


@pytest.mark.filterwarnings("ignore")  # scikit-learn's own, of so short a training
@pytest.mark.parametrize(("kind", "model", "form"), FAMILIES, ids=name_of)
def test_what_is_served_is_what_the_estimator_says(offers, monkeypatch, kind, model, form):
    system, material, releases = offers(kind)
    monkeypatch.setattr(system, "models", (model,))
    now_us = int(material.examples.known_us[-1])
    candidate = train_candidate(system, material, now_us, 1, releases)
    release = open_release(releases / candidate.name)
    manifest = release.manifest
    served = next(figures for figures in manifest.forms if figures.equivalence.accepted)
    assert served.name == form, {figures.name: figures.equivalence for figures in manifest.forms}
    assert bool(manifest.requires) == (form == "native")

    split = split_by_time(material.examples, now_us, system.validation_us)
    rows = material.examples.rows
    estimator = fit(model, system.seed, rows.take(split.train), manifest.inputs, split.train_outcomes, system.label)
    asked = rows.take(split.held_back)
    said = estimator_output(estimator, data_frame(asked, manifest.inputs), manifest.classes)
    answers = over_http(release, asked)
    if manifest.classes:
        names = [{False: "false", True: "true"}.get(value, value) for value in manifest.classes]
        given = np.array([[answer["probabilities"][name] for name in names] for answer in answers])
        labels = [answer["prediction"] for answer in answers]
        assert labels == [manifest.classes[place] for place in said.argmax(axis=1)]
        assert len(set(labels)) > 1
    else:
        given = np.array([answer["prediction"] for answer in answers])
        assert np.ptp(given) > 0
    exact = form in ("compiled", "native", EXACT)
    np.testing.assert_allclose(given, said.reshape(given.shape), rtol=0, atol=1e-7 if exact else 1e-5)
    if form == "native" or (form == "compiled" and "Classifier" not in name_of(model) and kind == "bool"):
        assert (given == said.reshape(given.shape)).all()


@pytest.mark.filterwarnings("ignore")
def test_a_systems_bounds_choose_the_form_and_stand_on_its_card(offers, monkeypatch):
    system, material, releases = offers("bool")
    monkeypatch.setattr(system, "models", (prepared(SVC()),))
    monkeypatch.setattr(system, "metric", METRICS["accuracy"])
    now_us = int(material.examples.known_us[-1])
    forms = []
    for bounds in (None, mw.optimize.within(flips=0.02, drop=0.01)):
        monkeypatch.setattr(system, "optimize", bounds)
        candidate = train_candidate(system, material, now_us, 1, releases)
        forms.append(next(figures.name for figures in candidate.manifest.forms if figures.equivalence.accepted))
        of = candidate.manifest.equivalence
        assert (of.drop is None) == (bounds is None)
        assert "| compiled + onnx float64 |" in (releases / candidate.name / "card.md").read_text()
    assert forms == [EXACT, ROUNDED]


def over_http(release, rows):
    """What `POST /predict` answers for the rows."""
    bodies = [
        {"offer": f"q{place}", "at": "2024-03-01T00:00:00Z", "price": price, "weight": weight, "colour": colour}
        for place, ((price, weight), colour) in enumerate(zip(rows.numbers.tolist(), rows.texts[0], strict=True))
    ]
    sent = []

    async def receive():
        return {"type": "http.request", "body": json.dumps(bodies).encode(), "more_body": False}

    async def answer(message):
        sent.append(message)

    app = HttpApp(StatelessPlane(release, SystemClock()), "offers")
    asyncio.run(app({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, answer))
    assert sent[0]["status"] == 200, sent[1]["body"]
    return json.loads(sent[1]["body"])
