"""The manifest: what a release is, which files it holds with their hashes, and what it takes to run it."""

from typing import Any, Literal

import msgspec

from modelwright.release.inputs import InputColumn
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec
from modelwright.spec.metric import METRICS, MetricSpec
from modelwright.spec.view import ViewSpec
from modelwright.stats.reference import ColumnReference

FORMAT = 1
RuntimeName = Literal["compiled", "onnx", "native", "constant", "last_outcome"]


class RowLoss(msgspec.Struct, frozen=True):
    """Mean, variance and count of the row losses on the rows the release was gated on."""

    mean: float
    variance: float
    rows: int


class Equivalence(msgspec.Struct, frozen=True, kw_only=True):
    """How a compiled form compares with the estimator it was made from, over `rows` held-back rows.

    `largest` and `p999`: the largest and the 99.9th-percentile difference of a probability, or relative one of an amount.
    """

    rows: int
    flips: int
    largest: float
    accepted: bool
    reason: str = ""
    p999: float = 0.0


class FormFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One form that was tried: its size in bytes (0 where it could not be made) and how it compares."""

    name: str
    size: int
    equivalence: Equivalence


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a release that is not a file of its own. The release's id is the hash of this.

    `others`: the contracts of the other events that its views are over. `requires`: import names of libraries its runtime
    needs beyond the base install, with the installed version. `forms`: every form that was tried, the fastest first;
    `equivalence` is of the one that is served. `trained_until_us`, `rows`: the material. `metrics`: on the held-back
    tail, of the artefact in this folder.
    """

    format: int = FORMAT
    system: str
    kind: Literal["model", "baseline"]
    runtime: RuntimeName
    label: LabelSpec
    metric: str
    classes: tuple[bool | str, ...] = ()
    inputs: tuple[InputColumn, ...]
    views: tuple[ViewSpec, ...] = ()
    others: tuple[Contract, ...] = ()
    requires: dict[str, str] = {}
    model: str = ""
    trained_from_us: int = 0
    trained_until_us: int = 0
    rows: int = 0
    metrics: dict[str, float | None] = {}
    loss: RowLoss | None = None
    equivalence: Equivalence | None = None
    forms: tuple[FormFigures, ...] = ()
    data_version: str = ""
    files: dict[str, str] = {}

    @property
    def metric_spec(self) -> MetricSpec:
        """The steering metric."""
        return METRICS[self.metric]


class References(msgspec.Struct, frozen=True):
    """Reference statistics of the inputs and of the score, for drift."""

    columns: tuple[ColumnReference, ...]
    score: ColumnReference | None = None


def encode_pretty(value: Any) -> bytes:
    """JSON for people: indented, keys in order, so that equal values are equal bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"
