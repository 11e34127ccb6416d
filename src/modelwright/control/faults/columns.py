"""Faults of a column: it goes missing, is in other units, calls a category otherwise, or moves away, at once or gradually.

What comes out is checked as ingest and serving check it, by the contract: a value it does not take has its row refused, so
that nobody is answered and the log never holds it. Outcomes that are read from later events follow the events.
"""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.control.faults.fault import (
    Damaged,
    Disturbance,
    Fault,
    Stretch,
    concerned_by,
    drifted_subject,
    times_of,
    told_subject,
)
from modelwright.control.material import Tables
from modelwright.core.errors import UsageError
from modelwright.features.ahead import outcomes_ahead
from modelwright.ingest.convert import convert
from modelwright.lake.journal import JournalRow
from modelwright.spec.contract import Field
from modelwright.spec.system import System
from modelwright.stats.predictions import Array


class ColumnFault(Fault, frozen=True, kw_only=True):
    """One column of the event is not what it was."""

    column: str

    def changed(self, values: pa.Array, before: pa.Array, progress: Array, field: Field) -> pa.Array:
        """The values of the stretch as they come now; each fault of a column changes them in its way. `before`: those before it;
        `progress` [n]: how far into it each is, from 0 to 1."""
        raise NotImplementedError

    def put_into(self, tables: Tables, system: System, stretch: Stretch) -> Damaged:
        events, field = tables.events, system.contract.field(self.column)
        at_us = times_of(tables, system)
        hit = (at_us >= stretch.begin_us) & (at_us < stretch.end_us)
        places = np.flatnonzero(hit)
        column = events[self.column].combine_chunks()
        values, before = column.take(pa.array(places)), column.filter(pa.array(at_us < stretch.begin_us))
        last_us = min(stretch.end_us, int(at_us.max()) + 1)
        progress = (at_us[places] - stretch.begin_us) / max(1, last_us - stretch.begin_us)
        now, faults = convert(self.changed(values, before, progress, field), field)
        same = pc.fill_null(pc.equal(now, values), pc.and_(pc.is_null(now), pc.is_null(values))).to_numpy(False)
        reasons = {fault.row: fault.reason for fault in faults}
        same[list(reasons)] = False
        if same.all():
            raise UsageError(f"--inject {self.text}: it would change nothing: {self._unchanged(values)}")
        events = events.set_column(
            events.schema.get_field_index(self.column), self.column, pc.replace_with_mask(column, pa.array(hit), now)
        )
        refused = np.array(sorted(places[list(reasons)], key=lambda place: int(at_us[place])), dtype=np.int64)
        reason = "" if not len(refused) else f"{self.column} {reasons[int(np.searchsorted(places, refused[0]))]}"
        kept = Tables(events.filter(pa.array(~np.isin(np.arange(len(at_us)), refused))), tables.outcomes, tables.others)
        outcomes = _outcomes_of(kept, system)
        times = tuple(int(one) for one in at_us[refused])
        return Damaged(Tables(kept.events, outcomes, kept.others), int((~same).sum()), times, reason)

    def subject_of(self, row: JournalRow, system: System, disturbance: Disturbance) -> str | None:
        """Drift of the column, of what is computed from it, or of the score; its range, and data that does not arrive as it
        should; decay; what fails because of it."""
        if row.kind == "alert" and "drifted" in row.evidence:
            return drifted_subject(row, concerned_by(frozenset({self.column}), system) | {"score"})
        if row.kind == "trigger":
            return "decay" if row.evidence["trigger"] == "OnDecay" else None
        if row.kind == "rejected":
            return "errors" if row.evidence.get("by") == "errors" else None
        return row.kind if row.kind in ("rolled_back", "error") else told_subject(row, self.column)

    def _unchanged(self, values: pa.Array) -> str:
        return f"all {len(values):,} values of {self.column} there stay what they are"


