"""History files into the log: events, and the outcomes their label column holds; bad rows into quarantine."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.errors import DataError
from modelwright.ingest.convert import TIMESTAMP, convert
from modelwright.ingest.identity import occurrence_ids, row_digest
from modelwright.ingest.readers import Raw, read_file
from modelwright.lake.log import Log
from modelwright.lake.rows import QuarantineRow
from modelwright.spec.contract import Contract, Field
from modelwright.spec.label import LabelSpec

Progress = Callable[[Path, int], None]


class Summary(msgspec.Struct, kw_only=True):
    """What an ingest did: counts of rows. `duplicates` were in the log already with the same body."""

    files: int = 0
    rows: int = 0
    events: int = 0
    outcomes: int = 0
    duplicates: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = {}


class Batch(msgspec.Struct):
    """Checked rows of one file: the events with `_id`, their digests, the outcomes, and what went wrong."""

    events: pa.Table
    digests: list[bytes]
    outcomes: pa.Table | None
    quarantine: list[QuarantineRow]
    rows: int


def ingest_files(
    log: Log,
    contract: Contract,
    label: LabelSpec | None,
    paths: Iterable[Path],
    progress: Progress | None = None,
) -> Summary:
    """Bring the files into the log. The same file twice counts once.

    An outcome in the label's column is known at the event's time plus the label's delay. Raises `DataError` for a file
    that is no file of its kind or lacks a column; single bad rows go to quarantine and are counted.
    """
    summary = Summary()
    for path in paths:
        summary.files += 1
        for batch in checked_batches(path, contract, label):
            appended = log.append_events(batch.events, batch.digests)
            for row in appended.conflict_rows:
                values = batch.events.slice(row, 1).to_pylist()[0]
                reason = f"id {values['_id']!r} is in the log already with another body"
                batch.quarantine.append(QuarantineRow(path.name, row + 1, contract.id or "", reason, _text(values)))
            if batch.outcomes is not None:
                summary.outcomes += log.append_outcomes(batch.outcomes).added
            if batch.quarantine:
                log.quarantine(batch.quarantine)
            summary.rows += batch.rows
            summary.events += appended.added
            summary.duplicates += appended.duplicates
            for refused in batch.quarantine:
                summary.quarantined += 1
                reason = f"{refused.column}: {refused.reason}" if refused.column else refused.reason
                summary.reasons[reason] = summary.reasons.get(reason, 0) + 1
            if progress is not None:
                progress(path, batch.rows)
    return summary


def checked_batches(path: Path, contract: Contract, label: LabelSpec | None) -> Iterable[Batch]:
    """The rows of one file against the contract, batch by batch."""
    seen: dict[bytes, int] = {}
    for raw in read_file(path):
        yield check(raw, path, contract, label, seen)


def check(raw: Raw, path: Path, contract: Contract, label: LabelSpec | None, seen: dict[bytes, int]) -> Batch:
    """One batch of raw rows against the contract. `seen` counts equal rows of this file (see `occurrence_ids`)."""
    _require_columns(raw.table, path, contract)
    faults = []
    columns: dict[str, pa.Array] = {}
    for field in contract.fields:
        columns[field.name], wrong = (
            convert(raw.table.column(field.column), field)
            if field.column in raw.table.column_names
            else convert(pa.nulls(raw.table.num_rows), field)
        )
        faults += wrong
    outcome = None
    if label is not None and label.name in raw.table.column_names:
        as_field = Field(name=label.name, kind=label.kind, column=label.name, nullable=True)
        outcome, wrong = convert(raw.table.column(label.name), as_field)
        faults += wrong

    first_fault = {fault.row: fault for fault in reversed(faults)}
    quarantine = [QuarantineRow(path.name, number, "", reason, text[:500]) for number, reason, text in raw.broken]
    for row in sorted(first_fault):
        fault = first_fault[row]
        text = _text(raw.table.slice(row, 1).to_pylist()[0])
        quarantine.append(QuarantineRow(path.name, raw.numbers[row], fault.column, fault.reason, text))

    table = pa.table(columns)
    if first_fault:
        keep = pa.array([row not in first_fault for row in range(table.num_rows)], pa.bool_())
        table = table.filter(keep)
        outcome = outcome.filter(keep) if outcome is not None else None
    digests = [row_digest(values) for values in rows_of(table, contract)]
    ids = occurrence_ids(digests, seen) if contract.id is None else [str(v) for v in table[contract.id].to_pylist()]
    events = table.append_column("_id", pa.array(ids, pa.string()))
    return Batch(
        events, digests, _outcomes(events, outcome, contract, label), quarantine, len(raw.numbers) + len(raw.broken)
    )


def rows_of(table: pa.Table, contract: Contract) -> Iterable[tuple[Any, ...]]:
    """The rows as tuples in the contract's order, times as integer microseconds: what the log stores and hashes."""
    lists = []
    for field in contract.fields:
        column = table[field.name]
        lists.append((column.cast(pa.int64()) if field.kind == "time" else column).to_pylist())
    return zip(*lists, strict=True)


def _require_columns(table: pa.Table, path: Path, contract: Contract) -> None:
    absent = [field for field in contract.fields if field.column not in table.column_names and not field.has_default]
    if absent:
        field = absent[0]
        raise DataError(
            f"{path.name} has no column {field.column!r}; its columns are {', '.join(table.column_names)}. If it is "
            f"called otherwise there, declare {contract.name}.{field.name} with mw.Meta(column=...)"
        )


def _outcomes(
    events: pa.Table, outcome: pa.Array | None, contract: Contract, label: LabelSpec | None
) -> pa.Table | None:
    if outcome is None or label is None or contract.time is None:
        return None
    known = pc.add(events[contract.time].cast(pa.int64()), label.delay_us).cast(pa.int64()).cast(TIMESTAMP)
    table = pa.table({"_id": events["_id"], label.name: outcome, "_known_at": known})
    return table.filter(pc.is_valid(table[label.name]))


def _text(values: dict[str, Any]) -> str:
    return msgspec.json.encode(values, enc_hook=str).decode()[:500]
