"""Durations as people write them ("30m", "24h", "7d"), and back."""

import re
from datetime import timedelta

from modelwright.core.clock import MICROSECOND
from modelwright.core.errors import DeclarationError

_UNIT_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
LONGEST_US = 3_652_425 * _UNIT_US["d"]
"""Added to any instant of the years 1 to 9999 it fits 64 bits."""
_FORM = re.compile(r"(\d+)\s*(us|ms|s|m|h|d|w)")


def duration_us(value: str | timedelta, what: str = "duration") -> int:
    """Microseconds of a duration such as "90s", "30m", "24h", "7d", "2w" or a `timedelta`.

    `what` names the setting in the error.

    >>> duration_us("24h") == duration_us(timedelta(days=1)) == 86_400_000_000
    True
    >>> duration_us("a week", "over")
    Traceback (most recent call last):
    modelwright.core.errors.DeclarationError: over='a week' is not a duration: write a number and a unit...
    """
    if isinstance(value, timedelta):
        micros = value // MICROSECOND
    else:
        match = _FORM.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise DeclarationError(
                f'{what}={value!r} is not a duration: write a number and a unit, such as "30m", "24h" or "7d"'
            )
        micros = int(match[1]) * _UNIT_US[match[2]]
    if micros <= 0:
        raise DeclarationError(f"{what}={value!r} must be longer than nothing")
    if micros > LONGEST_US:
        raise DeclarationError(f"{what}={value!r} is longer than ten thousand years; give a shorter one")
    return micros


def duration_text(micros: int) -> str:
    """The shortest exact text of a duration.

    >>> duration_text(86_400_000_000), duration_text(5_400_000_000)
    ('1d', '90m')
    """
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if micros % _UNIT_US[unit] == 0 and (unit != "w" or micros % (4 * _UNIT_US["w"]) == 0):
            return f"{micros // _UNIT_US[unit]}{unit}"
    return f"{micros}us"


def about(micros: int) -> str:
    """A duration for people, to about two digits.

    >>> about(7_260_000_000), about(90_061_000_000), about(1_219_745_000_000), about(1_500_000)
    ('121m', '25h', '14d', '1500ms')
    """
    for unit in ("d", "h", "m", "s", "ms"):
        if micros >= 10 * _UNIT_US[unit]:
            return f"{round(micros / _UNIT_US[unit])}{unit}"
    return f"{micros}us"
