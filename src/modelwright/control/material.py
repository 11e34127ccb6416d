"""All a training works with, read from the log once: every event's inputs as of its own moment, and every outcome."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from modelwright.core.errors import ReleaseError
from modelwright.features.offline import Others, compute
from modelwright.features.plan import LabelColumn
from modelwright.lake.log import Log
from modelwright.release.inputs import Rows
from modelwright.release.manifest import Manifest
from modelwright.spec.system import System
from modelwright.training.baseline import LAST, last_outcome_view
from modelwright.training.examples import Examples, build_examples


@dataclass(frozen=True)
class Material:
    """The inputs of every event, and for the baseline the last outcome known at each."""

    examples: Examples
    last_outcome: list[Any]

    def rows_for(self, manifest: Manifest) -> Rows:
        """The inputs of every event in the form that release wants; ReleaseError for one of another declaration."""
        if manifest.runtime == "constant":
            return Rows(np.zeros((len(self.examples), 0)))
        if manifest.runtime == LAST:
            if manifest.inputs[0].kind == "text":
                return Rows(np.zeros((len(self.examples), 0)), (self.last_outcome,))
            return Rows(
                np.array([np.nan if value is None else float(value) for value in self.last_outcome]).reshape(-1, 1)
            )
        if tuple(column.name for column in manifest.inputs) != self.examples.names:
            raise ReleaseError("a release of another declaration cannot be compared: its inputs differ")
        return self.examples.rows


def read_material(log: Log, system: System) -> Material:
    """The log as material."""
    others = [(contract, log.events(contract.name)) for contract in system.others]
    return make_material(log.events(), log.outcomes(), system, others)


def make_material(events: pa.Table, outcomes: pa.Table, system: System, others: Others = ()) -> Material:
    """The same from tables in the log's form; `others` are the rows of the other events that views are over."""
    views = [view.spec() for view in system.features]
    examples = build_examples(events, outcomes, system.contract, system.label, views, system.inputs, others)
    # In the order of the examples, so that a row of one is a row of the other.
    positions = {int(seq): place for place, seq in enumerate(events["_seq"].to_numpy())}
    ordered = events.take(pa.array([positions[int(seq)] for seq in examples.seq]))
    label = LabelColumn(system.label.name, system.label.kind)
    view = last_outcome_view(system.contract, system.label)
    last = compute([view], system.contract, label, events, ordered, outcomes)[LAST].to_pylist()
    return Material(examples, [_as_outcome(value, system) for value in last])


def _as_outcome(value: Any, system: System) -> Any:
    if value is None or value != value:
        return None
    return bool(value) if system.label.kind == "bool" else value
