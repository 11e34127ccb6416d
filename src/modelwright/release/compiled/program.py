"""A program: what the machine runs for each row, as arrays that any tool can read (numpy's `.npz`, no pickles).

A row stands in registers, float64 with NaN for missing: first the numeric inputs, then the categories as their place in the
vocabulary, then what readers make of free texts, then what the steps make of them all. The model reads some registers as its
features and gives one raw value a target; the link turns those into probabilities or an amount.
"""

import io
import json
import zipfile
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from modelwright.core.errors import ReleaseError
from modelwright.release.compiled.reader import Reader
from modelwright.stats.predictions import Array

FORMAT: Final = 1

OPERATIONS: Final = (
    "constant", "copy", "fill", "is_missing", "add", "subtract", "multiply", "divide", "clip", "place", "bin", "spread",
    "require", "exp", "expm1", "log", "log1p", "sqrt", "square", "absolute",
)  # fmt: skip
"""A step is (operation, target register, source register, first constant, number of constants).

- `constant`: the constant. `fill`: the constant where the source is missing. `clip`: between two constants.
- `place`: the source's place among the constants, their number for a value that is not among them.
- `bin`: how many of the constants are at most the source.
- `spread`: a table by code, the last code for missing. The constants are a width, the number of codes, where each code's
  entries begin and where the last end, then the entries as (register, value): a code's entries are written to the
  registers from the target on, and zeros to the others of that width.
- `require`: where the source is missing the row has no answer: what the estimator refuses is not answered here either.
"""

Link = Literal["identity", "logistic", "softmax", "exp", "none", "choice"]
LINKS: Final[tuple[Link, ...]] = ("identity", "logistic", "softmax", "exp", "none", "choice")
"""`logistic` makes two probabilities of one raw value, times the slope; `none` is of values that are probabilities;
`choice` gives one to the class of the largest value, or to the second of two where a single value is above zero."""

NUMBER_LEFT, MISSING_LEFT, ZERO_IS_MISSING, MISSING_IS_ZERO, CATEGORY, UNKNOWN_LEFT = 0, 1, 2, 4, 8, 16
"""Bits of a node: a missing value goes left; values near zero are missing; a missing value is a zero; the node holds a set
of categories; a category beyond the set's known ones goes left."""


_floats, _ints, _short, _bytes, _words = (partial(np.empty, 0, kind) for kind in ("<f8", "<i8", "<i4", "|u1", "<u4"))


@dataclass(frozen=True)
class Program:
    """The arrays. `features` [f]: the registers the model reads. `targets`: raw values a row. `numbers`, `texts`: numeric inputs
    and categories; `readers`: what is made of free texts, each with as many registers as it makes numbers.

    Trees: `roots` [t], the `of_target` [t] each adds to (-1: its leaves hold a value for every target). A node compares
    feature `node_feature` with `node_threshold`, `<=` to the left; a category node's threshold is the first bit of its
    set in `sets`, 256 bits a set, and the set of known categories follows it. A child below zero is leaf `-1 - child`.
    `single`: features are rounded to float32 before they are compared; `single_sums`: raw values are added in float32, and
    the link is worked out in it. Raw values begin at `start` [targets] and are divided by `divisor` at the end.

    Linear: `coefficients` [targets, f] and `start`.

    Graph: the bytes of an ONNX graph, which takes the features as one matrix and gives probabilities or amounts. A program
    has trees, coefficients or a graph.
    """

    registers: int
    numbers: int
    texts: int
    targets: int
    link: Link
    features: Array = field(default_factory=_ints)
    steps: Array = field(default_factory=lambda: np.empty((0, 5), "<i8"))
    constants: Array = field(default_factory=_floats)
    start: Array = field(default_factory=_floats)
    coefficients: Array = field(default_factory=lambda: np.empty((0, 0), "<f8"))
    roots: Array = field(default_factory=_ints)
    of_target: Array = field(default_factory=_ints)
    node_feature: Array = field(default_factory=_short)
    node_threshold: Array = field(default_factory=_floats)
    node_left: Array = field(default_factory=_short)
    node_right: Array = field(default_factory=_short)
    node_kind: Array = field(default_factory=_bytes)
    leaves: Array = field(default_factory=_floats)
    sets: Array = field(default_factory=_words)
    graph: Array = field(default_factory=_bytes)
    single: bool = False
    single_sums: bool = False
    divisor: float = 1.0
    slope: float = 1.0
    readers: tuple[Reader, ...] = ()

    @property
    def read(self) -> int:
        """How many numbers its readers make of a row."""
        return sum(reader.given for reader in self.readers)

    def to_bytes(self) -> bytes:
        """A `.npz` archive: one array each, and `program.json` with the rest, then the readers in the same way. Equal
        programs give equal bytes."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            plain = {name: value for name, value in _store(archive, self).items() if name != "readers"}
            plain |= {"format": FORMAT, "operations": OPERATIONS}
            archive.writestr(zipfile.ZipInfo("program.json"), json.dumps(plain, indent=1, sort_keys=True))
            for number, reader in enumerate(self.readers):
                text = json.dumps(_store(archive, reader, f"reader{number}/"), sort_keys=True)
                archive.writestr(zipfile.ZipInfo(f"reader{number}/reader.json"), text, zipfile.ZIP_DEFLATED)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Program":
        """The program of an archive; ReleaseError for one of another format."""
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            plain = json.loads(archive.read("program.json"))
            if plain.pop("format") != FORMAT or tuple(plain.pop("operations")) != OPERATIONS:
                raise ReleaseError("the compiled model is of another version of modelwright; train it again")
            folders = sorted({name.partition("/")[0] for name in archive.namelist() if "/" in name}, key=_number)
            readers = [
                Reader(**json.loads(archive.read(f"{folder}/reader.json")), **_arrays(archive, f"{folder}/"))
                for folder in folders
            ]
            return cls(**plain, **_arrays(archive), readers=tuple(readers))


def _store(archive: zipfile.ZipFile, value: Any, folder: str = "") -> dict[str, Any]:
    """Write the arrays among a dataclass's members; the members that are none."""
    plain = {}
    for one in fields(value):
        member = getattr(value, one.name)
        if isinstance(member, np.ndarray):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(member), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{folder}{one.name}.npy"), data.getvalue(), zipfile.ZIP_DEFLATED)
        else:
            plain[one.name] = member
    return plain


def _arrays(archive: zipfile.ZipFile, folder: str = "") -> dict[str, Any]:
    return {
        name.removeprefix(folder).removesuffix(".npy"): np.lib.format.read_array(archive.open(name), allow_pickle=False)
        for name in archive.namelist()
        if name.endswith(".npy") and name.rpartition("/")[0] == folder.rstrip("/")
    }


def _number(folder: str) -> int:
    return int(folder.removeprefix("reader"))
