"""Values as the kernel sees them, and keys as tuples."""

import math
from datetime import UTC, datetime

from modelwright.features.encode import KeyReader, RowEncoder
from modelwright.features.strings import MemoryStrings
from modelwright.spec.event import contract_of, event


@event(id="id", time="at")
class Visit:
    id: str
    at: datetime
    paid: bool | None
    n: int
    x: float
    page: str | None


CONTRACT = contract_of(Visit)
NOON = datetime(1970, 1, 1, 12, tzinfo=UTC)


def test_rows_are_numbers() -> None:
    strings = MemoryStrings()
    row = RowEncoder(CONTRACT, strings).encode(["a", NOON, True, 3, -0.0, "home"])
    assert repr(row.tolist()) == "[0.0, 43200000000.0, 1.0, 3.0, 0.0, 0.0]"
    missing = RowEncoder(CONTRACT, strings, {"paid", "page", "at"}).encode(["b", 7, None, 3, 1.0, None])
    assert repr(missing.tolist()) == "[nan, 7.0, nan, nan, nan, nan]"
    assert strings.find("id", "b") is None


def test_keys_are_missing_where_any_part_is() -> None:
    reader = KeyReader(CONTRACT, ("page", "x", "at"))
    assert reader.key(["a", NOON, True, 3, 1.5, "home"]) == ("home", 1.5, 43_200_000_000)
    assert reader.key(["a", NOON, True, 3, 1.5, None]) is None
    assert reader.key(["a", NOON, True, 3, math.nan, "home"]) is None
    assert KeyReader(CONTRACT, ()).key(["a", NOON, None, 3, 1.5, None]) == ()
