"""A candidate is judged as the artefact that would be served, and a failed one leaves nothing behind."""

import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

import modelwright as mw
from modelwright.app.commands.ingest import into_log, source_paths
from modelwright.app.wiring import open_log, workspace_of
from modelwright.control.candidate import describe_model, load_release, train_baseline, train_candidate
from modelwright.control.material import read_material
from modelwright.core.errors import ReleaseError, TrainingError
from modelwright.gates.trial import HeldBackTrial
from modelwright.training.examples import split_by_time
from modelwright.training.fit import fit

MODEL = {"sales": "LGBMRegressor(n_estimators=20, num_leaves=7, n_jobs=1, verbose=-1)"}
HOMEMADE = """
class Homemade:
    def fit(self, frame, target):
        {fit}
        return self

    def predict(self, frame):
        return {predict}


system = mw.System("""


def homemade(fit="pass", predict="np.zeros(len(frame))"):
    """Words of the file that give it a model of its own."""
    return {"system = mw.System(": HOMEMADE.format(fit=fit, predict=predict), MODEL["sales"]: "Homemade()"}


@pytest.fixture
def prepared(declare):
    """A system and the material of its whole history, the time it ends, and where releases go."""

    def prepare(name, replace=None):
        system = mw.load(declare(name, replace))
        workspace = workspace_of(system)
        with closing(open_log(system, workspace)) as log:
            into_log(system, log, source_paths(system))
            material = read_material(log, system)
        return system, material, int(material.examples.known_us[-1]), workspace.releases

    return prepare


@pytest.mark.parametrize("name", ["disputes", "sales", "tickets"])
def test_the_figures_are_those_of_the_folder_that_would_be_served(prepared, name):
    system, material, now_us, releases = prepared(name)
    candidate = train_candidate(system, material, now_us, 1, releases)
    release = load_release(releases, candidate.name)
    assert release.manifest == candidate.manifest
    assert release.manifest.runtime == "compiled"
    split = split_by_time(material.examples, now_us, system.validation_us)
    said = release.predict(material.rows_for(release.manifest).take(split.held_back))
    metric = system.metric.name
    figure = HeldBackTrial(split.held_back_outcomes, {"candidate": said}).metric(metric)
    assert release.manifest.metrics[metric] == figure
    assert release.manifest.loss.rows == len(split.held_back)
    assert release.manifest.rows == len(split.train)
    assert release.manifest.trained_until_us < split.at_us
    assert candidate.passed
    assert (releases / candidate.name / "card.md").read_text().count(f"| {metric} | {figure:.4f} |") == 1


def test_of_several_models_and_pasts_the_best_is_fitted_and_all_are_told(prepared):
    several = {
        **homemade(),
        MODEL["sales"]: f"[Homemade(), {MODEL['sales']}], train_on=[mw.past.all(), mw.past.last('30d')]",
    }
    system, material, now_us, releases = prepared("sales", several)
    candidate = train_candidate(system, material, now_us, 1, releases)
    tried = candidate.manifest.chosen_from
    assert [(one.model, one.past) for one in tried][:2] == [
        ("<Homemade object>", "all history"),
        ("<Homemade object>", "the last 30d"),
    ]
    best = min(tried, key=lambda one: one.value)
    assert (candidate.manifest.model, candidate.manifest.trained_on) == (best.model, best.past)
    assert "Homemade" not in best.model
    assert candidate.evidence()["trained_on"] == best.past
    card = (releases / candidate.name / "card.md").read_text()
    assert f"| {best.past} | {best.value:.4f} | {best.folds} |" in card
    assert f"- learnt from {best.past}" in card
    again = train_candidate(system, material, now_us, 1, releases)
    assert again.name == candidate.name


def test_a_training_learns_from_what_followed_a_change_and_says_so(prepared):
    since = {MODEL["sales"]: f"{MODEL['sales']}, train_on=mw.past.since_change()"}
    system, material, now_us, releases = prepared("sales", since)
    change_us = int(material.examples.at_us[500])
    manifest = train_candidate(system, material, now_us, 1, releases, change_us=change_us).manifest
    assert manifest.trained_on == "since the change at 2024-03-07T22:00, where enough rows follow"
    assert manifest.trained_from_us >= change_us
    all_of_it = train_candidate(system, material, now_us, 2, releases).manifest
    assert all_of_it.trained_on == "all history"
    assert all_of_it.declaration == manifest.declaration


