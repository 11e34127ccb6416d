"""`retrain.on_decay()`: when recent outcomes show the champion worse than it was when it was gated."""

import math
from datetime import timedelta

import msgspec

from modelwright.core.errors import DeclarationError
from modelwright.spec.trigger import LoopView, Pace, pace

Z_99_9 = 3.09
"""One-sided normal quantile: a system that looks often needs a rare false alarm."""


class OnDecay(msgspec.Struct, frozen=True, kw_only=True):
    """Mean row loss over the last `rows` due outcomes exceeds the gated one by `drop`, beyond chance."""

    drop: float
    rows: int
    pace: Pace = Pace()

    def due(self, view: LoopView) -> str | None:
        """Compare the two means; both are noisy, so their standard errors add. Waits for `rows` outcomes after a training."""
        mean, variance, n = view.recent_loss(self.rows)
        was, was_variance, was_n = view.reference_loss()
        if n < self.rows or not was_n:
            return None
        error = math.sqrt(variance / n + was_variance / was_n)
        rise = mean - was
        if rise - Z_99_9 * error <= self.drop:
            return None
        return f"mean loss {mean:.4f} over the last {n} outcomes, {rise:.4f} above the {was:.4f} it was gated with"


def on_decay(
    *, drop: float = 0.0, rows: int = 500, cool_down: str | timedelta | None = None, at_most: str | None = None
) -> OnDecay:
    """Retrain when the mean row loss of the last `rows` due outcomes is above the champion's held-back loss by more
    than `drop`, with 99.9 % confidence. The row loss of accuracy is the error rate (see `stats.losses`). An outcome is due
    the label's delay after its event; what is known earlier waits until then, since it is not like the rest.

    `cool_down`: not so soon after a training ("1d"). `at_most`: a bound on the loop's trainings ("4/day").
    """
    if not (isinstance(drop, (int, float)) and drop >= 0):
        raise DeclarationError(f"retrain.on_decay(drop={drop!r}): 0 or more")
    if not (isinstance(rows, int) and rows >= 30):
        raise DeclarationError(f"retrain.on_decay(rows={rows!r}): at least 30, fewer outcomes say nothing")
    return OnDecay(drop=drop, rows=rows, pace=pace("retrain.on_decay", cool_down, at_most))
