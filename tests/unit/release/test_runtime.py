"""What each runtime answers, missing values and texts included."""

import subprocess
import sys

import numpy as np
import pytest

from modelwright.core.errors import MissingExtraError
from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.runtime import ConstantRuntime, LastOutcomeRuntime, NativeRuntime, checked, estimator_output

NUMBER = (InputColumn(name="last_outcome", kind="number"),)
TEXT = (InputColumn(name="last_outcome", kind="text", vocabulary=("a", "b")),)


def one(*values):
    return Rows(np.array(values, dtype=float).reshape(-1, 1))


def test_a_constant_says_the_same_to_everyone():
    assert ConstantRuntime([0.25, 0.75], amounts=False).run(one(1, 2)).tolist() == [[0.25, 0.75]] * 2
    assert ConstantRuntime([7.5], amounts=True).run(one(1, 2)).tolist() == [7.5, 7.5]
    assert ConstantRuntime([7.5], amounts=True).run(one()).shape == (0,)


def test_the_last_outcome_is_looked_up():
    runtime = LastOutcomeRuntime({"True": [0.1, 0.9], "False": [0.8, 0.2]}, [0.5, 0.5], NUMBER, amounts=False)
    assert runtime.run(one(1, 0, np.nan)).tolist() == [[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]
    runtime = LastOutcomeRuntime({"a": [1.0, 0.0]}, [0.5, 0.5], TEXT, amounts=False)
    rows = Rows(np.zeros((3, 0)), (["a", "b", None],))
    assert runtime.run(rows).tolist() == [[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]


def test_the_last_amount_is_repeated_and_else_the_median():
    runtime = LastOutcomeRuntime({}, [3.0], NUMBER, amounts=True)
    assert runtime.run(one(1.5, np.nan)).tolist() == [1.5, 3.0]


def test_a_classifier_without_probabilities_is_sure_of_what_it_says():
    class Says:
        def predict(self, frame):
            return np.array(["b", "a", "zz"])

    assert estimator_output(Says(), None, ("a", "b")).tolist() == [[0, 1], [1, 0], [0, 0]]


def test_the_first_of_equally_probable_classes_is_the_answer():
    assert checked(np.array([[0.4, 0.4, 0.2]]), 1, ("x", "y", "z"), "it").value.tolist() == ["x"]


def test_a_native_release_without_cloudpickle_names_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'modelwright\[train\]'"):
        NativeRuntime(b"", (), ())


def test_running_a_baseline_loads_no_model_library():
    code = """
import sys
from modelwright.release.runtime import ConstantRuntime
from modelwright.release.folder import open_release
heavy = {"onnxruntime", "pandas", "sklearn", "cloudpickle", "lightgbm", "mlflow"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_class_nobody_has_seen_follow_another_is_still_one_of_classes():
    runtime = LastOutcomeRuntime({}, [0.3, 0.7], NUMBER, amounts=False)  # no row to fit on had a last outcome
    assert runtime.run(one(1.0, np.nan)).tolist() == [[0.3, 0.7], [0.3, 0.7]]
