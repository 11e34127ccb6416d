"""`retrain.on_drift()`: when requests are no longer what the champion was trained on."""

from datetime import timedelta

import msgspec

from modelwright.core.errors import DeclarationError
from modelwright.spec.trigger import LoopView, Pace, pace


class OnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm since the last training, of a change whose stability index is at least `size`."""

    size: float
    pace: Pace = Pace()

    def due(self, view: LoopView) -> str | None:
        """What drifted, as the alarm says it. Another training waits for another alarm."""
        drift = view.drift()
        return None if drift is None or drift[1] < self.size else drift[0]


def on_drift(*, size: float = 0.0, cool_down: str | timedelta | None = None, at_most: str | None = None) -> OnDrift:
    """Retrain when the monitor raises an alarm about the champion's inputs, how they go together, or its score. How often it
    may be wrong is declared, `System(monitor=mw.monitor(false_alarm_every=...))` (see `monitoring.drift`). `size`: the
    smallest stability index worth a training; rules of thumb call 0.1 a shift worth a look and 0.2 a large one.

    `cool_down`: not so soon after a training ("1d"). `at_most`: a bound on the loop's trainings ("4/day").
    """
    if not (isinstance(size, (int, float)) and size >= 0):
        raise DeclarationError(f"retrain.on_drift(size={size!r}): 0 or more; 0.1 is worth a look, 0.2 is large")
    return OnDrift(size=float(size), pace=pace("retrain.on_drift", cool_down, at_most))
