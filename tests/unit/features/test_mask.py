"""Conditions: what they mean on missing values and strings, and what they refuse."""

import math
from typing import Any

import numpy as np
import pytest

from modelwright.core.errors import DeclarationError
from modelwright.features.encode import encode_value
from modelwright.features.mask import Mask
from modelwright.features.strings import MemoryStrings
from modelwright.testing.oracle import holds

KINDS: dict[str, Any] = {"a": "float", "n": "int", "paid": "bool", "c": "str", "d": "str", "at": "time"}
COLUMNS: dict[str, Any] = {name: (i, kind) for i, (name, kind) in enumerate(KINDS.items())}
ROWS: list[dict[str, Any]] = [
    {"a": a, "n": n, "paid": paid, "c": c, "d": d, "at": 0}
    for a in (None, -1.0, 0.0, 2.5, math.nan, math.inf)
    for n in (None, 0, 3)
    for paid in (None, True, False)
    for c in (None, "DE", "FR")
    for d in ("DE", "IT", None)
]
MEANT = [
    "a > 1", "a >= 0 and n < 2", "not a > 1", "a != 1", "paid", "not paid", "paid == True", "c == 'DE'", "'DE' != c",
    "c in ['DE', 'IT']", "c not in ('FR',)", "c == d", "c != d", "not c == d", "0 <= a < 3", "n in [0, 1]", "n not in [3]",
    "a + n * 2 > 3", "-a > 0", "a / n > 1", "n / a >= 0", "a in [-1, 2.5]", "(a > 0) + (n > 0) == 1", "c == 'XX' or paid",
    "a - 1", "n in []", "(1 < 2) and paid", "a == n", "(1 in [1, 2]) and paid",
    "n in [0, 1, 2, 4, 5, 6, 7, 8, 9]", "n not in [0, 1, 2, 4, 5, 6, 7, 8, 9]",
    "c not in ('FR', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i')",
]  # fmt: skip


@pytest.mark.parametrize("where", MEANT)
def test_means_what_the_oracle_means(where: str) -> None:
    strings = MemoryStrings()
    columns = np.array([[encode_value(kind, name, row[name], strings) for row in ROWS] for name, kind in KINDS.items()])
    got = Mask(where, COLUMNS, "view").evaluate(columns, strings)  # type: ignore[arg-type]
    assert got.tolist() == [int(holds(where, row)) for row in ROWS]


@pytest.mark.parametrize(
    "where",
    [
        "c > 'A'", "c < d", "c + 'x' == 'DEx'", "c == 5", "c", "a == 'DE'", "a in ['DE']", "c in [1]", "c in 'DEF'",
        "a in n", "a == None", "'a' == 'b' and paid", "at > 5", "(a and n) > 1", "-c == 'x'", "a > 1e400 or a > " + "9" * 400,
    ],
)  # fmt: skip
def test_refuses_and_names_the_feature(where: str) -> None:
    with pytest.raises(DeclarationError, match=r"FeatureView\(Payment, x=agg.count\)"):
        Mask(where, COLUMNS, "FeatureView(Payment, x=agg.count)")


def test_a_constant_unknown_when_declared_is_found_once_it_is_there() -> None:
    strings = MemoryStrings()
    mask = Mask("c == 'DE'", COLUMNS, "view")
    assert mask.evaluate(np.full((6, 1), math.nan), strings).tolist() == [0]  # type: ignore[arg-type]
    columns = np.full((6, 1), encode_value("str", "c", "DE", strings))
    assert mask.evaluate(columns, strings).tolist() == [1]  # type: ignore[arg-type]
