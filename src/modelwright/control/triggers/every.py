"""`retrain.every("30d")`: when the newest candidate is that old."""

from datetime import timedelta

import msgspec

from modelwright.core.durations import duration_text, duration_us
from modelwright.spec.trigger import LoopView, Pace, pace


class Every(msgspec.Struct, frozen=True):
    """Due `period_us` microseconds after the last training."""

    period_us: int
    pace: Pace = Pace()

    def due(self, view: LoopView) -> str | None:
        """The age of the newest candidate, once it reaches the period."""
        age = view.now_us - view.trained_us
        return f"{duration_text(self.period_us)} since the last training" if age >= self.period_us else None


def every(period: str | timedelta, *, at_most: str | None = None) -> Every:
    """Retrain when the newest candidate, promoted or not, is that old.

    `at_most`: a bound on the loop's trainings, such as "4/day".

    >>> every("30d").period_us
    2592000000000
    """
    return Every(duration_us(period, "retrain.every"), pace("retrain.every", None, at_most))