class Missing(ColumnFault, frozen=True, kw_only=True):
    """The column is not sent any more."""

    @property
    def meaning(self) -> str:
        return f"{self.column} goes missing"

    def changed(self, values: pa.Array, before: pa.Array, progress: Array, field: Field) -> pa.Array:
        return pa.nulls(len(values), values.type)


class Units(ColumnFault, frozen=True, kw_only=True):
    """The column is sent in other units: every value times a factor."""

    factor: float

    @property
    def meaning(self) -> str:
        times = f"{self.factor:g} times" if self.factor >= 1 else f"{1 / self.factor:g} times less than"
        return f"{self.column} is sent in other units, {times} what it was"

    def changed(self, values: pa.Array, before: pa.Array, progress: Array, field: Field) -> pa.Array:
        return _numbers(_floats(values) * self.factor)


class Renamed(ColumnFault, frozen=True, kw_only=True):
    """One category is called otherwise."""

    old: str
    new: str

    @property
    def meaning(self) -> str:
        return f"{self.column} calls {self.old!r} now {self.new!r}"

    def changed(self, values: pa.Array, before: pa.Array, progress: Array, field: Field) -> pa.Array:
        return pc.if_else(pc.equal(values, self.old), pa.scalar(self.new), values)

    def _unchanged(self, values: pa.Array) -> str:
        counted = pc.value_counts(values.drop_null()).to_pylist()
        most = sorted(counted, key=lambda one: (-one["counts"], one["values"]))[:5]
        known = ", ".join(repr(one["values"]) for one in most) or "nothing"
        return f"no event there has {self.column} {self.old!r}; the most frequent are {known}"


class Moved(ColumnFault, frozen=True, kw_only=True):
    """The column moves by so many standard deviations of what it was: at once, or step by step to the end of the stretch."""

    sigmas: float
    how: Literal["sudden", "gradual"]

    @property
    def meaning(self) -> str:
        how = "moves at once" if self.how == "sudden" else "moves gradually"
        return f"{self.column} {how} by {self.sigmas:+g} standard deviations"

    def changed(self, values: pa.Array, before: pa.Array, progress: Array, field: Field) -> pa.Array:
        known = _floats(before)
        known = known[np.isfinite(known)]
        if (
            not len(known) or known.min() == known.max()
        ):  # not by the standard deviation, which rounding makes more than 0
            raise UsageError(
                f"--inject {self.text}: {self.column} does not vary before it, so a standard deviation of it is nothing; "
                f"use units:{self.column}*FACTOR"
            )
        moved = _floats(values) + self.sigmas * float(known.std()) * (progress if self.how == "gradual" else 1.0)
        return _numbers(np.rint(moved) if field.kind == "int" else moved)


def _floats(values: pa.Array) -> Array:
    """[n] float64, NaN where missing."""
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _numbers(values: Array) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _outcomes_of(tables: Tables, system: System) -> pa.Table:
    """The outcomes of the events that are left; those read from later events, as these tell them now."""
    events, outcomes, label = tables.events, tables.outcomes, system.label
    if label.ahead is None:
        return outcomes.filter(pc.is_in(outcomes["_event_seq"], value_set=events["_seq"].combine_chunks()))
    found = outcomes_ahead(events, system.contract, label)
    seq: dict[Any, int] = dict(zip(events["_id"].to_pylist(), events["_seq"].to_pylist(), strict=True))
    newest = max(seq.values(), default=0)
    told = {
        "_seq": pa.array(np.arange(newest + 1, newest + 1 + found.num_rows)),
        "_event_seq": pa.array([seq[id] for id in found["_id"].to_pylist()], pa.int64()),
        "_live": pa.array(np.zeros(found.num_rows, dtype=bool)),
    }
    columns = [(told[name] if name in told else found[name]).cast(kind) for name, kind in _types(outcomes)]
    return pa.table(columns, schema=outcomes.schema)


def _types(table: pa.Table) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in table.schema]
