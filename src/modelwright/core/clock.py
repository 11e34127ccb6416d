"""The only place that knows what time it is.

Everything else is handed a `Clock`, so that a rehearsal or a replay can run years of history in seconds with the
same code. Instants are integers: microseconds since 1970-01-01T00:00Z, the resolution of Arrow's `timestamp[us]`.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time in microseconds since the epoch, UTC. Never runs backwards by more than the system clock does."""

    def now_us(self) -> int: ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000


class SimulatedClock:
    """A clock that stands still until it is told the time: rehearsals, replays and tests.

    >>> clock = SimulatedClock(0)
    >>> clock.advance(5)
    >>> clock.advance(3)     # never backwards
    >>> clock.now_us()
    5
    """

    def __init__(self, start_us: int = 0) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        return self._now_us

    def advance(self, to_us: int) -> None:
        self._now_us = max(self._now_us, to_us)


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch; a naive time means UTC.

    >>> to_us(datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // MICROSECOND


def from_us(instant_us: int) -> datetime:
    """The aware UTC datetime of an instant.

    >>> from_us(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return EPOCH + timedelta(microseconds=instant_us)


def iso(instant_us: int) -> str:
    """RFC 3339 text of an instant, whole seconds shown without a fraction.

    >>> iso(1_000_000), iso(1)
    ('1970-01-01T00:00:01Z', '1970-01-01T00:00:00.000001Z')
    """
    return from_us(instant_us).isoformat().replace("+00:00", "Z")
