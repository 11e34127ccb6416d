"""`modelwright predict system.py IN OUT`: score a file of events with the champion, batch by batch; with a release's folder in
place of the system's file, with that release, which needs nothing of what trained it.

Each row is predicted as it would be live: its history is the log and the rows of the file before it. Nothing is written
to the log.

A release without views is streamed: a batch is read and checked while others are scored, so memory is that of a few
batches however long the file (and, where no column holds the id, about 100 bytes a row to tell equal rows apart). With
views the log's events, the file and its features are in memory together, since a row's history may stand anywhere in both.
"""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
from modelwright.spec.contract import Contract
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
    _check_files(given, out)
    began = time.perf_counter()
    workspace = workspace_of(system)
    checked = Checked(given, system.contract)
    with open_log(system, workspace, readonly=True) as log:
        champion = log.journal.pointer().champion
        if champion is None:
            raise UsageError(f"{system.name} has no champion yet; begin with `modelwright train`")
        release = open_release(workspace.releases / champion)
        blocks: Iterable[Block] = ((events, None) for events in checked)
        if release.manifest.views:
            watcher.step("reading the events")
            blocks = _with_features(system, log, release, checked, watcher)
    return _written(release, checked, blocks, out, watcher, began)


def predict_with(folder: Path, given: Path, out: Path, watcher: Watcher | None = None) -> PredictResult:
    """The same with the release of a folder, wherever that was copied to; its system is neither imported nor read.

    Raises `UsageError` for a release with views, whose history stands in its system's log, `ReleaseError` where it cannot be
    opened.
    """
    watcher = watcher or Silent()
    _check_files(given, out)
    began = time.perf_counter()
    release = open_release(folder)
    if release.manifest.views:
        raise UsageError(f"{folder} reads history, which stands in its system's log; give the system's file instead")
    checked = Checked(given, release.contract)
    return _written(release, checked, ((events, None) for events in checked), out, watcher, began)


def _check_files(given: Path, out: Path) -> None:
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{out}: the output is written as .csv or .parquet; choose one by its suffix")
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError(
            f"{out} cannot be written: {'it is a directory' if out.is_dir() else 'its folder does not exist'}"
        )
    if out.exists() and given.exists() and out.samefile(given):
        raise UsageError(f"{out} is the file to be scored; write to another one")


def _written(
    release: Release, checked: "Checked", blocks: Iterable["Block"], out: Path, watcher: Watcher, began: float
) -> PredictResult:
    """Score the blocks into the output. `began`: when, by the performance counter."""
    watcher.step("predicting")
    rows = 0
    with Output(out) as output:
        for table in _scored(release, checked.contract, blocks):
            output.write(table)
            rows += table.num_rows
            watcher.advance(table.num_rows, checked.total)
    seconds = time.perf_counter() - began
    return PredictResult(
        rows=rows,
        refused=checked.refused,
        release=release.name,
        seconds=round(seconds, 3),
        rows_per_second=round(rows / seconds, 1),
        out=str(out),
    )


BLOCK = 50_000
"""Rows scored at once where all are in memory."""

Block = tuple[pa.Table, pa.Table | None]
"""Some events, and their features where the release has views."""


class Checked:
    """The rows of a file that keep the contract, batch by batch, none of them empty.

    `refused` counts the rows that broke it, so far. Raises `DataError` at the end where no row was left.
    """

    def __init__(self, given: Path, contract: Contract) -> None:
        self.refused = 0
        self.total: int | None = None
        self.contract = contract
        self._given = given

    def __iter__(self) -> Iterator[pa.Table]:
        read, first = 0, ""
        for batch in checked_batches(self._given, self.contract, None, digests=False):
            self.refused += len(batch.quarantine)
            read += batch.rows
            if batch.quarantine and not first:
                row = batch.quarantine[0]
                first = f"row {row.row}: {f'{row.column}: ' if row.column else ''}{row.reason}"
            if batch.events.num_rows:
                yield batch.events
        if not read:
            raise DataError(f"{self._given} holds no rows")
        if self.refused == read:
            raise DataError(f"{self._given}: every row was refused; the first is {first}")


class Output:
    """The answers' file: written beside its place and moved there when it is whole.

    Raises `UsageError` where it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def write(self, table: pa.Table) -> None:
        """Some answers more; the first ones say which columns there are."""
        with self._told():
            if self._writer is None:
                form = csv.CSVWriter if self._path.suffix.lower() == ".csv" else pq.ParquetWriter
                self._writer = form(self._partial, table.schema)
            self._writer.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with self._told():
                    self._writer.close()
                    self._partial.rename(self._path)
        finally:
            self._partial.unlink(missing_ok=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            raise UsageError(f"{self._path} cannot be written: {said}; give a folder that you may write to") from None


def _with_features(system: System, log: Log, release: Release, checked: Checked, watcher: Watcher) -> Iterable[Block]:
    """The whole file with its features, with history from the log and from the file itself."""
    events = pa.concat_tables(checked)
    checked.total = events.num_rows
    watcher.step("computing features, each as of its own moment")
    history = log.events()
    head = log.head()
    fresh = events.filter(pc.invert(pc.is_in(events["_id"], value_set=history["_id"].combine_chunks())))
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
    features = compute(release.manifest.views, system.contract, label, joined, events, log.outcomes(), others)
    return [(events.slice(row, BLOCK), features.slice(row, BLOCK)) for row in range(0, events.num_rows, BLOCK)]


def _scored(release: Release, contract: Contract, blocks: Iterable[Block]) -> Iterator[pa.Table]:
    """The answers of each block, in the blocks' order; the next blocks are read while these are scored."""
    # An estimator in its native form has threads of its own, and is the user's code.
    threads = 1 if release.manifest.runtime == "native" else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[pa.Table]] = deque()
        for events, features in blocks:
            waiting.append(pool.submit(_answers, release, contract, events, features))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _answers(release: Release, contract: Contract, events: pa.Table, features: pa.Table | None) -> pa.Table:
    rows, _ = input_blocks(events, features, [column.name for column in release.manifest.inputs])
    said = release.predict(rows)
    columns: dict[str, Any] = {"id": events["_id"]}
    if contract.time is not None:
        columns[contract.time] = events[contract.time].cast(TIMESTAMP)
    columns["prediction"] = pa.array(said.value)
    if said.score is not None:
        columns["score"] = pa.array(said.score)
    if said.probabilities is not None:
        for place, value in enumerate(said.classes):
            columns[f"probability_{str(value).lower() if isinstance(value, bool) else value}"] = pa.array(
                said.probabilities[:, place]
            )
    columns["release"] = pa.repeat(release.name, events.num_rows)
    return pa.table(columns)
