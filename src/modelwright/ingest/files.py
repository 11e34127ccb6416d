"""History files into the log: events, and the outcomes their label column holds; bad rows into quarantine."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.errors import DataError
from modelwright.ingest.convert import LAST_US, NESTED, TIMESTAMP, Fault, convert
from modelwright.ingest.delay import agree_on_delay
from modelwright.ingest.identity import occurrence_ids, row_digest
from modelwright.ingest.readers import Raw, read_file
from modelwright.lake.log import Log
from modelwright.lake.rows import QuarantineRow
from modelwright.spec.contract import Contract, Field
from modelwright.spec.label import LabelSpec

Progress = Callable[[Path, int], None]


class Summary(msgspec.Struct, kw_only=True):
    """What an ingest did: counts of rows. `duplicates` were in the log already with the same body. `refused`: of each file of
    which every row is in quarantine, how many rows that are and the reason of one."""

    files: int = 0
    rows: int = 0
    events: int = 0
    outcomes: int = 0
    duplicates: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = {}
    refused: dict[str, tuple[int, str]] = {}


REASONS = 50
"""Different reasons a summary tells apart."""


class Batch(msgspec.Struct):
    """Checked rows of one file: the events with `_id`, their digests if asked for, the outcomes, and what went wrong.

    `numbers`: for each event its row in the file. `outcome_of`: for each outcome the place of its event in `events`.
    """

    events: pa.Table
    digests: list[bytes]
    numbers: Sequence[int]
    outcomes: pa.Table | None
    outcome_of: list[int]
    quarantine: list[QuarantineRow]
    rows: int

    def outcomes_without(self, refused: Collection[int]) -> pa.Table | None:
        """The outcomes but those of the events at these places."""
        if self.outcomes is None or not refused:
            return self.outcomes
        return self.outcomes.filter(pa.array([place not in refused for place in self.outcome_of], pa.bool_()))


def ingest_files(
    log: Log,
    contract: Contract,
    label: LabelSpec | None,
    paths: Iterable[Path],
    progress: Progress | None = None,
    *,
    event: str | None = None,
    summary: Summary | None = None,
) -> Summary:
    """Bring the files into the log. The same file twice counts once.

    `event` names the log's other event that the contract is of, if it is not the system's own. What is done is counted
    into `summary`. An outcome in the label's column is known at the event's time plus the label's delay.

    Raises `DataError` for a file that is no file of its kind or lacks a column; single bad rows go to quarantine and are
    counted; `WorkspaceError` where files have told the log's outcomes with another delay.
    """
    summary = summary or Summary()
    if label is not None and label.ahead is None:
        agree_on_delay(log, contract, label)
    for path in paths:
        summary.files += 1
        rows, quarantined, first = summary.rows, summary.quarantined, ""
        for batch in checked_batches(path, contract, label):
            appended = log.append_events(batch.events, batch.digests, event)
            events = batch.events.drop_columns("_id")
            for row in appended.conflict_rows:
                reason = f"id {batch.events['_id'][row].as_py()!r} is in the log already with another body"
                column = contract.field(contract.id).column if contract.id else ""
                number = batch.numbers[row]
                batch.quarantine.append(QuarantineRow(path.name, number, column, reason, _text(events.slice(row, 1))))
            outcomes = batch.outcomes_without(set(appended.conflict_rows))
            if outcomes is not None:
                summary.outcomes += log.append_outcomes(outcomes).added
            if batch.quarantine:
                log.quarantine(batch.quarantine)
            summary.rows += batch.rows
            summary.events += appended.added
            summary.duplicates += appended.duplicates
            for refused in batch.quarantine:
                summary.quarantined += 1
                reason = f"{refused.column}: {refused.reason}" if refused.column else refused.reason
                first = first or reason
                if reason not in summary.reasons and len(summary.reasons) >= REASONS:
                    reason = "other reasons; all are in the quarantine table"
                summary.reasons[reason] = summary.reasons.get(reason, 0) + 1
            if progress is not None:
                progress(path, batch.rows)
        if (came := summary.rows - rows) and came == summary.quarantined - quarantined:
            summary.refused[path.name] = came, first
    return summary


def checked_batches(
    path: Path, contract: Contract, label: LabelSpec | None, *, digests: bool = True
) -> Iterator[Batch]:
    """The rows of one file against the contract, batch by batch. `digests=False` leaves out the digests, which only the log
    wants; where no column holds the id, a row is known by its digest, and about 100 bytes a row are kept for that."""
    seen: dict[bytes, int] = {}
    for raw in read_file(path):
        yield check(raw, path, contract, label, seen, digests=digests)


def check(
    raw: Raw,
    path: Path,
    contract: Contract,
    label: LabelSpec | None,
    seen: dict[bytes, int],
    *,
    digests: bool = True,
) -> Batch:
    """One batch of raw rows against the contract. `seen` counts equal rows of this file (see `occurrence_ids`)."""
    if raw.numbers or raw.table.column_names:  # lines of which none is an object say nothing of columns
        _require_columns(raw.table, path, contract, label)
    faults: list[Fault] = []
    columns: dict[str, pa.Array] = {}
    for field in contract.fields:
        columns[field.name], wrong = (
            convert(raw.table.column(field.column), field)
            if field.column in raw.table.column_names
            else convert(pa.nulls(raw.table.num_rows), field)
        )
        faults += wrong
    outcome = None
    if label is not None and label.ahead is not None and label.name in raw.table.column_names:
        raise DataError(
            f"{path.name} has a column {label.name!r}, and the label of that name is read from later events; drop the "
            "column, or give Label.ahead another name="
        )
    if label is not None and label.name in raw.table.column_names:
        as_field = Field(name=label.name, kind=label.kind, column=label.name, nullable=True)
        outcome, wrong = convert(raw.table.column(label.name), as_field)
        faults += wrong
    for name in {*(field.column for field in contract.fields), *([label.name] if label else [])} & raw.nested.keys():
        faults += [Fault(row, name, NESTED) for row in raw.nested[name]]

    first_fault = {fault.row: fault for fault in reversed(faults)}
    quarantine = [QuarantineRow(path.name, number, "", reason, text[:500]) for number, reason, text in raw.broken]
    for row in sorted(first_fault):
        fault = first_fault[row]
        text = _text(raw.table.slice(row, 1))
        quarantine.append(QuarantineRow(path.name, raw.numbers[row], fault.column, fault.reason, text))

    table, numbers = pa.table(columns), raw.numbers
    if first_fault:
        keep = pa.array([row not in first_fault for row in range(table.num_rows)], pa.bool_())
        table = table.filter(keep)
        numbers = [number for row, number in enumerate(numbers) if row not in first_fault]
        outcome = outcome.filter(keep) if outcome is not None else None
    bodies = [row_digest(values) for values in rows_of(table, contract)] if digests or contract.id is None else []
    ids = (
        pa.array(occurrence_ids(bodies, seen), pa.string())
        if contract.id is None
        else table[contract.id].cast(pa.string())
    )
    events = table.append_column("_id", ids)
    outcomes, outcome_of = _outcomes(events, outcome, contract, label)
    rows = len(raw.numbers) + len(raw.broken)
    return Batch(events, bodies, numbers, outcomes, outcome_of, quarantine, rows)


def rows_of(table: pa.Table, contract: Contract) -> Iterable[tuple[Any, ...]]:
    """The rows as tuples in the contract's order, times as integer microseconds: what the log stores and hashes."""
    lists = []
    for field in contract.fields:
        column = table[field.name]
        lists.append((column.cast(pa.int64()) if field.kind == "time" else column).to_pylist())
    return zip(*lists, strict=True)


