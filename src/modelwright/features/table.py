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
    if pa.types.is_dictionary(column.type) and any(chunk.dictionary.null_count for chunk in column.chunks):
        column = column.cast(column.type.value_type)  # Arrow joins no dictionaries that hold a missing value
    return column.combine_chunks()


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
    """Microseconds since the epoch, in the table's own memory where nothing has to be changed; naive times are UTC.

    DataError for a column that is no time or has gaps.
    """
    array = column_of(table, name, what)
    if pa.types.is_timestamp(array.type):
        array = array if array.type.unit == "us" else array.cast(pa.timestamp("us", array.type.tz), safe=False)
    elif pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("us"))
    else:
        raise DataError(f"{what}: {name!r} must hold timestamps, not {array.type}")
    if array.null_count:
        raise DataError(f"{what}: {name!r} is missing in {array.null_count} rows; every row needs its time")
    return np.asarray(array.cast(pa.int64()).to_numpy(zero_copy_only=False))


def sequences(table: pa.Table) -> NDArray[np.int64]:
    """`_seq`, or the input order, before every sequence number of the log."""
    if "_seq" in table.column_names:
        return np.array(column_of(table, "_seq", "rows").cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
    return np.arange(BEFORE_ALL, BEFORE_ALL + table.num_rows)


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
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan), []
    type = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if not (pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)):
        raise DataError(f"column {name!r} must hold strings, not {type}")
    codes, dictionary = _encoded(array, pa.string())
    numbers = codes.astype(np.float64)
    if len(codes) and codes.min() < 0:
        numbers[codes < 0] = np.nan
    return numbers, dictionary.to_pylist()


def keys(
    tables: list[pa.Table], by: tuple[str, ...], what: list[str], kinds: dict[str, str]
) -> tuple[list[NDArray[np.int32]], int]:
    """Key numbers below a bound that is of the order of the rows, the same for the same key in every table, -1 where any
    part is missing; and the bound.
    """
    codes: list[NDArray[Any]] = [np.zeros(table.num_rows, np.int32) for table in tables]
    count = 1
    for place, name in enumerate(by):
        parts = [column_of(table, name, label) for table, label in zip(tables, what, strict=True)]
        part_codes, size = _shared_codes(parts, name, kinds[name])
        codes = part_codes if place == 0 else [_paired(*pair, size) for pair in zip(codes, part_codes, strict=True)]
        count *= size
        if count > sum(map(len, codes)):
            codes, count = _renumbered(codes)
    return [np.require(part, np.int32, "W") for part in codes], count  # writable: else the kernel is compiled twice


def _paired(left: NDArray[Any], right: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    """A number for each pair of numbers, the right ones below `size`; -1 where either is missing."""
    return np.where((left < 0) | (right < 0), -1, left * np.int64(size) + right)


def _renumbered(codes: list[NDArray[Any]]) -> tuple[list[NDArray[np.int32]], int]:
    """Dense numbers for numbers far apart, and how many."""
    known = np.unique(np.concatenate([part[part >= 0] for part in codes]))
    return [np.where(part < 0, -1, np.searchsorted(known, part)).astype(np.int32) for part in codes], len(known)


def _shared_codes(parts: list[pa.Array], name: str, kind: str) -> tuple[list[NDArray[np.int32]], int]:
    """Numbers of the values of several columns, the same for the same value, -1 where missing; and how many there are."""
    target = {"str": pa.string(), "int": pa.int64(), "bool": pa.bool_()}.get(kind, pa.int64())
    encoded = []
    for part in parts:
        if kind == "time":
            part = plain(part).cast(pa.timestamp("us", part.type.tz), safe=False).cast(pa.int64())
        elif kind == "float":
            part = pa.array(numbers(part, "float", name), from_pandas=True)
        encoded.append(_encoded(part, pa.float64() if kind == "float" else target))
    known = pa.concat_arrays([dictionary.cast(encoded[0][1].type) for _, dictionary in encoded]).dictionary_encode()
    shared = _indices(known)
    codes = []
    first = 0
    for numbered, dictionary in encoded:
        codes.append(_recoded(numbered, shared[first : first + len(dictionary)]))
        first += len(dictionary)
    return codes, len(known.dictionary)


def _encoded(array: Any, target: pa.DataType) -> tuple[NDArray[np.int32], pa.Array]:
    """Numbers of an array's values, -1 where missing, and the values by number; a dictionary is taken as it comes."""
    if not pa.types.is_dictionary(array.type):
        array = plain(array)
        array = array if array.type == target else array.cast(target)
        encoded = array.dictionary_encode()
        return _indices(encoded), encoded.dictionary
    # Of one given from outside, values may be missing or there twice.
    values = plain(array.dictionary)
    values = values if values.type == target else values.cast(target)
    own = values.dictionary_encode()
    return _recoded(_indices(array), _indices(own)), own.dictionary


def _indices(encoded: pa.DictionaryArray) -> NDArray[np.int32]:
    indices = encoded.indices
    return np.asarray(pc.fill_null(indices, -1) if indices.null_count else indices, np.int32)


def _recoded(codes: NDArray[np.int32], new: NDArray[np.int32]) -> NDArray[np.int32]:
    """Each number replaced by the one at its place; -1 stays."""
    return codes if (new == np.arange(len(new))).all() else np.append(new, np.int32(-1))[codes]
