"""Faults of the outcomes: for a time, what would become known comes only at its end, or never.

Nobody predicts otherwise for it at once. What the loop is left with is less to compare by, less to learn from, and stale past
outcomes among the features; and what it does not know it must not take for good.
"""

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from modelwright.control.faults.fault import (
    Damaged,
    Disturbance,
    Fault,
    Stretch,
    concerned_by,
    drifted_subject,
    told_subject,
)
from modelwright.control.material import Tables
from modelwright.core.durations import duration_text
from modelwright.core.errors import UsageError
from modelwright.lake.journal import JournalRow
from modelwright.spec.system import System
from modelwright.stats.predictions import Array


class OutcomesFault(Fault, frozen=True, kw_only=True):
    """No outcome becomes known for `lasts_us`; then all of them at once, or none of them ever."""

    lasts_us: int
    how: Literal["late", "lost"]

    @property
    def meaning(self) -> str:
        then = "then all come at once" if self.how == "late" else "and they never come"
        return f"no outcomes for {duration_text(self.lasts_us)}, {then}"

    def placed(self, at_us: Array, start: int) -> Stretch:
        """By its own length; of that, as much as the history has."""
        whole = super().placed(at_us, start)
        end_us = whole.begin_us + self.lasts_us
        after = int(at_us.searchsorted(end_us))
        return Stretch(whole.first, after, whole.begin_us, end_us)

    def put_into(self, tables: Tables, system: System, stretch: Stretch) -> Damaged:
        outcomes = tables.outcomes
        known_us = outcomes["_known_at"].cast(pa.int64())
        hit = pc.and_(pc.greater_equal(known_us, stretch.begin_us), pc.less(known_us, stretch.end_us))
        changed = int(pc.sum(hit).as_py() or 0)
        if not changed:
            raise UsageError(f"--inject {self.text}: it would change nothing: no outcome becomes known in that time")
        if self.how == "lost":
            return Damaged(Tables(tables.events, outcomes.filter(pc.invert(hit)), tables.others), changed)
        place = outcomes.schema.get_field_index("_known_at")
        late = pc.if_else(hit, stretch.end_us, known_us).cast(outcomes.schema.field(place).type)
        return Damaged(Tables(tables.events, outcomes.set_column(place, "_known_at", late), tables.others), changed)

    def subject_of(self, row: JournalRow, system: System, disturbance: Disturbance) -> str | None:
        """Data that is not as it should be, and drift of what is computed from past outcomes."""
        if row.kind == "alert" and "drifted" in row.evidence:
            return drifted_subject(row, concerned_by(frozenset({system.label.name}), system))
        return told_subject(row)
