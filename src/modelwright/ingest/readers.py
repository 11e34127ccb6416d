"""Files as batches of raw columns: CSV, Parquet, JSON lines.

A reader yields `Raw` batches: a table whose columns carry the file's own names, the number of each row in the file
(from 1, the header not counted), and the rows that could not even be split into columns.
"""

import codecs
import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from modelwright.core.errors import DataError

BATCH_ROWS = 50_000
BLOCK_BYTES = 8 << 20
PAGE_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
_BAD_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)


@dataclass
class Raw:
    """A batch of raw columns, the row numbers, and rows that are no rows: (number, reason, text).

    `nested`: by column, the rows of the table that hold an object or a list where others hold plain values; the table
    has its JSON text there.
    """

    table: pa.Table
    numbers: Sequence[int]
    broken: list[tuple[int, str, str]] = field(default_factory=list)
    nested: dict[str, list[int]] = field(default_factory=dict)


def read_file(path: Path) -> Iterator[Raw]:
    """The batches of one file, by its suffix. Raises `DataError` for what is no readable file of its kind."""
    _check_readable(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    if kind == ".parquet":
        return _read_parquet(path)
    if kind in (".jsonl", ".ndjson"):
        return _read_json_lines(path)
    if kind in (".csv", ".tsv", ".txt"):
        return _read_csv(path)
    raise DataError(
        f"{path}: {kind or 'a file without a suffix'} is not read; give .csv, .tsv, .txt, .parquet or .jsonl"
    )


def _check_readable(path: Path) -> None:
    if path.is_dir():
        raise DataError(f'{path} is a directory; name its files, for instance "{path}/*.csv"')
    if not path.exists():
        raise DataError(f"{path} does not exist; check the path")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path}: no permission to read it; change its mode or owner")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; it needs at least a header")


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _read_csv(path: Path) -> Iterator[Raw]:
    broken: list[tuple[int, str, str]] = []

    def note(row: csv.InvalidRow) -> str:
        reason = f"has {row.actual_columns} columns, the header {row.expected_columns}"
        broken.append((row.number - 1, reason, row.text))
        return "skip"

    try:
        header = _header(path)
        if not header:
            raise DataError(f"{path} is empty; it needs at least a header")
        delimiter = max([",", ";", "\t", "|"], key=lambda mark: header.count(mark.encode()))
        options = csv.ParseOptions(delimiter=delimiter)
        names = csv.read_csv(pa.BufferReader(header + b"\n"), parse_options=options).column_names
        none = Raw(pa.table([pa.array([], pa.string()) for _ in names], names), [], broken)
        if not header.endswith(b"\n"):
            yield none  # the file ends in its header
            return
        with _open(path) as file, _open_csv(file, names, delimiter, note) as reader:
            number = 0
            skipped: set[int] = set()  # outlives a batch: the reader is a block ahead of what it yields
            for batch in reader:
                # The reader's own thread may note further rows at any time, also while a batch is being worked on.
                noted = broken[:]
                del broken[: len(noted)]
                skipped.update(row for row, _, _ in noted)
                numbers = _numbers(number, batch.num_rows, skipped)
                number = numbers[-1] if numbers else number
                skipped = {row for row in skipped if row > number}
                yield Raw(pa.Table.from_batches([batch]), numbers, noted)
        # Rows refused after the last good one, and the header of a file without any row.
        yield none
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError, *_BAD_GZIP) as error:
        raise DataError(f"{path} is not readable as CSV in UTF-8: {_first_line(error)}") from None


def _numbers(last: int, rows: int, skipped: set[int]) -> Sequence[int]:
    """The numbers of that many rows after number `last`, but for the skipped ones."""
    if min(skipped, default=last + rows + 1) > last + rows:
        return range(last + 1, last + rows + 1)
    return list(islice((number for number in count(last + 1) if number not in skipped), rows))


def _open_csv(file: Any, names: list[str], delimiter: str, refused: Callable[[Any], str]) -> Any:
    """A streaming reader of that file, every column a text; `refused` is asked about rows of another width."""
    return csv.open_csv(
        pa.PythonFile(_Utf8(file), mode="r"),
        # Threads would lose the row numbers that a quarantined row is reported with.
        read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refused),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    )


class _Utf8:
    """Bytes on their way to Arrow, which itself decodes a row that it refuses where no error can be told."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, size: int) -> bytes:
        """The next bytes. Raises `UnicodeDecodeError` at the first that is none of UTF-8's."""
        data: bytes = self._file.read(size)
        self._decoder.decode(data, final=not data)
        return data


def _header(path: Path) -> bytes:
    """The first line that is not blank; empty where all are."""
    with _open(path) as file:
        for line in file:
            header: bytes = line.removeprefix(_BOM)
            if header.strip():
                return header
    return b""


def _read_parquet(path: Path) -> Iterator[Raw]:
    try:
        # Prebuffered, the whole file would be read ahead; without a buffer, whole columns of a row group.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=PAGE_BYTES) as file:
            number = 0
            for batch in file.iter_batches(BATCH_ROWS):
                yield Raw(pa.Table.from_batches([batch]), range(number + 1, number + batch.num_rows + 1))
                number += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not readable as Parquet: {_first_line(error)}") from None


def _read_json_lines(path: Path) -> Iterator[Raw]:
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    broken: list[tuple[int, str, str]] = []
    names: dict[str, None] = {}  # all so far: a batch whose rows lack a member still has its column
    with _open(path) as file:
        for number, line in enumerate(_lines(file, path), 1):
            text = line.removeprefix(_BOM).strip()
            if not text:
                continue
            try:
                row = msgspec.json.decode(text)
                if not isinstance(row, dict):
                    raise ValueError("is not an object")
                rows.append(row)
                numbers.append(number)
            except (ValueError, RecursionError) as error:
                broken.append(
                    (number, f"is not a JSON object: {_first_line(error)}", text[:500].decode(errors="replace"))
                )
            if len(rows) >= BATCH_ROWS:
                yield _columns(rows, names, numbers, broken)
                rows, numbers, broken = [], [], []
    if rows or broken:
        yield _columns(rows, names, numbers, broken)


def _lines(file: Any, path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except _BAD_GZIP as error:
        raise DataError(f"{path} is not readable as gzip: {_first_line(error)}") from None


def _columns(
    rows: list[dict[str, Any]], names: dict[str, None], numbers: list[int], broken: list[tuple[int, str, str]]
) -> Raw:
    """The objects as columns, in the order their names were first met; `names` are those met so far, and is updated."""
    names.update(dict.fromkeys(name for row in rows for name in row))
    columns, nested = {}, {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            # Kinds are mixed: let the checks say which are wrong.
            nested[name] = [row for row, value in enumerate(values) if isinstance(value, (dict, list))]
            texts = [
                value if isinstance(value, str) or value is None else msgspec.json.encode(value).decode()
                for value in values
            ]
            columns[name] = pa.array(texts, pa.string())
    return Raw(pa.table(columns), numbers, broken, nested)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