def _require_columns(table: pa.Table, path: Path, contract: Contract, label: LabelSpec | None) -> None:
    absent = [field for field in contract.fields if field.column not in table.column_names and not field.has_default]
    if absent:
        field = absent[0]
        raise DataError(
            f"{path.name} has no column {field.column!r}; its columns are {', '.join(table.column_names)}. If it is "
            f"called otherwise there, declare {contract.name}.{field.name} with mw.Meta(column=...)"
        )
    read = [field.column for field in contract.fields] + ([label.name] if label else [])
    doubled = [name for name in read if table.column_names.count(name) > 1]
    if doubled:
        raise DataError(f"{path.name} has more than one column {doubled[0]!r}; rename all but one")


def _outcomes(
    events: pa.Table, outcome: pa.Array | None, contract: Contract, label: LabelSpec | None
) -> tuple[pa.Table | None, list[int]]:
    if outcome is None or label is None or contract.time is None:
        return None, []
    known = pc.add(events[contract.time].cast(pa.int64()), label.delay_us)
    known = pc.min_element_wise(known, LAST_US).cast(pa.int64()).cast(TIMESTAMP)  # 9999-12-31 is a common "never"
    there = pc.indices_nonzero(pc.is_valid(outcome))
    table = pa.table({"_id": events["_id"], label.name: outcome, "_known_at": known})
    return table.take(there), there.to_pylist()


def _text(row: pa.Table) -> str:
    """The row as it came, for people."""
    try:
        values = row.to_pylist()[0]
    except (ValueError, OverflowError):  # an instant Python has no form for
        values = {name: str(pc.cast(row[name], pa.string())[0]) for name in row.column_names}
    return msgspec.json.encode(values, enc_hook=str).decode()[:500]
