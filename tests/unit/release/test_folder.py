"""A release folder is read back as it was published, or refused in one line that says why."""

import json
import shutil

import cloudpickle
import msgspec
import numpy as np
import pytest

from modelwright.core.errors import ReleaseError
from modelwright.release.folder import content_id, open_release, read_manifest
from modelwright.release.inputs import Rows
from modelwright.release.manifest import Equivalence, Manifest, RowLoss
from modelwright.spec import agg
from modelwright.spec.label import LabelSpec
from modelwright.spec.view import ViewSpec

ROWS = Rows(np.array([[1.0], [2.0], [np.nan]]), (["DE", "IT", None],))
NO_INPUTS = Rows(np.zeros((3, 0)))


class Echo:
    """A model that says whatever it is made with, or raises it."""

    def __init__(self, said):
        self.said = said

    def predict(self, frame):
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    predict_proba = predict


cloudpickle.register_pickle_by_value(__import__("sys").modules[__name__])


def test_a_manifest_is_read_back_as_it_was_written(published):
    given = {
        "views": (ViewSpec(event="Pay", by=("card",), features={"n": agg.count(over="1d", where="amount > 1")}),),
        "metrics": {"accuracy": 0.1 + 0.2, "roc_auc": None},
        "loss": RowLoss(1 / 3, 0.25, 40),
        "equivalence": Equivalence(rows=3, flips=0, largest=1e-16, accepted=True),
        "requires": {"lightgbm": "4.7"},
        "trained_until_us": 1_700_000_000_000_001,
    }
    folder = published("constant", b"{}", **given)
    manifest = read_manifest(folder)
    assert {name: getattr(manifest, name) for name in given} == given
    assert folder.name == f"r3-{content_id(manifest)}"
    assert sorted(manifest.files) == ["contract.json", "model.json", "reference.json"]


def test_what_is_observed_is_no_part_of_the_name(constant):
    assert "observed.json" not in read_manifest(constant).files
    (constant / "observed.json").write_text("{}")
    assert open_release(constant).name == constant.name


def test_a_release_predicts_what_its_artefact_says(constant):
    release = open_release(constant)
    said = release.predict(NO_INPUTS)
    assert said.probabilities.tolist() == [[0.75, 0.25]] * 3
    assert said.value.tolist() == [False] * 3
    assert release.contract.name == "Pay"


@pytest.mark.parametrize("name", ["model.json", "contract.json", "reference.json"])
def test_an_altered_file_is_refused_by_name(constant, name):
    file = constant / name
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ReleaseError, match=rf"{name} is not the file that was published") as refused:
        open_release(constant)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["model.json", "contract.json", "reference.json"])
def test_an_absent_file_is_refused_by_name(constant, name):
    (constant / name).unlink()
    with pytest.raises(ReleaseError, match=rf"{name} cannot be read \(No such file or directory\)"):
        open_release(constant)


def test_a_folder_without_a_manifest_is_no_release(tmp_path):
    with pytest.raises(ReleaseError, match=r"is no release: it has no manifest\.json"):
        open_release(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"system": 3}', '{"system": "x"}'])
def test_a_damaged_manifest_is_refused(constant, text):
    (constant / "manifest.json").write_text(text)
    with pytest.raises(ReleaseError, match=r"manifest\.json is damaged: .*; publish the release again"):
        open_release(constant)


def test_a_manifest_of_another_format_is_refused(constant):
    file = constant / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 2}))
    with pytest.raises(ReleaseError, match="of release format 2; this version reads 1"):
        open_release(constant)


def test_an_altered_manifest_is_refused_where_the_folder_still_has_its_name(constant, tmp_path):
    file = constant / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"metrics": {"accuracy": 1.0}}))
    with pytest.raises(ReleaseError, match=r"manifest\.json is not the file that was published"):
        open_release(constant)
    shutil.copytree(constant, tmp_path / "model")  # under a name of its own there is nothing to hold it against
    assert open_release(tmp_path / "model").manifest.metrics == {"accuracy": 1.0}


def test_a_copied_folder_under_another_name_is_served(constant, tmp_path):
    shutil.copytree(constant, tmp_path / "model")
    assert open_release(tmp_path / "model").predict(NO_INPUTS).value.tolist() == [False] * 3


def test_an_absent_library_is_named_with_the_exact_command(published):
    folder = published("native", b"", requires={"absent_one": "1.0", "numpy": "2.0", "absent_two": "3.1"})
    with pytest.raises(ReleaseError) as refused:
        open_release(folder)
    command = "pip install absent_one==1.0 absent_two==3.1"
    assert str(refused.value) == f"{folder.name} needs what is not installed here: {command}"


def test_a_library_is_named_as_the_package_index_names_it(published, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    folder = published("native", b"", requires={"sklearn": "1.9.0"})
    with pytest.raises(ReleaseError, match=r"pip install scikit-learn==1\.9\.0$"):
        open_release(folder)


def test_an_artefact_that_does_not_load_is_refused_in_one_line(published):
    folder = published("native", b"no pickle")
    with pytest.raises(ReleaseError, match=rf"{folder.name} does not load: ") as refused:
        open_release(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (np.array([[0.5, 0.5], [np.nan, 0.5], [0.1, np.inf]]), "predicts NaN or infinity for 2 of 3 rows"),
        (np.array([[0.5, 0.5]]), r"answers 3 rows with an array of shape \(1, 2\); \(3, 2\) was expected"),
        (np.array([0.5, 0.5, 0.5]), r"answers 3 rows with an array of shape \(3,\); \(3, 2\) was expected"),
        (np.array([["a", "b"]] * 3), "failed to predict: ValueError: could not convert"),
        (ZeroDivisionError("first\nsecond"), "failed to predict: ZeroDivisionError: first$"),
    ],
)
def test_what_no_classifier_may_answer_is_an_error_of_one_line(published, said, message):
    release = open_release(published("native", cloudpickle.dumps(Echo(said))))
    with pytest.raises(ReleaseError, match=f"release {release.name} {message}") as refused:
        release.predict(ROWS)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (np.array([1.0, np.nan, 2.0]), "predicts NaN or infinity for 1 of 3 rows"),
        (np.array([[1.0, 2.0]] * 3), r"array of shape \(3, 2\); \(3,\) was expected"),
    ],
)
def test_what_no_regressor_may_answer_is_an_error_of_one_line(published, said, message):
    release = open_release(published("native", cloudpickle.dumps(Echo(said)), kind="float"))
    with pytest.raises(ReleaseError, match=message):
        release.predict(ROWS)


def test_amounts_in_one_column_are_amounts(published):
    release = open_release(published("native", cloudpickle.dumps(Echo(np.array([[1.0], [2.0], [3.0]]))), kind="float"))
    assert release.predict(ROWS).value.tolist() == [1.0, 2.0, 3.0]


def test_equal_material_has_an_equal_name_and_other_material_another(published):
    data = msgspec.json.encode({"otherwise": [0.5, 0.5]})
    first = published("constant", data, metrics={"accuracy": 0.5})
    assert published("constant", data, metrics={"accuracy": 0.5}) == first
    others = {
        published("constant", data, metrics={"accuracy": 0.25}).name,
        published("constant", data + b" ", metrics={"accuracy": 0.5}).name,
    }
    assert first.name not in others
    assert len(others) == 2


def test_manifests_default_to_the_format_that_is_read():
    manifest = Manifest(
        system="s", kind="model", runtime="onnx", label=LabelSpec(name="y", kind="bool", delay_us=1), metric="accuracy",
        inputs=(),
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest) == manifest
    assert manifest.metric_spec.higher_is_better
