"""The manifest: what a release is, which files it holds with their hashes, and what it takes to run it."""

from typing import Any, Literal

import msgspec

from modelwright.release.inputs import InputColumn
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec
from modelwright.spec.metric import METRICS, MetricSpec
from modelwright.spec.view import ViewSpec
from modelwright.stats.arrivals import UNKNOWN, Arrivals
from modelwright.stats.reference import ColumnReference, PairReference

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
    `accepted`: it may be served; with a `reason` all the same where it is not equal and the declared bounds allow it.
    `drop`: how much worse the steering metric is on the held-back rows, where bounds are declared.
    """

    rows: int
    flips: int
    largest: float
    accepted: bool
    reason: str = ""
    p999: float = 0.0
    drop: float | None = None


class FormFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One form that was tried: its size in bytes (0 where it was not made), how it compares, and the import names of what
    it needs beyond the base install."""

    name: str
    size: int
    equivalence: Equivalence
    requires: tuple[str, ...] = ()


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A model on a part of history that was tried: its mean metric over the folds; None with the reason where it has none.

    Of a model that was tuned: the `parameters` that were found, where they are better than the declared ones, and the value
    of each of the `trials`, the declared parameters first.
    """

    model: str
    past: str
    value: float | None
    folds: int
    reason: str = ""
    parameters: dict[str, str] = {}
    trials: tuple[float | None, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a release that is not a file of its own. The release's id is the hash of this.

    `others`: the contracts of the other events that its views are over. `requires`: import names of libraries its runtime
    needs beyond the base install, with the installed version. `forms`: every form that was tried, in the order of
    preference, the estimator itself last; `equivalence` is of the one that is served. `declaration`: the hash of what the
    model was declared to be made of. `trained_on`: which part of history; `chosen_from`: the models and parts of history that
    were declared, where several. `trained_until_us`, `rows`: the material. `metrics`: on the held-back tail, of the artefact
    in this folder.
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
    declaration: str = ""
    trained_on: str = ""
    chosen_from: tuple[Tried, ...] = ()
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
    """Reference statistics for drift: of the inputs, of the score, of how inputs that matter go together, and of the lengths of
    texts that are mostly different from each other (under the name of their input); and of how events and outcomes arrive."""

    columns: tuple[ColumnReference, ...]
    score: ColumnReference | None = None
    pairs: tuple[PairReference, ...] = ()
    lengths: tuple[ColumnReference, ...] = ()
    arrivals: Arrivals = UNKNOWN


def encode_pretty(value: Any) -> bytes:
    """JSON for people: indented, keys in order, so that equal values are equal bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"