TUNED = "mw.tune(LGBMRegressor(n_estimators=20, n_jobs=1, verbose=-1), SPACE, trials=6)"
SPACE = "{'num_leaves': mw.space.integer(2, 31, log=True), 'learning_rate': mw.space.real(.01, .5, log=True)}"


@pytest.fixture
def tuned(prepared):
    pytest.importorskip("optuna", reason="pip install 'modelwright[tune]'")
    return prepared("sales", {MODEL["sales"]: TUNED.replace("SPACE", SPACE)})


def test_a_tuned_model_is_fitted_with_what_was_found_and_the_trials_are_told(tuned):
    system, material, now_us, releases = tuned
    candidate = train_candidate(system, material, now_us, 1, releases)
    (tried,) = candidate.evidence()["chosen_from"]
    assert len(tried["trials"]) == 7
    assert tried["value"] == min(tried["trials"]) < tried["trials"][0]
    assert f"learning_rate={tried['parameters']['learning_rate']}" in candidate.manifest.model
    assert "7 of 7 trials judged" in (releases / candidate.name / "card.md").read_text()
    assert not (releases.parent / "studies").exists()
    assert train_candidate(system, material, now_us, 1, releases).name == candidate.name


def test_a_tuning_that_was_killed_goes_on_where_it_was(tuned, monkeypatch):
    system, material, now_us, releases = tuned
    name = train_candidate(system, material, now_us, 1, releases).name
    fits = []

    def counted(*given):
        fits.append(given)
        if len(fits) == 11:  # the fourth trial's second fold
            raise KeyboardInterrupt
        return fit(*given)

    monkeypatch.setattr("modelwright.control.candidate.fit", counted)
    with pytest.raises(KeyboardInterrupt):
        train_candidate(system, material, now_us, 1, releases)
    assert train_candidate(system, material, now_us, 1, releases).name == name
    assert len(fits) == 11 + 4 * 3 + 1


def test_the_vocabulary_is_the_training_rows(prepared):
    system, material, now_us, releases = prepared("tickets")
    manifest = train_candidate(system, material, now_us, 1, releases).manifest
    assert {column.name: column.vocabulary for column in manifest.inputs}["topic"] == ("bill", "login", "slow")
    assert manifest.classes == ("access", "finance", "network", "security")
    early = train_candidate(system, material, int(material.examples.at_us[300]), 2, releases).manifest
    assert early.classes == ("access", "finance", "network")


@pytest.mark.parametrize("name", ["disputes", "sales", "tickets"])
def test_the_baseline_is_a_release_like_any(prepared, name):
    system, material, now_us, releases = prepared(name)
    baseline = train_baseline(system, material, now_us, 0, releases)
    release = load_release(releases, baseline.name)
    assert baseline.name.startswith("r0-")
    assert release.manifest.kind == "baseline"
    said = release.predict(material.rows_for(release.manifest))
    assert len(said.value) == len(material.examples)
    assert np.unique(said.value.astype(str)).size >= 1
    assert release.manifest.metrics[system.metric.name] is not None


def test_the_last_outcome_is_the_baseline_where_it_does_better(prepared):
    system, material, now_us, releases = prepared("sales", {"+ 2 * visitors": "+ 0 * visitors"})
    assert train_baseline(system, material, now_us, 0, releases).manifest.runtime == "last_outcome"
    release = load_release(releases, next(releases.iterdir()).name)
    rows = material.rows_for(release.manifest)
    known = ~np.isnan(rows.numbers[:, 0])
    assert np.array_equal(release.predict(rows).value[known], rows.numbers[known, 0])


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        (homemade(fit="raise ValueError('cannot')"), r"Homemade\.fit failed on \d+ rows: ValueError: cannot"),
        (homemade(predict="np.full(len(frame), np.nan)"), r"Homemade predicts NaN or infinity for \d+ of \d+ rows"),
        (homemade(predict="np.zeros(3)"), r"Homemade answers \d+ rows with an array of shape \(3,\); \(\d+,\) was"),
        (homemade(predict="np.zeros((len(frame), 2))"), r"array of shape \(\d+, 2\); \(\d+,\) was expected"),
        (homemade(predict="['a'] * len(frame)"), r"Homemade failed to predict \d+ rows: ValueError: could not convert"),
        (homemade(predict="1 / 0"), r"Homemade failed to predict \d+ rows: ZeroDivisionError: division by zero"),
        (homemade(fit="self.lock = __import__('threading').Lock()"), "Homemade cannot be stored: TypeError: "),
    ],
)
def test_a_failing_model_is_one_clear_line_and_leaves_nothing(prepared, replace, message):
    system, material, now_us, releases = prepared("sales", replace)
    with pytest.raises(TrainingError, match=message) as failed:
        train_candidate(system, material, now_us, 1, releases)
    assert "\n" not in str(failed.value)
    assert not releases.exists() or not list(releases.iterdir())


