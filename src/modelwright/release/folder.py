"""A release folder on disk: `manifest.json` and the files it lists. Read, verified against its hashes, and loaded.

`Release` is what serving, gates and the loop hold: it predicts and tells what it needs. It never trains.
"""

import importlib.metadata
import importlib.util
import re
from pathlib import Path
from typing import Final

import msgspec

from modelwright.core.canonical import canonical_json, sha256_hex
from modelwright.core.errors import ReleaseError, first_line
from modelwright.release.inputs import Rows, in_vocabulary
from modelwright.release.manifest import FORMAT, Manifest, References
from modelwright.release.runtime import Runtime, checked, open_runtime
from modelwright.spec.contract import Contract
from modelwright.stats.predictions import Predictions

ARTEFACT = {
    "compiled": "model.npz", "onnx": "model.onnx", "native": "model.pkl", "constant": "model.json",
    "last_outcome": "model.json",
}  # fmt: skip
IMAGE = "machine.img"
"""The kernels of a compiled form as machine code, where it was trained on a machine that they can be made for."""
HISTORY_IMAGE = "history.img"
"""The same of the kernels that read history, in a release with views."""
_CHANGED: Final = "is not the file that was published (its hash differs); copy the release again, or train anew"


def content_id(manifest: Manifest) -> str:
    """The first 12 hexadecimal digits of the hash of the manifest, which holds the hash of every file."""
    return _id_of(msgspec.json.encode(manifest))


def _id_of(manifest: bytes) -> str:
    """Of the bytes, so that members a later version adds change the name of no release that is there already."""
    return sha256_hex(canonical_json(msgspec.json.decode(manifest)))[:12]


class Release:
    """A loaded release. `name` is its folder's name, such as `r3-1a2b3c4d5e6f`."""

    def __init__(
        self, name: str, manifest: Manifest, contract: Contract, references: References, runtime: Runtime,
        history_image: bytes | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.manifest = manifest
        self.contract = contract
        self.references = references
        self.history_image = history_image
        """The kernels that read history as machine code, where it brings them along."""
        self._runtime = runtime

    def predict(self, rows: Rows) -> Predictions:
        """Predictions for n rows; ReleaseError where the model fails or answers with what no answer may be."""
        manifest = self.manifest
        try:
            # A compiled program looks texts up by itself: what is outside its vocabulary has no code.
            known = rows if manifest.runtime == "compiled" else in_vocabulary(rows, manifest.inputs)
            output = self._runtime.run(known)
        except Exception as error:
            raise ReleaseError(f"release {self.name} failed to predict: {first_line(error)}") from error
        return checked(output, len(rows), manifest.classes, f"release {self.name}")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder; ReleaseError where there is none or it is of another format."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise ReleaseError(
            f"{folder} is no release: it has no manifest.json; give a folder that `modelwright train` published"
        )
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise ReleaseError(f"{path} is damaged: {error}; publish the release again") from None
    if manifest.format != FORMAT:
        raise ReleaseError(f"{folder} is of release format {manifest.format}; this version reads {FORMAT}")
    return manifest


def read_references(folder: Path) -> References:
    """The reference statistics of a folder alone; ReleaseError where they cannot be read."""
    try:
        return msgspec.json.decode((folder / "reference.json").read_bytes(), type=References)
    except (OSError, msgspec.DecodeError) as error:
        raise ReleaseError(f"{folder}: reference.json cannot be read ({error}); copy the whole folder") from None


def open_release(folder: Path) -> Release:
    """Verify every file against its hash, check what the runtime requires, and load it.

    Raises `ReleaseError` naming the file that was altered, or the libraries to install.
    """
    manifest = read_manifest(folder)
    named = NAME.fullmatch(folder.name)  # a copy may have a name of its own
    if named and named[1] != _id_of((folder / "manifest.json").read_bytes()):
        raise ReleaseError(f"{folder}: manifest.json {_CHANGED}")
    data: dict[str, bytes] = {}
    for name, digest in manifest.files.items():
        try:
            data[name] = (folder / name).read_bytes()
        except OSError as error:
            raise ReleaseError(f"{folder}: {name} cannot be read ({error.strerror}); copy the whole folder") from None
        if sha256_hex(data[name]) != digest:
            raise ReleaseError(f"{folder}: {name} {_CHANGED}")
    absent = [library for library in manifest.requires if importlib.util.find_spec(library) is None]
    if absent:
        wanted = " ".join(f"{PACKAGE.get(library, library)}=={manifest.requires[library]}" for library in absent)
        raise ReleaseError(f"{folder.name} needs what is not installed here: pip install {wanted}")
    try:
        runtime = open_runtime(manifest, data[ARTEFACT[manifest.runtime]], data.get(IMAGE))
    except ReleaseError:
        raise
    except Exception as error:
        raise ReleaseError(f"{folder.name} does not load: {first_line(error)}") from error
    contract = msgspec.json.decode(data["contract.json"], type=Contract)
    references = msgspec.json.decode(data["reference.json"], type=References)
    return Release(folder.name, manifest, contract, references, runtime, data.get(HISTORY_IMAGE))


NAME = re.compile(r"r\d+-([0-9a-f]{12})")
"""What a published folder is called: its number, and the id of its content."""
PACKAGE = {"sklearn": "scikit-learn"}
"""Where a library's name on the package index differs from its import name."""
