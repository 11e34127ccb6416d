"""Columns of the log as numbers and as keys, many rows at once: the bulk side of `lake/history.py`.

Gives bit for bit what the history gives row by row. Imports pyarrow, so it is itself imported only for bulk work.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from modelwright.lake.arrow import python_values
from modelwright.lake.history import key_bytes
from modelwright.lake.strings import Strings
from modelwright.spec.contract import Contract


def matrix_of(contract: Contract, strings: Strings, events: pa.Table, scope: str = "") -> np.ndarray:
    """The events' values as float64, one column a field of the contract; missing is NaN. `scope` stands before a
    column's name in the dictionary."""
    matrix = np.empty((events.num_rows, len(contract.fields)))
    for i, field in enumerate(contract.fields):
        column = events.column(field.name)
        if field.name == contract.id and field.kind == "str":
            # An event's own id is numbered by its sequence; see `lake/strings.py`.
            matrix[:, i] = events.column("_seq").to_numpy()
        else:
            matrix[:, i] = numbers_of(strings, scope + field.name, column)
    return matrix


def numbers_of(strings: Strings, name: str, column: pa.ChunkedArray) -> np.ndarray:
    """One column as float64, texts by their number in the dictionary."""
    if pa.types.is_string(column.type):
        encoded = column.combine_chunks().dictionary_encode()
        numbers = np.array(strings.ids_of(name, encoded.dictionary.to_pylist()), dtype=float)
        places = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        found: np.ndarray = np.append(numbers, np.nan)[places]
        return found
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    floats: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy()
    return np.where(np.isnan(floats), np.nan, floats)


def rows_by_key(table: pa.Table, by: tuple[str, ...]) -> Iterator[tuple[bytes, np.ndarray]]:
    """The keys in the table, each with the numbers of its rows in order; rows with a missing key are left out."""
    codes = np.zeros(table.num_rows, dtype=np.int64)
    columns: list[tuple[list[Any], np.ndarray]] = []
    for name in by:
        encoded = table.column(name).combine_chunks().dictionary_encode()
        values = [*python_values(encoded.dictionary), None]
        indices = encoded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False).astype(np.int64)
        columns.append((values, indices))
        # Made dense again after each column, so that no product of sizes overflows.
        codes = np.unique(codes * len(values) + indices, return_inverse=True)[1]
    _, firsts, inverse = np.unique(codes, return_index=True, return_inverse=True)
    # Different values may give one key (0.0 and -0.0), so rows are grouped by the key's bytes.
    groups: dict[bytes | None, int] = {}
    group_of = np.empty(len(firsts), dtype=np.int64)
    for place, row in enumerate(firsts.tolist()):
        key = key_bytes([values[indices[row]] for values, indices in columns])
        group_of[place] = groups.setdefault(key, len(groups))
    of_rows = group_of[inverse]
    order = np.argsort(of_rows, kind="stable")
    bounds = np.searchsorted(of_rows[order], np.arange(len(groups) + 1))
    for name_of_key, group in groups.items():
        if name_of_key is not None:
            yield name_of_key, order[bounds[group] : bounds[group + 1]]
