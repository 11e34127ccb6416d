"""One instant, however it is written: zones, daylight saving and folds, by JSON, pandas and Arrow; and whole numbers."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pandas as pd
import pyarrow as pa
import pytest

from modelwright.core.clock import to_us
from modelwright.features.offline import compute
from modelwright.features.online import OnlineHost
from modelwright.features.strings import MemoryStrings
from modelwright.features.view import FeatureView
from modelwright.spec import agg
from modelwright.spec.event import contract_of, event

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
HALF_PAST_TWO = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
"""Comes twice that night: first in summer time, then, an hour later, in winter time (fold 1)."""

MOMENTS = [
    HALF_PAST_TWO,
    HALF_PAST_TWO.replace(fold=1),
    datetime(2026, 10, 24, 20, 45, tzinfo=NEW_YORK),
    datetime(2026, 10, 25, 6, 15, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    datetime(2026, 10, 25, 1, 31),  # naive: UTC
    datetime(2026, 3, 29, 3, 0, 0, 1, tzinfo=BERLIN),  # the first instants after the hour that is left out
]
INSTANTS = [datetime(2026, 10, 25, 0, 30), datetime(2026, 10, 25, 1, 30), datetime(2026, 10, 25, 0, 45),
            datetime(2026, 10, 25, 0, 45), datetime(2026, 10, 25, 1, 31), datetime(2026, 3, 29, 1, 0, 0, 1)]  # fmt: skip
US = [to_us(instant.replace(tzinfo=UTC)) for instant in INSTANTS]


@event(id="id", time="at")
class Reading:
    id: int
    at: datetime
    count: int


CONTRACT = contract_of(Reading)
VIEW = FeatureView(
    Reading, n=agg.count(over="1h"), idle=agg.time_since_last(), total=agg.sum("count"), most=agg.max("count"),
    different=agg.count_distinct("count", over="2d"), last=agg.last("count"), days=agg.count(over="1d", where="count > 0"),
)  # fmt: skip


def expected(us: list[int], counts: list[int]) -> list[dict[str, Any]]:
    """The answers for instants given as microseconds."""
    table = pa.table({"id": range(len(us)), "at": pa.array(us, pa.timestamp("us", "UTC")), "count": pa.array(counts)})
    return compute([VIEW.spec()], CONTRACT, None, table, table).to_pylist()


def test_instants_are_equal_however_they_are_written() -> None:
    counts = list(range(len(MOMENTS)))
    plain = repr(expected(US, counts))
    decode = msgspec.json.Decoder(CONTRACT.struct()).decode
    decoded = [
        decode(f'{{"id": {number}, "at": "{moment.isoformat()}", "count": {number}}}'.encode()).at
        for number, moment in enumerate(MOMENTS)
    ]
    assert [to_us(moment) for moment in decoded] == US
    for zone in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"):
        stamps = pd.to_datetime(pd.Series(US), unit="us", utc=True).dt.tz_convert(zone)
        frame = pd.DataFrame({"id": counts, "at": stamps, "count": counts})
        assert repr(VIEW.compute(frame, frame).to_dict("records")) == plain
        table = pa.table({"id": counts, "at": pa.array(US, pa.timestamp("us", zone)), "count": counts})
        assert repr(VIEW.compute(table, table).to_pylist()) == plain
    mixed = pd.DataFrame({"id": counts, "at": pd.Series(MOMENTS, dtype=object), "count": counts})
    assert repr(VIEW.compute(mixed, mixed).to_dict("records")) == plain
    for unit in ("s", "ms", "ns"):
        whole = [us // 1_000_000 * 1_000_000 for us in US]
        table = pa.table({"at": pa.array(whole, pa.timestamp("us")).cast(pa.timestamp(unit)), "count": counts})
        assert repr(VIEW.compute(table, table).to_pylist()) == repr(expected(whole, counts))


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, UTC])
def test_an_hour_is_an_hour_when_the_clocks_change(zone: Any) -> None:
    """Every half hour of a night in which clocks go back: each window of an hour holds two."""
    start = datetime(2026, 10, 24, 22, tzinfo=UTC)
    moments = [(start + timedelta(minutes=30 * i)).astimezone(zone) for i in range(20)]
    frame = pd.DataFrame({"id": range(20), "at": moments, "count": 1})
    assert VIEW.compute(frame, frame)["n"].tolist() == [0, 1] + [2] * 18


def test_whole_numbers_to_the_last() -> None:
    """Whole numbers count as the nearest double: what is beyond 2**53 and rounds alike is one value."""
    low, high = -(2**63), 2**63 - 1
    counts = [low, high, 2**53, 2**53 + 1, high - 1, 7]
    us = [day * 86_400_000_000 // 4 for day in range(6)]
    answers = expected(us, counts)
    assert [row["total"] for row in answers] == [
        float(sum(counts[:i])) if i < 2 else float(sum(map(int, map(float, counts[:i])))) for i in range(6)
    ]
    assert [row["most"] for row in answers][1:] == [float(low)] + [float(high)] * 4
    assert [row["different"] for row in answers] == [0, 1, 2, 3, 3, 3]
    made = OnlineHost([VIEW.spec()], CONTRACT, None, MemoryStrings())
    for seq, (at, count) in enumerate(zip(us, counts, strict=True)):
        assert repr(made.read([seq, at, count], at)) == repr(list(answers[seq].values()))
        made.append_event(seq, at, [seq, at, count])
