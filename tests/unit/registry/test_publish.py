"""A release is there whole or not at all, under a name that its content gives it."""

import json
import os

import pytest

from modelwright.registry import publish as publishing
from modelwright.registry.publish import PARTIAL, publish, sweep
from modelwright.release.folder import read_manifest
from modelwright.release.manifest import Manifest
from modelwright.spec.label import LabelSpec

MANIFEST = Manifest(
    system="pay", kind="model", runtime="onnx", label=LabelSpec(name="y", kind="bool", delay_us=1), metric="accuracy",
    inputs=(),
)  # fmt: skip
FILES = {"model.onnx": b"trees", "card.md": b"# card"}


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_published_folder_holds_what_was_given_with_its_hashes(tmp_path):
    name, manifest = publish(tmp_path / "releases", 7, MANIFEST, FILES, {"seconds": {"total": 1.0}})
    folder = tmp_path / "releases" / name
    assert name.startswith("r7-")
    assert names(folder) == ["card.md", "manifest.json", "model.onnx", "observed.json"]
    assert (folder / "model.onnx").read_bytes() == b"trees"
    assert read_manifest(folder) == manifest
    assert sorted(manifest.files) == ["card.md", "model.onnx"]
    assert json.loads((folder / "observed.json").read_text()) == {"seconds": {"total": 1.0}}
    assert names(tmp_path / "releases") == [name]


def test_publishing_the_same_again_changes_nothing(tmp_path):
    name, _ = publish(tmp_path, 1, MANIFEST, FILES, {"try": 1})
    assert publish(tmp_path, 1, MANIFEST, dict(reversed(FILES.items())), {"try": 2})[0] == name
    assert json.loads((tmp_path / name / "observed.json").read_text()) == {"try": 1}
    assert names(tmp_path) == [name]


def test_other_content_and_other_numbers_have_other_names(tmp_path):
    one = publish(tmp_path, 1, MANIFEST, FILES, {})[0]
    two = publish(tmp_path, 2, MANIFEST, FILES, {})[0]
    other = publish(tmp_path, 1, MANIFEST, FILES | {"model.onnx": b"others"}, {})[0]
    assert one.partition("-")[2] == two.partition("-")[2] != other.partition("-")[2]
    assert len({one, two, other}) == 3


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_publication_that_fails_leaves_nothing(tmp_path, monkeypatch, failure):
    def fails(fd):
        raise failure

    monkeypatch.setattr(publishing.os, "fsync", fails)
    with pytest.raises(type(failure)):
        publish(tmp_path, 1, MANIFEST, FILES, {})
    assert names(tmp_path) == []


def test_what_a_killed_publication_left_is_swept_and_releases_stay(tmp_path):
    name, _ = publish(tmp_path, 1, MANIFEST, FILES, {})
    left = tmp_path / f"{PARTIAL}abc"
    left.mkdir()
    (left / "model.onnx").write_bytes(b"half")
    sweep(tmp_path)
    assert names(tmp_path) == [name]
    sweep(tmp_path / "not there")


def test_others_may_read_a_published_folder(tmp_path):
    name, _ = publish(tmp_path, 1, MANIFEST, FILES, {})
    assert os.stat(tmp_path / name).st_mode & 0o777 == 0o755
