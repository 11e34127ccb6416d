"""A study proposes the same whenever it is begun again, and what was judged once is not judged twice."""

import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import modelwright as mw
from modelwright import space
from modelwright.core.errors import DeclarationError, MissingExtraError, TrainingError
from modelwright.training.tuning import tuned

pytest.importorskip("optuna", reason="pip install 'modelwright[tune]'")

DECLARED = mw.tune(
    make_pipeline(StandardScaler(), Ridge()),
    {"ridge__alpha": space.real(0.01, 100, log=True), "ridge__max_iter": space.integer(1, 50),
     "standardscaler": space.choice([StandardScaler(), "passthrough"])},
    trials=25,
)  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


class Judge:
    """Best at alpha 3 without a scaler; knows what it judged; is killed when it begins the n-th."""

    def __init__(self, killed_at=None):
        self.judged = []
        self.killed_at = killed_at

    def __call__(self, model):
        if len(self.judged) == self.killed_at:
            raise Killed
        self.judged.append(model)
        return abs(model["ridge"].alpha - 3) + (model[0] != "passthrough") + abs((model["ridge"].max_iter or 0) - 20)


def study(file, judge, declared=DECLARED, seed=0):
    return tuned(declared, judge, file, seed, higher_is_better=False)


def said(found):
    return {name: str(value) for name, value in found.parameters.items()}, found.trials


def test_the_best_of_all_trials_is_taken_and_the_declared_model_is_the_first(tmp_path):
    judge = Judge()
    found = study(tmp_path / "a", judge)
    assert len(found.trials) == len(judge.judged) == 26
    assert found.trials[0] == 2 + 1 + 20
    assert min(found.trials) == Judge()(found.model) < found.trials[0]
    assert found.model["ridge"].alpha == found.parameters["ridge__alpha"]
    assert DECLARED.model["ridge"].alpha == 1.0


def test_declared_parameters_stay_where_nothing_is_better(tmp_path):
    found = tuned(DECLARED, lambda model: 1.0, tmp_path / "a", 0, higher_is_better=True)
    assert found.model is DECLARED.model
    assert found.parameters == {}


def test_equal_seeds_give_equal_studies(tmp_path):
    assert said(study(tmp_path / "a", Judge())) == said(study(tmp_path / "b", Judge()))
    assert study(tmp_path / "c", Judge(), seed=1).trials != study(tmp_path / "d", Judge()).trials


@pytest.mark.parametrize("killed_at", [0, 1, 7, 25])
def test_a_killed_study_goes_on_to_what_it_would_have_found(tmp_path, killed_at):
    with pytest.raises(Killed):
        study(tmp_path / "a", Judge(killed_at))
    rest = Judge()
    found = study(tmp_path / "a", rest)
    assert len(rest.judged) == 26 - killed_at
    assert said(found) == said(study(tmp_path / "b", Judge()))


def test_trials_of_other_values_are_not_taken_over(tmp_path):
    study(tmp_path / "a", Judge(), seed=1)
    assert said(study(tmp_path / "a", Judge())) == said(study(tmp_path / "b", Judge()))


def test_what_cannot_be_fitted_is_a_trial_without_a_value(tmp_path):
    def judge(model):
        if model[0] != "passthrough":
            raise TrainingError("no scaler today")
        return 1.0

    found = study(tmp_path / "a", judge)
    assert found.trials[0] is None
    assert 0 < found.trials.count(None) < 26
    assert found.parameters["standardscaler"] == "passthrough"


def test_a_study_without_any_value_says_why(tmp_path):
    def judge(model):
        raise TrainingError("no fit today")

    with pytest.raises(TrainingError, match=r"^none of 26 trials could be judged: no fit today$"):
        study(tmp_path / "a", judge)


def test_without_optuna_the_install_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"modelwright\[tune\]"):
        study(tmp_path / "a", Judge())


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: mw.tune(object(), {"a": space.integer(1, 2)}), "no get_params"),
        (lambda: mw.tune(Ridge(), {}), "give parameters by name"),
        (lambda: mw.tune(Ridge(), {"alhpa": space.real(0, 1)}), "did you mean 'alpha'"),
        (lambda: mw.tune(Ridge(), {"alpha": (0, 1)}), "use space.integer"),
        (lambda: mw.tune(Ridge(), {"alpha": space.real(0, 1)}, trials=0), "trials=0"),
        (lambda: space.real(1, 0), "from the smaller to the larger"),
        (lambda: space.real(0, 1, log=True), "above 0"),
        (lambda: space.real("a", 1), "two numbers"),
        (lambda: space.integer(1, 2.5), "two whole numbers"),
        (lambda: space.choice("ab"), "give a list"),
        (lambda: space.choice(["a"]), "nothing to choose from"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_one_line(declare, message):
    with pytest.raises(DeclarationError, match=message) as raised:
        declare()
    assert "\n" not in str(raised.value)
