"""A program: what the machine runs for each row, as arrays that any tool can read (numpy's `.npz`, no pickles).

A row stands in registers, float64 with NaN for missing: first the numeric inputs, then the texts as their place in the
vocabulary, then what the steps make of them. The model reads some registers as its features and gives one raw value a
target; the link turns those into probabilities or an amount.
"""

import io
import json
import zipfile
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Final, Literal

import numpy as np

from modelwright.core.errors import ReleaseError
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

Link = Literal["identity", "logistic", "softmax", "exp", "none"]
LINKS: Final[tuple[Link, ...]] = ("identity", "logistic", "softmax", "exp", "none")
"""`logistic` makes two probabilities of one raw value, times the slope; `none` is of values that are probabilities."""

NUMBER_LEFT, MISSING_LEFT, ZERO_IS_MISSING, MISSING_IS_ZERO, CATEGORY, UNKNOWN_LEFT = 0, 1, 2, 4, 8, 16
"""Bits of a node: a missing value goes left; values near zero are missing; a missing value is a zero; the node holds a set
of categories; a category beyond the set's known ones goes left."""


_floats, _ints, _short, _bytes, _words = (partial(np.empty, 0, kind) for kind in ("<f8", "<i8", "<i4", "|u1", "<u4"))


@dataclass(frozen=True)
class Program:
    """The arrays. `features` [f]: the registers the model reads. `targets`: raw values a row.

    Trees: `roots` [t], the `of_target` [t] each adds to (-1: its leaves hold a value for every target). A node compares
    feature `node_feature` with `node_threshold`, `<=` to the left; a category node's threshold is the first bit of its
    set in `sets`, 256 bits a set, and the set of known categories follows it. A child below zero is leaf `-1 - child`.
    `single`: features are rounded to float32 before they are compared. Raw values begin at `start` [targets] and are
    divided by `divisor` at the end.

    Linear: `coefficients` [targets, f] and `start`. A program has trees or coefficients.
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
    single: bool = False
    divisor: float = 1.0
    slope: float = 1.0

    def to_bytes(self) -> bytes:
        """A `.npz` archive: one array each, and `program.json` with the rest. Equal programs give equal bytes."""
        plain: dict[str, Any] = {"format": FORMAT, "operations": OPERATIONS}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for one in fields(self):
                value = getattr(self, one.name)
                if isinstance(value, np.ndarray):
                    data = io.BytesIO()
                    np.lib.format.write_array(data, np.ascontiguousarray(value), allow_pickle=False)
                    archive.writestr(zipfile.ZipInfo(f"{one.name}.npy"), data.getvalue(), zipfile.ZIP_DEFLATED)
                else:
                    plain[one.name] = value
            archive.writestr(zipfile.ZipInfo("program.json"), json.dumps(plain, indent=1, sort_keys=True))
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Program":
        """The program of an archive; ReleaseError for one of another format."""
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            plain = json.loads(archive.read("program.json"))
            if plain.pop("format") != FORMAT or tuple(plain.pop("operations")) != OPERATIONS:
                raise ReleaseError("the compiled model is of another version of modelwright; train it again")
            arrays: dict[str, Any] = {
                name.removesuffix(".npy"): np.lib.format.read_array(archive.open(name), allow_pickle=False)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
        return cls(**plain, **arrays)
