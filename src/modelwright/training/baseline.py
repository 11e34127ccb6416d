"""The baseline: what anyone would say without a model. It is served until a candidate beats it.

Two are tried on the held-back rows and the better one is kept: the majority (or the median), and "as it was last time",
the last known outcome of the same entity. The latter is often hard to beat, which is why it is here.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from modelwright.release.inputs import InputColumn
from modelwright.release.manifest import RuntimeName
from modelwright.release.runtime import ConstantRuntime, LastOutcomeRuntime, Runtime
from modelwright.spec import agg
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec
from modelwright.spec.view import ViewSpec
from modelwright.stats.predictions import Array

LAST: Final = "last_outcome"


@dataclass(frozen=True)
class Baseline:
    """A baseline's parts: its runtime's name and answers, its single input (or none), and its classes."""

    runtime: RuntimeName
    answers: dict[str, Any]
    inputs: tuple[InputColumn, ...]
    views: tuple[ViewSpec, ...]
    classes: tuple[bool | str, ...]

    def load(self) -> Runtime:
        """The runtime, as a release would load it."""
        if self.runtime == "constant":
            return ConstantRuntime(self.answers["otherwise"], amounts=not self.classes)
        return LastOutcomeRuntime(
            self.answers["table"], self.answers["otherwise"], self.inputs, amounts=not self.classes
        )

    def data(self) -> bytes:
        """The artefact's bytes."""
        return msgspec.json.encode(self.answers, order="sorted")


def last_outcome_view(contract: Contract, label: LabelSpec) -> ViewSpec:
    """The one feature of "as it was last time": the entity's last known outcome."""
    by = (contract.entity,) if contract.entity else ()
    return ViewSpec(event=contract.name, by=by, features={LAST: agg.last(label.name)})


def constant_baseline(outcomes: Array, label: LabelSpec) -> Baseline:
    """The rates of the classes, or the median."""
    if label.task == "regression":
        return Baseline("constant", {"otherwise": [float(np.median(outcomes))]}, (), (), ())
    classes = class_order(outcomes, label)
    return Baseline("constant", {"otherwise": _rates(outcomes, classes)}, (), (), classes)


def last_outcome_baseline(outcomes: Array, last: Array, contract: Contract, label: LabelSpec) -> Baseline:
    """The rates of the classes by last known outcome (`last` [n], as `Material.last_outcome`), or the last amount."""
    views = (last_outcome_view(contract, label),)
    if label.task == "regression":
        column = InputColumn(name=LAST, kind="number")
        return Baseline(LAST, {"table": {}, "otherwise": [float(np.median(outcomes))]}, (column,), views, ())
    classes = class_order(outcomes, label)
    is_text = label.kind == "str"
    column = InputColumn(
        name=LAST, kind="text" if is_text else "number", vocabulary=tuple(map(str, classes)) if is_text else None
    )
    after = {str(value): outcomes[last == value] for value in classes}
    table = {value: _rates(those, classes) for value, those in after.items() if len(those)}
    return Baseline(LAST, {"table": table, "otherwise": _rates(outcomes, classes)}, (column,), views, classes)


def class_order(outcomes: Array, label: LabelSpec) -> tuple[bool | str, ...]:
    """False and True, or the texts in alphabetical order."""
    return (False, True) if label.kind == "bool" else tuple(sorted(set(map(str, outcomes.tolist()))))


def _rates(outcomes: Array, classes: tuple[bool | str, ...]) -> list[float]:
    return [float(np.count_nonzero(outcomes == value)) / len(outcomes) for value in classes]
