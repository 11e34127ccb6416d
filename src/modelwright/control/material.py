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
from modelwright.stats.predictions import Array
from modelwright.training.baseline import LAST, last_outcome_view
from modelwright.training.examples import Examples, build_examples


@dataclass(frozen=True)
class Tables:
    """The rows of a log: events, outcomes, and the rows of the other events that views are over."""

    events: pa.Table
    outcomes: pa.Table
    others: Others = ()


@dataclass(frozen=True)
class Material:
    """The inputs of every event, and for the baseline the last outcome known at each.

    `last_outcome` [n] holds texts and None, or numbers (a bool as 0 and 1) and NaN where none was known. `entities`: whose
    event it is, where the contract says so.
    """

    examples: Examples
    last_outcome: Array
    entities: list[Any] | None = None

    def key(self, position: int) -> str:
        """What decides whether an event is in a canary's share: its entity, or its id where it has none."""
        entity = None if self.entities is None else self.entities[position]
        return str(self.examples.ids[position] if entity is None else entity)

    def rows_for(self, manifest: Manifest) -> Rows:
        """The inputs of every event in the form that release wants; ReleaseError for one of another declaration."""
        if manifest.runtime == "constant":
            return Rows(np.zeros((len(self.examples), 0)))
        if manifest.runtime == LAST:
            if manifest.inputs[0].kind == "text":
                return Rows(np.zeros((len(self.examples), 0)), (self.last_outcome.tolist(),))
            return Rows(self.last_outcome.reshape(-1, 1))
        if tuple(column.name for column in manifest.inputs) != self.examples.names:
            raise ReleaseError("a release of another declaration cannot be compared: its inputs differ")
        return self.examples.rows


def read_material(log: Log, system: System) -> Material:
    """The log as material."""
    return material_of(read_tables(log, system), system)


def read_tables(log: Log, system: System) -> Tables:
    """All rows that the log holds at one moment: what is written while they are read is left out, so that no outcome is without
    its event."""
    head = log.head()

    def upto_head(rows: pa.Table) -> pa.Table:
        return rows.slice(0, int(np.searchsorted(rows["_seq"].to_numpy(), head, side="right")))

    others = [(contract, upto_head(log.events(contract.name))) for contract in system.others]
    return Tables(upto_head(log.events()), upto_head(log.outcomes()), others)


def material_of(tables: Tables, system: System) -> Material:
    """The rows as material."""
    return make_material(tables.events, tables.outcomes, system, tables.others)


def make_material(events: pa.Table, outcomes: pa.Table, system: System, others: Others = ()) -> Material:
    """The same from tables in the log's form; `others` are the rows of the other events that views are over."""
    views = [view.spec() for view in system.features]
    examples = build_examples(events, outcomes, system.contract, system.label, views, system.inputs, others)
    # In the order of the examples, so that a row of one is a row of the other.
    positions = {int(seq): place for place, seq in enumerate(events["_seq"].to_numpy())}
    ordered = events.take(pa.array([positions[int(seq)] for seq in examples.seq]))
    label = LabelColumn(system.label.name, system.label.kind)
    view = last_outcome_view(system.contract, system.label)
    last = compute([view], system.contract, label, events, ordered, outcomes)[LAST]
    is_text = system.label.kind == "str"
    said = np.array(last.to_pylist(), dtype=object) if is_text else last.cast(pa.float64()).to_numpy()
    entity = system.contract.entity
    return Material(examples, said, None if entity is None else ordered[entity].to_pylist())
