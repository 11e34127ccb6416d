"""The rows an explanation compares with: a hundred rows of the training set, evenly spread over its time.

Chosen when a release is made, written into its folder as JSON, read when one of its predictions is explained. They are
inputs alone: no id, no time, no outcome, and no row of what was held back.
"""

import math
from typing import Any

import msgspec
import numpy as np

from modelwright.release.inputs import Rows

FILE = "background.json"
ROWS = 100


class _Stored(msgspec.Struct):
    numbers: list[list[float | None]]
    texts: list[list[str | None]]


def background_of(rows: Rows) -> Rows:
    """At most `ROWS` of the rows, at equal distances: equal rows give equal choices."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).round().astype(np.int64))
    return rows.take(places)


def encoded(background: Rows) -> bytes:
    """As JSON, a row a list; missing is null."""
    numbers: list[list[Any]] = [
        [value if math.isfinite(value) else None for value in row] for row in background.numbers.tolist()
    ]
    return msgspec.json.encode(_Stored(numbers, [list(column) for column in background.texts])) + b"\n"


def decoded(data: bytes) -> Rows:
    """What was encoded."""
    stored = msgspec.json.decode(data, type=_Stored)
    numbers = np.array(stored.numbers, np.float64)  # null becomes NaN
    return Rows(numbers.reshape(len(stored.numbers), -1), tuple(stored.texts))
