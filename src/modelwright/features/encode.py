"""Values as the kernel sees them: one float64 a column, NaN for missing, strings as their number.

Both hosts and the log encode through here, so that a row has one form. Zero has one sign: -0.0 becomes 0.0, which keeps
minima and distinct counts independent of the order of rows. Whole numbers beyond 2**53 round to the nearest double.
"""

import math
from collections.abc import Collection, Sequence
from datetime import datetime

import numpy as np

from modelwright.core.clock import to_us
from modelwright.features.strings import Strings
from modelwright.spec.contract import Contract, FieldKind


def encode_value(kind: FieldKind, column: str, value: object, strings: Strings) -> float:
    """One value as a float64; a new string is given its number.

    >>> from modelwright.features.strings import MemoryStrings
    >>> encode_value("bool", "paid", True, MemoryStrings()), encode_value("str", "country", "DE", MemoryStrings())
    (1.0, 0.0)
    """
    if value is None:
        return math.nan
    if kind == "str":
        return float(strings.id_of(column, str(value)))
    if isinstance(value, datetime):
        return float(to_us(value))
    return float(value) + 0.0  # type: ignore[arg-type]  # the contract has checked that it is a number


class RowEncoder:
    """Encodes events of one contract.

    `columns` names the columns wanted (default all); the others stay NaN, so that an id, which no aggregate reads, does
    not fill the dictionary with a text an event.
    """

    def __init__(self, contract: Contract, strings: Strings, columns: Collection[str] | None = None) -> None:
        self._fields = [
            (index, field.kind, field.name)
            for index, field in enumerate(contract.fields)
            if columns is None or field.name in columns
        ]
        self._missing = np.full(len(contract.fields), math.nan)
        self._strings = strings

    def encode(self, values: Sequence[object]) -> np.ndarray:
        """A float64 row of an event's values, given in the contract's order; times as datetimes or microseconds."""
        row = self._missing.copy()
        for index, kind, name in self._fields:
            row[index] = encode_value(kind, name, values[index], self._strings)
        return row


class KeyReader:
    """Takes a view's key out of an event's values: a tuple, or None where any part is missing (no history)."""

    def __init__(self, contract: Contract, by: tuple[str, ...]) -> None:
        self._places = [contract.names.index(name) for name in by]

    def key(self, values: Sequence[object]) -> tuple[object, ...] | None:
        """Times become microseconds and NaN is missing, so that equal keys are equal tuples."""
        if not self._places:
            return ()
        parts = [values[place] for place in self._places]
        for part in parts:
            if part is None or part != part:  # NaN alone differs from itself
                return None
        return tuple([to_us(part) if isinstance(part, datetime) else part for part in parts])
