"""Rows of the log as Arrow tables, and back.

Used when rows are drained, read or appended in bulk; imports pyarrow, so it is itself imported only where a table is
touched. It never reads or writes a file.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.errors import DataError
from modelwright.lake.rows import (
    EventRow,
    LogSchema,
    OtherRow,
    OutcomeRow,
    PredictionRow,
    QuarantineRow,
    Row,
    TableName,
    event_of_table,
)

INSTANT = pa.timestamp("us", tz="UTC")
TYPES = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "str": pa.string(), "time": INSTANT}


def seq_column(name: TableName) -> str:
    """The column that holds a row's sequence number."""
    return "seq" if name == "predictions" else "_seq"


def holds_events(name: TableName) -> bool:
    """Whether a table holds events, the system's own or others."""
    return name.partition(".")[0] == "events"


QUARANTINE = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("reason", pa.string()),
        ("raw", pa.string()),
        ("at", INSTANT),
    ]
)


@lru_cache(maxsize=64)
def arrow_schema(schema: LogSchema, name: TableName) -> pa.Schema:
    """The Arrow schema of one table of a log."""
    label = TYPES[schema.label_kind] if schema.label_kind else pa.string()
    if holds_events(name):
        contract = schema.contract_of(event_of_table(name))
        fields = [("_seq", pa.int64()), ("_id", pa.string()), ("_live", pa.bool_()), ("_arrived_at", INSTANT)]
        return pa.schema(fields + [(field.name, TYPES[field.kind]) for field in contract.fields])
    if name == "outcomes":
        return pa.schema(
            [
                ("_seq", pa.int64()),
                ("_event_seq", pa.int64()),
                ("_id", pa.string()),
                (schema.label or "_value", label),
                ("_known_at", INSTANT),
                ("_live", pa.bool_()),
            ]
        )
    return pa.schema(
        [
            ("seq", pa.int64()),
            ("event_seq", pa.int64()),
            ("id", pa.string()),
            ("at", INSTANT),
            ("made_at", INSTANT),
            ("release", pa.string()),
            ("role", pa.string()),
            ("prediction", pa.float64() if schema.label_kind == "int" else label),
            ("score", pa.float64()),
            ("probabilities", pa.list_(pa.float64())),
            ("features", pa.string()),
        ]
    )


def table_of(schema: LogSchema, name: TableName, rows: list[Any]) -> pa.Table:
    """Rows of one kind as a table of that kind."""
    target = arrow_schema(schema, name)
    columns: list[Any]
    if holds_events(name):
        columns = [[r.seq for r in rows], [r.id for r in rows], [r.live for r in rows], [r.arrived_us for r in rows]]
        columns += zip(*(r.values for r in rows), strict=True) if rows else [[] for _ in target][4:]
    else:
        members = (PredictionRow if name == "predictions" else OutcomeRow).__struct_fields__
        columns = [[getattr(r, member) for r in rows] for member in members]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, target, strict=True)], schema=target
    )


def quarantine_table(rows: list[QuarantineRow]) -> pa.Table:
    """Quarantined rows as a table."""
    columns = [[getattr(row, member) for row in rows] for member in QuarantineRow.__struct_fields__]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, QUARANTINE, strict=True)], schema=QUARANTINE)


def rows_of(schema: LogSchema, name: TableName, table: pa.Table) -> list[Row]:
    """The rows of a table of one kind, in its order."""
    lists = [python_values(table.column(field.name)) for field in arrow_schema(schema, name)]
    if holds_events(name):
        event = event_of_table(name)
        time = schema.contract_of(event).time
        times = python_values(table.column(time)) if time else lists[3]
        seqs, ids, lives, arrived, *values = lists
        rows = zip(seqs, ids, times, lives, arrived, map(list, zip(*values, strict=True)), strict=True)
        return [EventRow(*row) if event is None else OtherRow(event, *row) for row in rows]
    kind: Any = PredictionRow if name == "predictions" else OutcomeRow
    return [kind(*row) for row in zip(*lists, strict=True)]


def python_values(column: Any) -> list[Any]:
    """A column's values as the log stores them: times as microseconds, missing as None."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[Any] = column.to_pylist()
    return values


def conform(table: pa.Table, target: pa.Schema, filled: dict[str, Any] | None = None) -> pa.Table:
    """The table with exactly the target's columns and types; `filled` gives values for columns it lacks or that are
    missing in a row. Naive times mean UTC.

    Raises `DataError` naming the column that is absent or does not fit.
    """
    columns = []
    for field in target:
        fill = (filled or {}).get(field.name)
        if field.name not in table.column_names:
            if fill is None:
                raise DataError(f"the table has no column {field.name!r}; it needs {', '.join(target.names)}")
            columns.append(pa.repeat(pa.scalar(fill, field.type), table.num_rows))
            continue
        column = table.column(field.name)
        try:
            column = column if column.type == field.type else column.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"column {field.name!r} is {column.type}, not {field.type}: {error}") from None
        columns.append(column if fill is None else pc.fill_null(column, pa.scalar(fill, field.type)))
    return pa.table(columns, schema=target)


def in_order(table: pa.Table, column: str) -> pa.Table:
    """The table sorted by a column of sequence numbers; free where it is sorted already."""
    seqs = table.column(column).to_numpy()
    if len(seqs) < 2 or bool(np.all(seqs[1:] > seqs[:-1])):
        return table
    return table.take(pa.array(np.argsort(seqs, kind="stable")))


def to_ipc(table: pa.Table) -> bytes:
    """The table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    data: bytes = sink.getvalue().to_pybytes()
    return data


def from_ipc(data: bytes) -> pa.Table:
    """The table of an Arrow IPC stream."""
    return pa.ipc.open_stream(data).read_all()
