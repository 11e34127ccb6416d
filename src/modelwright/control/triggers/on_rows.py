"""`retrain.on_rows(10_000)`: when there are so many new outcomes to learn from."""

from datetime import timedelta

import msgspec

from modelwright.core.errors import DeclarationError
from modelwright.spec.trigger import LoopView, Pace, pace


class OnRows(msgspec.Struct, frozen=True, kw_only=True):
    """Due when `rows` outcomes have become known since the last training."""

    rows: int
    pace: Pace = Pace()

    def due(self, view: LoopView) -> str | None:
        """The number of new outcomes, once it reaches `rows`."""
        known = view.losses_since_training
        return f"{known:,} outcomes since the last training" if known >= self.rows else None


def on_rows(rows: int, *, cool_down: str | timedelta | None = None, at_most: str | None = None) -> OnRows:
    """Retrain when `rows` outcomes have become known since the newest candidate was trained.

    `cool_down`: not so soon after a training ("1d"). `at_most`: a bound on the loop's trainings ("4/day").

    >>> on_rows(10_000).rows
    10000
    """
    if not (isinstance(rows, int) and rows >= 1):
        raise DeclarationError(f"retrain.on_rows({rows!r}): a whole number from 1 up")
    return OnRows(rows=rows, pace=pace("retrain.on_rows", cool_down, at_most))
