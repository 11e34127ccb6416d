"""The log's Delta tables: appending with the sequence number in the commit, pinned reading, upkeep.

`lake/drain.py` is the only caller that writes. A table's transaction number is the sequence number up to which it
holds the log, so that a drain repeated after a crash appends nothing twice. It never looks at the buffer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.core.errors import NoRoomError, WorkspaceError
from modelwright.lake.store import Store, flush, is_full
from modelwright.lake.sums import Sums

if TYPE_CHECKING:
    import pyarrow as pa

APP = "modelwright"
"""The name under which the sequence number stands in a table's commits."""

KEPT_HOURS = 7 * 24
"""Files no longer referenced stay this long, for readers that pinned an older version."""

UPKEEP_COMMITS = 100
"""Appends after which a table is kept up."""

SMALL_FILES = 8
"""Compact a table when it has at least this many files."""


class Pinned:
    """One version of one table, and the sequence number up to which it holds the log (0 while there is no table).

    Raises `WorkspaceError`, here and in `read`, where the table is damaged.
    """

    def __init__(self, path: Path, schema: pa.Schema, sums: Sums) -> None:
        from deltalake import DeltaTable

        self._path = path
        self._sums = sums
        self._schema = schema
        with _translated(path, "read"):
            self._table: Any = DeltaTable(str(path)) if DeltaTable.is_deltatable(str(path)) else None
            self.upto: int = 0 if self._table is None else self._table.transaction_version(APP) or 0

    def read(self, column: str | None = None, after: int = 0, upto: int = 0) -> pa.Table:
        """All rows, or those with `after < column <= upto`; in no particular order."""
        import pyarrow.dataset as ds

        if self._table is None:
            return self._schema.empty_table()
        wanted = None if column is None else (ds.field(column) > after) & (ds.field(column) <= upto)
        with _translated(self._path, "read"):
            dataset = self._table.to_pyarrow_dataset()
            self._sums.compare(self._path / fragment.path for fragment in dataset.get_fragments(filter=wanted))
            return dataset.to_table(filter=wanted).cast(self._schema)


class Tables:
    """The folder of tables of one log. Raises `WorkspaceError` where a table cannot be written."""

    def __init__(self, root: Path, store: Store) -> None:
        self._root = root
        self._sums = Sums(store, root)

    def pin(self, name: str, schema: pa.Schema) -> Pinned:
        """The table as it is now."""
        return Pinned(self._root / name, schema, self._sums)

    def append(self, name: str, rows: pa.Table, upto: int) -> None:
        """Append rows in one commit that also says the table holds the log up to `upto`; durable on return.

        Now and then the table is kept up on this occasion.
        """
        from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

        path = self._root / name
        with _translated(path, "written"):
            path.mkdir(parents=True, exist_ok=True)
            table = DeltaTable.create(str(path), rows.schema, mode="ignore")
            before = table.version()
            properties = CommitProperties(app_transactions=[Transaction(APP, upto)])
            write_deltalake(table, rows, mode="append", commit_properties=properties)
            after = DeltaTable(str(path)).version()
            self._sums.keep(_make_durable(path, before, after))
        if before // UPKEEP_COMMITS != after // UPKEEP_COMMITS:
            self.maintain(name)

    def maintain(self, name: str) -> None:
        """Compact small files, write a checkpoint and delete files unreferenced for a week."""
        from deltalake import DeltaTable

        path = self._root / name
        if not DeltaTable.is_deltatable(str(path)):
            return
        with _translated(path, "written"):
            table = DeltaTable(str(path))
            before = table.version()
            files = [path / Path(uri).name for uri in table.file_uris()]
            self._sums.keep(self._sums.missing(files))
            if len(files) >= SMALL_FILES:
                self._sums.compare(files)  # damage must not be written anew as if it were whole
                table.optimize.compact()
                self._sums.keep(_make_durable(path, before + 1, table.version()))
            table.create_checkpoint()
            # Full: files of a commit that a crash cut short are referenced by no version.
            table.vacuum(retention_hours=KEPT_HOURS, dry_run=False, full=True)
            self._sums.forget_vanished()


@contextmanager
def _translated(path: Path, done: str) -> Iterator[None]:
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, pa.ArrowException, OSError) as error:
        first_line = str(error).partition("\n")[0]
        kind = NoRoomError if is_full(path.parent, error) else WorkspaceError
        raise kind(
            f"{path}: the table could not be {done} ({first_line}); rows not in it stay safe in the buffer: see that "
            "the disk has room and the folder is whole, then try again"
        ) from error


def _make_durable(path: Path, first: int, last: int) -> list[Path]:
    """Flush the files of these commits to the disk: delta-rs leaves them to the page cache, and the buffer's rows are
    deleted next. Gives the files of rows."""
    log, files = path / "_delta_log", []
    for version in range(first, last + 1):
        commit = log / f"{version:020}.json"
        for line in commit.read_text(encoding="utf-8").splitlines():
            added = json.loads(line).get("add")
            if added:
                files.append(path / added["path"])
                flush(files[-1])
        flush(commit)
    for folder in (log, path, path.parent):
        flush(folder)
    return files
