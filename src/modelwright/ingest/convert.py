"""One column of a file to one column of the contract: fast where all is well, value by value where it is not.

A value that is absent becomes the field's default, or missing where the field allows it. Any other value that is not
of the field's kind, or outside its limits, is a `Fault` with the reason in words. Nothing is guessed.
"""

import math
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.clock import to_us
from modelwright.ingest.cells import PARSE
from modelwright.spec.contract import Field

TIMESTAMP = pa.timestamp("us", tz="UTC")
ARROW_TYPE = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "str": pa.string(), "time": TIMESTAMP}
FIRST_US, LAST_US = to_us(datetime.min.replace(tzinfo=UTC)), to_us(datetime.max.replace(tzinfo=UTC))
_ZONE = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"
NESTED = "is an object or a list, not a single value"


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
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = _blank_to_null(values, field)
    faults: list[Fault] = []
    unfit = _unfit(values.type, field)
    if unfit:
        rows = pc.indices_nonzero(pc.is_valid(values)).to_pylist()
        column = pa.nulls(len(values), ARROW_TYPE[field.kind])
        faults = [Fault(row, field.column, unfit) for row in rows]
    else:
        try:
            column = _cast_all(values, field)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            column, faults = _cast_each(values, field)
    if field.kind == "time":
        column, outside = _within_years(column, field)
        faults += outside
    column, absent = _fill(column, field, {fault.row for fault in faults})
    return column, faults + absent + _outside_limits(column, field)


def _unfit(given: pa.DataType, field: Field) -> str:
    """Why no value of this type can be one of the field's; empty where some can."""
    if pa.types.is_nested(given):
        return NESTED
    if field.kind == "time" and (pa.types.is_timestamp(given) or pa.types.is_date(given)):
        return ""
    if pa.types.is_temporal(given) and field.kind != "str":
        return f"{given} is no {field.kind}"
    return ""


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
        if not pa.types.is_temporal(values.type):
            raise pa.ArrowTypeError("not a time")
        return _instants(values)
    if field.kind == "bool" and not pa.types.is_boolean(values.type):
        raise pa.ArrowTypeError("decided value by value")
    if field.kind == "str" and not is_text:
        if pa.types.is_floating(values.type):
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
    if is_text and pc.any(pc.match_substring_regex(values, "[xX]")).as_py():
        raise pa.ArrowInvalid("Arrow takes hexadecimal for a number")
    return values.cast(target)


def _instants(values: pa.Array) -> pa.Array:
    """Timestamps of any unit and dates, to the microsecond before. Those outside datetime's years stay outside."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s" if pa.types.is_date32(values.type) else "ms"))
    counts = values.cast(pa.int64())
    if values.type.unit == "ns":
        whole = pc.divide(counts, 1000)
        counts = pc.subtract(whole, pc.greater(pc.multiply(whole, 1000), counts).cast(pa.int64()))
    else:
        us = {"s": 1_000_000, "ms": 1_000, "us": 1}[values.type.unit]
        counts = pc.min_element_wise(counts, LAST_US // us + 1, skip_nulls=False)  # so that the product fits
        counts = pc.multiply(pc.max_element_wise(counts, FIRST_US // us - 1, skip_nulls=False), us)
    return counts.cast(TIMESTAMP)


def _within_years(column: pa.Array, field: Field) -> tuple[pa.Array, list[Fault]]:
    counts = column.cast(pa.int64())
    outside = pc.or_(pc.less(counts, FIRST_US), pc.greater(counts, LAST_US))
    rows = pc.indices_nonzero(pc.fill_null(outside, False)).to_pylist()
    if not rows:
        return column, []
    within = pc.if_else(outside, pa.scalar(None, TIMESTAMP), column)
    return within, [Fault(row, field.column, "is not within the years 1 to 9999") for row in rows]


def _cast_times(values: pa.Array) -> pa.Array:
    zoned = pc.match_substring_regex(values, _ZONE)
    nothing = pa.scalar(None, pa.string())
    with_zone = pc.if_else(zoned, values, nothing).cast(TIMESTAMP)
    naive = pc.if_else(zoned, nothing, values).cast(pa.timestamp("us"))
    return pc.coalesce(with_zone, pc.assume_timezone(naive, "UTC"))


def _cast_each(values: pa.Array, field: Field) -> tuple[pa.Array, list[Fault]]:
    faults: list[Fault] = []
    parse = PARSE[field.kind]
    out: list[Any] = []
    known: dict[str, Any] = {}
    for row, value in enumerate(values.to_pylist()):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            out.append(None)
            continue
        try:
            if not isinstance(value, str):
                out.append(parse(value))
                continue
            if value not in known:
                known[value] = parse(value)
            out.append(known[value])
        except (ValueError, TypeError, OverflowError) as error:
            faults.append(Fault(row, field.column, str(error)))
            out.append(None)
    return pa.array(out, ARROW_TYPE[field.kind]), faults


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
        form = re.compile(field.pattern)  # Python's, as for live events; Arrow's differs
        texts = column.to_pylist()
        fits = pa.array([text is None or form.search(text) is not None for text in texts], pa.bool_())
        refuse(pc.invert(fits), f"of the form {field.pattern}")
    if field.choices is not None:
        known = pc.or_(pc.is_null(column), pc.is_in(column, pa.array(field.choices)))
        refuse(pc.invert(known), f"one of {', '.join(field.choices)}")
    return faults
