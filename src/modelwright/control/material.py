"""The log as training material: one call from the tables to `Material`."""

from typing import Any

import pyarrow as pa

from modelwright.control.candidate import Material
from modelwright.features.offline import compute
from modelwright.features.plan import LabelColumn
from modelwright.lake.log import Log
from modelwright.spec.system import System
from modelwright.training.baseline import LAST, last_outcome_view
from modelwright.training.examples import build_examples


def read_material(log: Log, system: System) -> Material:
    """Every event of the log with its inputs as of its own moment, and every outcome as it became known."""
    events, outcomes = log.events(), log.outcomes()
    return make_material(events, outcomes, system, f"log@{log.head()}")


def make_material(events: pa.Table, outcomes: pa.Table, system: System, data_version: str) -> Material:
    """The same from tables in the log's form."""
    views = [view.spec() for view in system.features]
    examples = build_examples(events, outcomes, system.contract, system.label, views, system.inputs)
    # In the order of the examples, so that a row of one is a row of the other.
    positions = {int(seq): place for place, seq in enumerate(events["_seq"].to_numpy())}
    ordered = events.take(pa.array([positions[int(seq)] for seq in examples.seq]))
    label = LabelColumn(system.label.name, system.label.kind)
    view = last_outcome_view(system.contract, system.label)
    last = compute([view], system.contract, label, events, ordered, outcomes)[LAST].to_pylist()
    return Material(examples, [_as_outcome(value, system) for value in last], data_version)


def _as_outcome(value: Any, system: System) -> Any:
    if value is None or value != value:
        return None
    return bool(value) if system.label.kind == "bool" else value