def test_a_model_of_ones_own_is_served_natively_from_another_process(prepared, tmp_path):
    system, material, now_us, releases = prepared(
        "sales", homemade("self.level = float(np.median(target))", "np.full(len(frame), self.level)")
    )
    candidate = train_candidate(system, material, now_us, 1, releases)
    assert candidate.manifest.runtime == "native"
    assert set(candidate.manifest.requires) == {"cloudpickle", "pandas"}
    code = f"""
import numpy as np
from pathlib import Path
from modelwright.release.folder import open_release
from modelwright.release.inputs import Rows
release = open_release(Path({str(releases / candidate.name)!r}))
number = sum(column.kind == "number" for column in release.manifest.inputs)
texts = len(release.manifest.inputs) - number
print(release.predict(Rows(np.zeros((2, number)), tuple([[None] * 2] * texts))).value.tolist())
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    level = float(np.median(split_by_time(material.examples, now_us, system.validation_us).train_outcomes))
    assert said.stdout.strip() == str([level, level])


def test_a_gate_that_fails_still_publishes_what_was_judged(prepared):
    system, material, now_us, releases = prepared(
        "sales", {'gate.better_than("baseline")': 'gate.metric("mae", at_most=0.001), gate.better_than("champion")'}
    )
    candidate = train_candidate(system, material, now_us, 1, releases)
    assert [verdict.passed for verdict in candidate.verdicts] == [False, True]
    assert not candidate.passed
    assert load_release(releases, candidate.name)


def test_better_than_the_champion_is_judged_on_the_same_rows(prepared):
    system, material, now_us, releases = prepared(
        "sales", {'gate.better_than("baseline")': 'gate.better_than("champion")'}
    )
    champion = load_release(releases, train_candidate(system, material, now_us, 1, releases).name)
    again = train_candidate(system, material, now_us, 2, releases, champion)
    (verdict,) = again.verdicts
    assert verdict.value == verdict.threshold
    assert not verdict.passed


def test_a_champion_of_another_declaration_is_no_rival_and_no_obstacle(prepared):
    replace = {'gate.better_than("baseline")': 'gate.better_than("champion")'}
    system, material, now_us, releases = prepared("sales", replace)
    champion = load_release(releases, train_candidate(system, material, now_us, 1, releases).name)
    system.inputs = system.inputs[:-1]
    with closing(open_log(system, workspace_of(system))) as log:
        other = read_material(log, system)
    with pytest.raises(ReleaseError, match="its inputs differ"):
        other.rows_for(champion.manifest)
    candidate = train_candidate(system, other, now_us, 2, releases, champion)
    assert candidate.passed
    assert len(candidate.manifest.inputs) == len(champion.manifest.inputs) - 1


def test_one_class_in_the_tail_leaves_the_metric_undefined_and_the_gate_not_passed(prepared):
    system, material, now_us, releases = prepared("disputes", {'metric="accuracy"': 'metric="roc_auc"'})
    split = split_by_time(material.examples, now_us, system.validation_us)
    held_back = set(split.held_back.tolist())
    for place, of in enumerate(material.examples.outcome_of):
        if int(of) in held_back:
            material.examples.outcome[place] = True
    candidate = train_candidate(system, material, now_us, 1, releases)
    assert candidate.manifest.metrics["roc_auc"] is None
    better = candidate.verdicts[1]
    assert better.name == "roc_auc better than baseline (not defined on the held-back rows)"
    assert (better.passed, better.value) == (False, 0.0)


def test_a_model_is_described_the_same_in_every_process(prepared):
    system, *_ = prepared("disputes")
    said = describe_model(system.models[0])
    assert "make_column_selector object>" in said
    assert " at 0x" not in said
    assert "\n" not in said
