"""Arrow tables as the kernel's columns: float64 with NaN, strings as numbers, instants as int64 microseconds.

Serves the offline host. The dictionary of a string column is local to one computation: answers leave as text.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelwright.core.errors import DataError
from modelwright.features.kernel.operations import SEES_ALL

BEFORE_ALL = -(2**62)
"""Sequence numbers of rows that have none start here: rows of history files were there before any live request."""


def column_of(table: pa.Table, name: str, what: str) -> pa.Array:
    """A column in one piece; DataError where the table has none of that name."""
    if name not in table.column_names:
        raise DataError(f"{what} have no column {name!r}; they have {', '.join(table.column_names)}")
    column = table.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def plain(array: Any) -> pa.Array:
    """Dictionaries and large or viewed strings as plain values; one array."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    return array


def instants(table: pa.Table, name: str, what: str) -> NDArray[np.int64]:
    """Microseconds since the epoch; naive times are UTC. DataError for a column that is no time or has gaps."""
    array = column_of(table, name, what)
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("us", array.type.tz), safe=False)
    elif pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("us"))
    else:
        raise DataError(f"{what}: {name!r} must hold timestamps, not {array.type}")
    if array.null_count:
        raise DataError(f"{what}: {name!r} is missing in {array.null_count} rows; every row needs its time")
    return np.array(array.cast(pa.int64()).to_numpy(zero_copy_only=False))


def sequences(table: pa.Table) -> NDArray[np.int64]:
    """`_seq`, or the input order, before every sequence number of the log."""
    if "_seq" in table.column_names:
        return np.array(column_of(table, "_seq", "rows").cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
    return np.arange(table.num_rows, dtype=np.int64) + BEFORE_ALL


def lives(table: pa.Table) -> NDArray[np.uint8]:
    """1 where a row is live; rows are of history files where nothing is said."""
    if "_live" not in table.column_names:
        return np.zeros(table.num_rows, np.uint8)
    live = column_of(table, "_live", "rows").fill_null(False).to_numpy(zero_copy_only=False)
    return np.asarray(live, np.uint8)


def limits(table: pa.Table) -> NDArray[np.int64]:
    """The sequence number below which a request sees rows: its own where it is live, no limit elsewhere."""
    if "_seq" not in table.column_names:
        return np.full(table.num_rows, SEES_ALL)
    return np.where(lives(table), sequences(table), SEES_ALL)


def numbers(array: Any, kind: str, name: str) -> NDArray[np.float64]:
    """A number, boolean or time column as float64, NaN where missing, zero with one sign."""
    array = plain(array)
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan)
    try:
        if kind == "time":
            array = array.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        converted = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"column {name!r} cannot be read as {kind}: {error}") from None
    return np.asarray(converted + 0.0)


def texts(array: Any, name: str) -> tuple[NDArray[np.float64], list[str]]:
    """A string column as numbers (NaN where missing) and the texts by number."""
    array = plain(array)
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan), []
    if not pa.types.is_string(array.type):
        raise DataError(f"column {name!r} must hold strings, not {array.type}")
    encoded = array.dictionary_encode()
    codes = encoded.indices.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.array(codes), encoded.dictionary.to_pylist()


def keys(
    tables: list[pa.Table], by: tuple[str, ...], what: list[str], kinds: dict[str, str]
) -> tuple[list[NDArray[np.int64]], int]:
    """Dense key numbers, the same for the same key in every table, -1 where any part is missing; and how many."""
    sizes = [table.num_rows for table in tables]
    codes = np.zeros(sum(sizes), np.int64)
    count = 1
    for name in by:
        parts = [plain(column_of(table, name, label)) for table, label in zip(tables, what, strict=True)]
        if kinds[name] == "time":
            parts = [part.cast(pa.timestamp("us", part.type.tz), safe=False).cast(pa.int64()) for part in parts]
        elif kinds[name] == "float":
            parts = [pa.array(numbers(part, "float", name), from_pandas=True) for part in parts]
        else:
            target = {"str": pa.string(), "int": pa.int64(), "bool": pa.bool_()}[kinds[name]]
            parts = [part if part.type == target else part.cast(target) for part in parts]
        encoded = pa.chunked_array(parts).combine_chunks().dictionary_encode()
        part_codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        size = len(encoded.dictionary)
        missing = (codes < 0) | (part_codes < 0)
        codes = codes * size + part_codes
        codes[missing] = -1
        count *= size
        if len(by) > 1:
            there = codes >= 0
            known, codes[there] = np.unique(codes[there], return_inverse=True)
            count = len(known)
    ends = np.cumsum(sizes)
    return [codes[end - size : end] for end, size in zip(ends, sizes, strict=True)], count
