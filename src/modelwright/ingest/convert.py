"""One column of a file to one column of the contract: fast where all is well, value by value where it is not.

A value that is absent becomes the field's default, or missing where the field allows it. Any other value that is not
of the field's kind, or outside its limits, is a `Fault` with the reason in words. Nothing is guessed.
"""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.clock import to_us
from modelwright.spec.contract import INT64, Field

TIMESTAMP = pa.timestamp("us", tz="UTC")
ARROW_TYPE = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "str": pa.string(), "time": TIMESTAMP}
_ZONE = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


class Fault(NamedTuple):
    """A value that cannot be: its position in the column, the column and the reason."""

    row: int
    column: str
    reason: str


def convert(values: pa.ChunkedArray | pa.Array, field: Field) -> tuple[pa.Array, list[Fault]]:
    """The column in the field's Arrow type, and the faults. A faulty value is null in the result."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = _blank_to_null(values, field)
    faults: list[Fault] = []
    try:
        column = _cast_all(values, field)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        column, faults = _cast_each(values, field)
    column, absent = _fill(column, field, {fault.row for fault in faults})
    return column, faults + absent + _outside_limits(column, field)


def _blank_to_null(values: pa.Array, field: Field) -> pa.Array:
    if field.kind == "str" and not field.nullable:
        return values.cast(pa.string())  # the empty string is a string
    trimmed = values.cast(pa.string()) if field.kind == "str" else pc.utf8_trim_whitespace(values.cast(pa.string()))
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _cast_all(values: pa.Array, field: Field) -> pa.Array:
    """The whole column at once; raises pyarrow's errors where any value resists."""
    target = ARROW_TYPE[field.kind]
    if pa.types.is_null(values.type):
        return values.cast(target)
    is_text = pa.types.is_string(values.type)
    if field.kind == "time":
        if is_text:
            return _cast_times(values)
        if not pa.types.is_timestamp(values.type):
            raise pa.ArrowTypeError("not a time")
        zoned = values if values.type.tz else pc.assume_timezone(values, "UTC")
        return zoned.cast(TIMESTAMP)
    if field.kind == "bool" and not pa.types.is_boolean(values.type):
        raise pa.ArrowTypeError("decided value by value")
    if field.kind == "str" and not is_text:
        if pa.types.is_floating(values.type) or pa.types.is_nested(values.type):
            raise pa.ArrowTypeError("decided value by value")
        return values.cast(target)
    if field.kind == "float":
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        column = values.cast(target, safe=False) if pa.types.is_integer(values.type) else values.cast(target)
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, target), column)
        if pc.any(pc.is_inf(column)).as_py():
            raise pa.ArrowInvalid("infinite")
        return column
    return values.cast(target)


def _cast_times(values: pa.Array) -> pa.Array:
    zoned = pc.match_substring_regex(values, _ZONE)
    nothing = pa.scalar(None, pa.string())
    with_zone = pc.if_else(zoned, values, nothing).cast(TIMESTAMP)
    naive = pc.if_else(zoned, nothing, values).cast(pa.timestamp("us"))
    return pc.coalesce(with_zone, pc.assume_timezone(naive, "UTC"))


def _cast_each(values: pa.Array, field: Field) -> tuple[pa.Array, list[Fault]]:
    faults: list[Fault] = []
    parse = _PARSE[field.kind]
    out: list[Any] = []
    known: dict[Any, Any] = {}
    for row, value in enumerate(values.to_pylist()):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            out.append(None)
            continue
        try:
            key = (type(value), value)
            if key not in known:
                known[key] = parse(value)
            out.append(known[key])
        except (ValueError, TypeError, OverflowError) as error:
            faults.append(Fault(row, field.column, str(error)))
            out.append(None)
    return pa.array(out, ARROW_TYPE[field.kind]), faults


def _parse_float(value: Any) -> float | None:
    if isinstance(value, (dict, list, datetime)):
        raise ValueError(f"{value!r} is not a number")
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number") from None
    if math.isinf(number):
        raise ValueError(f"{value!r} is not finite")
    return None if math.isnan(number) else number


def _parse_int(value: Any) -> int | None:
    if (isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value.strip())) or isinstance(value, int):
        whole = int(value)
    else:
        number = _parse_float(value)
        if number is None:
            return None
        if number != int(number):
            raise ValueError(f"{value!r} is not a whole number")
        whole = int(number)
    if not INT64[0] <= whole <= INT64[1]:
        raise ValueError(f"{value!r} does not fit in 64 bits")
    return whole


def _parse_bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"{value!r} is not true or false")


def _parse_str(value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise ValueError(f"{value!r} is not a text")
    return str(value)


def _parse_time(value: Any) -> int:
    if isinstance(value, datetime):
        return to_us(value)
    if isinstance(value, str):
        try:
            return to_us(datetime.fromisoformat(value.strip()))
        except ValueError:
            pass
    raise ValueError(f"{value!r} is not a time such as 2026-01-31T12:00:00Z")


_PARSE: dict[str, Callable[[Any], Any]] = {
    "float": _parse_float,
    "int": _parse_int,
    "bool": _parse_bool,
    "str": _parse_str,
    "time": _parse_time,
}


def _fill(column: pa.Array, field: Field, faulty: set[int]) -> tuple[pa.Array, list[Fault]]:
    if column.null_count == 0 or (field.nullable and field.default is None):
        return column, []
    if field.has_default:
        return pc.fill_null(column, pa.scalar(field.default, column.type)), []
    absent = pc.indices_nonzero(pc.is_null(column)).to_pylist()
    return column, [
        Fault(row, field.column, "is missing, and the field is required") for row in absent if row not in faulty
    ]


def _outside_limits(column: pa.Array, field: Field) -> list[Fault]:
    faults: list[Fault] = []

    def refuse(outside: pa.Array, what: str) -> None:
        for row in pc.indices_nonzero(pc.fill_null(outside, False)).to_pylist():
            faults.append(Fault(row, field.column, f"{column[row].as_py()!r} is not {what}"))

    for name, compare, sign in (
        ("gt", pc.less_equal, ">"),
        ("ge", pc.less, ">="),
        ("lt", pc.greater_equal, "<"),
        ("le", pc.greater, "<="),
    ):
        limit = getattr(field, name)
        if limit is not None:
            refuse(compare(column, pa.scalar(limit)), f"{sign} {limit}")
    if field.min_length is not None:
        refuse(pc.less(pc.utf8_length(column), field.min_length), f"at least {field.min_length} characters long")
    if field.max_length is not None:
        refuse(pc.greater(pc.utf8_length(column), field.max_length), f"at most {field.max_length} characters long")
    if field.pattern is not None:
        refuse(pc.invert(pc.match_substring_regex(column, field.pattern)), f"of the form {field.pattern}")
    if field.choices is not None:
        refuse(pc.invert(pc.is_in(column, pa.array(field.choices))), f"one of {', '.join(field.choices)}")
    return faults
