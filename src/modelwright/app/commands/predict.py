"""`modelwright predict system.py IN OUT`: score a file of events with the champion, batch by batch.

Each row is predicted as it would be live: its history is the log and the rows of the file before it. Nothing is written
to the log.
"""

import time
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from modelwright.app.wiring import open_log, workspace_of
from modelwright.core.errors import DataError, UsageError
from modelwright.features.offline import compute
from modelwright.features.plan import LabelColumn
from modelwright.ingest.convert import TIMESTAMP
from modelwright.ingest.files import checked_batches
from modelwright.lake.log import Log
from modelwright.release.folder import Release, open_release
from modelwright.release.inputs import Rows
from modelwright.spec.system import System
from modelwright.training.examples import input_blocks


class Watcher(Protocol):
    """Who is told how far it is."""

    def step(self, text: str) -> None: ...

    def advance(self, rows: int, total: int | None = None) -> None: ...


class Silent:
    """Watches nothing."""

    def step(self, text: str) -> None: ...

    def advance(self, rows: int, total: int | None = None) -> None: ...


class PredictResult(msgspec.Struct, kw_only=True):
    """What `predict --json` prints. `refused` rows broke the contract and are not in the output."""

    rows: int
    refused: int
    release: str
    seconds: float
    rows_per_second: float
    out: str


def predict(system: System, given: Path, out: Path, watcher: Watcher | None = None) -> PredictResult:
    """Score the events of `given` into `out` (.csv or .parquet): id, time, prediction, score, probabilities, release.

    Raises `UsageError` where nothing is live yet or `out` is of another kind, `DataError` for an unreadable file.
    """
    watcher = watcher or Silent()
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{out}: the output is written as .csv or .parquet; choose one by its suffix")
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError(
            f"{out} cannot be written: {'it is a directory' if out.is_dir() else 'its folder does not exist'}"
        )
    if out.exists() and given.exists() and out.samefile(given):
        raise UsageError(f"{out} is the file to be scored; write to another one")
    began = time.perf_counter()
    workspace = workspace_of(system)
    with open_log(system, workspace, readonly=True) as log:
        champion = log.journal.pointer().champion
        if champion is None:
            raise UsageError(f"{system.name} has no champion yet; begin with `modelwright train`")
        release = open_release(workspace.releases / champion)

        watcher.step("reading the events")
        batches, refused, read, first = [], 0, 0, ""
        for batch in checked_batches(given, system.contract, None):
            batches.append(batch.events)
            refused += len(batch.quarantine)
            read += batch.rows
            if batch.quarantine and not first:
                row = batch.quarantine[0]
                first = f"row {row.row}: {f'{row.column}: ' if row.column else ''}{row.reason}"
        if not read:
            raise DataError(f"{given} holds no rows")
        if refused == read:
            raise DataError(f"{given}: every row was refused; the first is {first}")
        events = pa.concat_tables(batches)
        rows = rows_of_events(system, log, release, events, watcher)
    total = len(rows)

    watcher.step("predicting")
    partial = out.with_name(f".{out.name}.partial")
    schema: Any = None
    writer: Any = None
    try:
        for begin in range(0, max(total, 1), BLOCK):
            block = slice(begin, min(total, begin + BLOCK))
            table = _answers(system, release, events.slice(begin, block.stop - begin), rows.take(block))
            if writer is None:
                schema = table.schema
                writer = (
                    csv.CSVWriter(partial, schema)
                    if out.suffix.lower() == ".csv"
                    else pq.ParquetWriter(partial, schema)
                )
            writer.write_table(table)
            watcher.advance(block.stop - begin, total)
        writer.close()
        partial.rename(out)
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise UsageError(f"{out} cannot be written: {said}; give a folder that you may write to") from None
    finally:
        partial.unlink(missing_ok=True)
    seconds = time.perf_counter() - began
    return PredictResult(
        rows=total,
        refused=refused,
        release=release.name,
        seconds=round(seconds, 3),
        rows_per_second=round(total / seconds, 1),
        out=str(out),
    )


BLOCK = 20_000


def rows_of_events(system: System, log: Log, release: Release, events: pa.Table, watcher: Watcher) -> Rows:
    """The model's rows for each event of the file, with history from the log and from the file itself."""
    views = release.manifest.views
    names = [column.name for column in release.manifest.inputs]
    if not views:
        return input_blocks(events, None, names)[0]
    watcher.step("computing features, each as of its own moment")
    history = log.events()
    head = log.head()
    known = pa.array(
        np.isin(np.array(events["_id"].to_pylist(), dtype=object), np.array(history["_id"].to_pylist(), dtype=object))
    )
    fresh = events.filter(pa.compute.invert(known)) if events.num_rows else events
    columns = [*system.contract.names, "_id"]
    joined = pa.concat_tables(
        [
            history.select([*columns, "_seq", "_live"]),
            fresh.select(columns)
            .append_column("_seq", pa.array(np.arange(head + 1, head + 1 + fresh.num_rows)))
            .append_column("_live", pa.array(np.zeros(fresh.num_rows, dtype=bool))),
        ],
        promote_options="permissive",
    )
    label = LabelColumn(system.label.name, system.label.kind)
    others = [(contract, log.events(contract.name)) for contract in release.manifest.others]
    features = compute(views, system.contract, label, joined, events, log.outcomes(), others)
    return input_blocks(events, features, names)[0]


def _answers(system: System, release: Release, events: pa.Table, rows: Rows) -> pa.Table:
    said = release.predict(rows)
    values = said.value.tolist()
    columns: dict[str, Any] = {"id": events["_id"]}
    if system.contract.time is not None:
        columns[system.contract.time] = events[system.contract.time].cast(TIMESTAMP)
    columns["prediction"] = pa.array(values)
    if said.score is not None:
        columns["score"] = pa.array(said.score)
    if said.probabilities is not None:
        for place, value in enumerate(said.classes):
            columns[f"probability_{str(value).lower() if isinstance(value, bool) else value}"] = pa.array(
                said.probabilities[:, place]
            )
    columns["release"] = pa.array([release.name] * events.num_rows)
    return pa.table(columns)
