"""A fault that a rehearsal is to go through: what it is, where in the history, and what would be noticing it.

What is asked for (`Fault`, a value read by `grammar`) is placed in a history (`Stretch`), put into its tables (`Damaged`), and
may act while the rehearsal runs (`Disturbance`). A family of faults is one file beside this one. Nothing here looks at what
came of it: `effect` does.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from modelwright.control.material import Tables
from modelwright.control.trainer import Trainer
from modelwright.core.errors import UsageError
from modelwright.lake.journal import JournalRow
from modelwright.release.inputs import Rows
from modelwright.spec.system import System
from modelwright.stats.predictions import Array
from modelwright.training.examples import NEVER


class Stretch(msgspec.Struct, frozen=True):
    """A part of a history: positions of its first event and of the first one after it, and their times (NEVER at the end)."""

    first: int
    after: int
    begin_us: int
    end_us: int


@dataclass(frozen=True)
class Damaged:
    """A history with a fault in it. `changed`: rows that are not what they were; `refused_us`: the times of those events that
    the contract takes no longer, in order, and `reason` the first one's."""

    tables: Tables
    changed: int = 0
    refused_us: tuple[int, ...] = ()
    reason: str = ""


class Disturbance:
    """What a fault does while its rehearsal runs; by itself nothing, for it is in the data. State: `began_us`, when it took
    effect (None: not yet), `ended_us`, when it was over (None: not yet, or with the release it is about), and `release`, which
    that is."""

    def __init__(self, began_us: int | None = None, ended_us: int | None = None) -> None:
        self.began_us = began_us
        self.ended_us = ended_us
        self.release: str | None = None

    def trainer(self, inner: Trainer) -> Trainer:
        """The trainer of the rehearsal."""
        return inner

    def rows(self, release: str, at_us: int, rows: Rows) -> Rows:
        """The inputs of every event as a challenger is given them, which is asked for the first time at that moment."""
        return rows


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """`text`: as it was asked for. `begin`, `end`: shares of the history, None where they were left out."""

    text: str
    begin: float | None = None
    end: float | None = None

    @property
    def meaning(self) -> str:
        """What goes wrong, in words; each kind of fault says so itself."""
        raise NotImplementedError

    def placed(self, at_us: Array, start: int) -> Stretch:
        """Where it is in a history whose events are at `at_us` [n] and are replayed from position `start` on: by default from
        the middle of what is replayed. Raises `UsageError` where it would begin before that."""
        total = len(at_us)
        first = (start + total) // 2 if self.begin is None else int(total * self.begin)
        if first < start:
            raise UsageError(
                f"--inject {self.text}: it would begin at {self.begin:g} of the history, and the replay begins at "
                f"{start / total:.3g}; give a later @SHARE, or a smaller --from"
            )
        after = total if self.end is None else int(total * self.end)
        if after <= first:
            raise UsageError(f"--inject {self.text}: no event is within it; give a longer part of the history")
        end_us = NEVER if after >= total else int(at_us[after])
        return Stretch(first, after, int(at_us[first]), end_us)

    def put_into(self, tables: Tables, system: System, stretch: Stretch) -> Damaged:
        """The history with the fault in it. Raises `UsageError` where there is nothing it could change."""
        return Damaged(tables)

    def disturbance(self, stretch: Stretch) -> Disturbance:
        """What it does while the rehearsal runs."""
        return Disturbance(stretch.begin_us, None if stretch.end_us == NEVER else stretch.end_us)

    def subject_of(self, row: JournalRow, system: System, disturbance: Disturbance) -> str | None:
        """What a decision has noticed, if it could be this fault; None for one that is about something else. Each kind of fault
        knows its own."""
        raise NotImplementedError


def concerned_by(columns: frozenset[str], system: System) -> frozenset[str]:
    """The inputs of the model that hang on some columns of the event, or on its past outcomes: themselves and features."""
    own = [view.spec() for view in system.features]
    features = {
        name
        for view in own
        if view.event == system.contract.name
        for name, aggregate in view.features.items()
        if columns & (aggregate.columns() | set(view.by))
    }
    return frozenset(features | (columns & set(system.inputs)))


def drifted_subject(row: JournalRow, names: frozenset[str]) -> str | None:
    """The first of some inputs, or their relation to another, that an alarm of drift is about."""
    for one in row.evidence["drifted"]:
        if names & set(str(one["name"]).removeprefix("the length of ").split(" with ")):
            return f"drift of {one['name']}"
    return None


def told_subject(row: JournalRow, column: str | None = None) -> str | None:
    """What an alert is about that is no alarm of drift; None for one that only says what the loop waits for, and for one about
    values of another column than this one."""
    evidence: dict[str, Any] = row.evidence
    if row.kind != "alert" or "drifted" in evidence or "held" in evidence or "pairs" in evidence:
        return None
    if evidence.get("what") == "range" and evidence["of"] != column:
        return None
    return f"{evidence.get('what', 'alert')} of {evidence.get('of')}"


def times_of(tables: Tables, system: System) -> Array:
    """[n] when each event happened, in the table's order, in microseconds."""
    assert system.contract.time is not None
    return np.asarray(tables.events[system.contract.time].cast("int64").to_numpy())
