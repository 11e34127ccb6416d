"""The protocol of a retraining trigger: when the loop should train a candidate, and how often at most."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from modelwright.core.durations import duration_text, duration_us
from modelwright.core.errors import DeclarationError

_UNITS = {"hour": "1h", "day": "1d", "week": "7d"}


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How often a trigger may have a candidate trained: `cool_down_us` after any training, and only while the loop has
    trained less than `most` candidates, for whatever reason, within `per_us`. Microseconds; 0 is no bound."""

    cool_down_us: int = 0
    most: int = 0
    per_us: int = 0

    def holds(self, now_us: int, trained_us: Sequence[int]) -> str | None:
        """Why not now, in words, given when candidates were trained; None where nothing stands against it."""
        if self.cool_down_us and trained_us and now_us - trained_us[-1] < self.cool_down_us:
            return f"the last training is less than {duration_text(self.cool_down_us)} old"
        within = sum(1 for at_us in trained_us if now_us - at_us < self.per_us)
        if self.most and within >= self.most:
            return f"{within} of at most {self.most} trainings within {duration_text(self.per_us)} are made"
        return None


def pace(where: str, cool_down: str | timedelta | None, at_most: str | None) -> Pace:
    """The bounds as they are declared: `cool_down="1d"`, `at_most="4/day"`.

    >>> pace("retrain.every", None, "4/day")
    Pace(cool_down_us=0, most=4, per_us=86400000000)
    """
    cool_down_us = 0 if cool_down is None else duration_us(cool_down, f"{where}(cool_down=)")
    if at_most is None:
        return Pace(cool_down_us=cool_down_us)
    found = re.fullmatch(r"([1-9]\d{0,5})\s*/\s*(\w+)", at_most) if isinstance(at_most, str) else None
    if found is None:
        raise DeclarationError(f'{where}(at_most={at_most!r}): give a number a time, such as "4/day" or "10/7d"')
    count, per = found.groups()
    per_us = duration_us(_UNITS.get(per, per), f"{where}(at_most=)")
    return Pace(cool_down_us=cool_down_us, most=int(count), per_us=per_us)


class Rise(Protocol):
    """Evidence that losses have risen; true however often one looks (`stats.rise`)."""

    @property
    def mean(self) -> float:
        """What they were."""
        ...

    @property
    def shown(self) -> bool:
        """Whether it is enough."""
        ...

    @property
    def latest(self) -> tuple[float, int]:
        """What they are, and over how many outcomes."""
        ...


class LoopView(Protocol):
    """What a trigger may ask about the running system."""

    @property
    def now_us(self) -> int: ...

    @property
    def trained_us(self) -> int:
        """When the newest candidate was trained; one that failed is none, and is tried again after a pause."""
        ...

    @property
    def losses_since_training(self) -> int:
        """Outcomes known since then, due or not."""
        ...

    @property
    def declaration(self) -> str:
        """The hash of what the model is made of, as it is declared now."""
        ...

    @property
    def trained_declaration(self) -> str:
        """The same as it was for the newest candidate; empty where that is not known."""
        ...

    def rise(self, drop: float, rows: int) -> Rise | None:
        """The evidence that the champion's row losses, of outcomes that came due since the newest candidate was trained, are
        above those on the rows it was gated on by more than `drop`; None where there are none such."""
        ...

    def drift(self) -> tuple[str, float] | None:
        """What has drifted from what the champion knows since the newest candidate was trained, in words, and the largest
        stability index of it."""
        ...


class Trigger(Protocol):
    """One reason to retrain."""

    @property
    def pace(self) -> Pace:
        """How often it may."""
        ...

    def due(self, view: LoopView) -> str | None:
        """The reason, in words with figures, or None."""
        ...
