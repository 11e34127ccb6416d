"""What the monitor is asked to watch, and how often it may be wrong: `mw.monitor(...)`."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError

FALSE_ALARM_EVERY = "30d"


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """`false_alarm_us`: microseconds in which one false alarm may happen, of all that is watched together. `slices`: columns of
    the event whose values the metric is told for."""

    false_alarm_us: int
    slices: tuple[str, ...] = ()


def monitor(*, false_alarm_every: str | timedelta = FALSE_ALARM_EVERY, slices: Sequence[str] = ()) -> Monitor:
    """How the system is watched.

    `false_alarm_every`: no more than one false alarm in that time, of drift and of the quality of data together; the longer, the
    later a real change is noticed. `slices`: columns of the event by whose values the metric is told, each with its interval;
    the worst slice of all columns is looked for in any case.

    >>> monitor(slices=["country"]).slices
    ('country',)
    """
    if isinstance(slices, str) or not all(isinstance(name, str) for name in slices):
        raise DeclarationError(f"monitor(slices={slices!r}): give a list of columns, [...], also of one")
    doubled = [name for place, name in enumerate(slices) if name in slices[:place]]
    if doubled:
        raise DeclarationError(f"monitor(slices=): {doubled[0]!r} stands twice; name it once")
    every = duration_us(false_alarm_every, "monitor(false_alarm_every=)")
    return Monitor(false_alarm_us=every, slices=tuple(slices))


USUAL = monitor()
"""Where a system declares nothing else."""
