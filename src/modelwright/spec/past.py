"""Which part of history to learn from: `past.all()`, `past.last("90d")`, `past.decayed("30d")`,
`past.since_change()`."""

from datetime import timedelta

import msgspec

from modelwright.core.clock import iso
from modelwright.core.durations import duration_text, duration_us


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the last `last_us` microseconds (0: of all time), each with half the weight of one that is `half_life_us`
    younger (0: all alike). `since_change`: rows since the change at `change_us`, which a training fills in, where enough
    follow."""

    last_us: int = 0
    half_life_us: int = 0
    since_change: bool = False
    change_us: int = 0

    @property
    def name(self) -> str:
        """In words, for the card."""
        if self.change_us:
            return f"since the change at {iso(self.change_us)[:16]}, where enough rows follow"
        if self.since_change:
            return "since the last change"
        if self.half_life_us:
            return f"half the weight every {duration_text(self.half_life_us)}"
        return f"the last {duration_text(self.last_us)}" if self.last_us else "all history"

    def known(self, change_us: int) -> "Past":
        """This part with the newest change that is known (0: none, which leaves all history)."""
        if not self.since_change:
            return self
        return Past(since_change=True, change_us=change_us) if change_us else Past()


def all() -> Past:
    """Everything that is known."""
    return Past()


def last(period: str | timedelta) -> Past:
    """What happened within the period before a training.

    >>> last("90d").name
    'the last 90d'
    """
    return Past(last_us=duration_us(period, "past.last"))


def decayed(half_life: str | timedelta) -> Past:
    """Everything, a row that is older by `half_life` with half the weight. The estimator's `fit` must take `sample_weight`.

    >>> decayed("30d").name
    'half the weight every 30d'
    """
    return Past(half_life_us=duration_us(half_life, "past.decayed"))


def since_change() -> Past:
    """What happened since the newest change that an alarm of drift has told of, by its own estimate of when that began.

    While no change is known, and where fewer than 400 labelled rows follow one, it is everything.

    >>> since_change().name
    'since the last change'
    """
    return Past(since_change=True)
