"""One cell, a text for the most part, as a value of a field's kind: the same in a file and in a CSV body that is served.

Raises ValueError with the reason in words. Needs no Arrow, so that serving can use it too.
"""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from modelwright.core.clock import to_us
from modelwright.spec.contract import INT64

_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def _parse_float(value: Any) -> float | None:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number") from None
    if isinstance(value, str) and "_" in value:  # Python takes 1_000
        raise ValueError(f"{value!r} is not a number")
    if math.isfinite(number):
        return number
    if math.isinf(number):
        raise ValueError(f"{value!r} is not finite")
    return None


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
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{value!r} is not UTF-8 text") from None


def _parse_time(value: Any) -> int:
    if isinstance(value, datetime):
        return to_us(value)
    if isinstance(value, str):
        try:
            return to_us(datetime.fromisoformat(value.strip().upper()))
        except ValueError:
            pass
    raise ValueError(f"{value!r} is not a time such as 2026-01-31T12:00:00Z")


PARSE: dict[str, Callable[[Any], Any]] = {
    "float": _parse_float,
    "int": _parse_int,
    "bool": _parse_bool,
    "str": _parse_str,
    "time": _parse_time,
}
