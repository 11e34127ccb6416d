"""`retrain.on_change()`: when what the model is made of is declared otherwise than when the newest candidate was trained."""

from datetime import timedelta

import msgspec

from modelwright.spec.trigger import LoopView, Pace, pace


class OnChange(msgspec.Struct, frozen=True, kw_only=True):
    """Due when the declaration's hash is not that of the newest candidate."""

    pace: Pace = Pace()

    def due(self, view: LoopView) -> str | None:
        """The two hashes, where they differ. A candidate of before there were hashes says nothing."""
        was, now = view.trained_declaration, view.declaration
        return f"the declaration changed from {was[:12]} to {now[:12]}" if was not in ("", now) else None


def on_change(*, cool_down: str | timedelta | None = None, at_most: str | None = None) -> OnChange:
    """Retrain when the contract, the label, the features, the inputs, the model or the metric are declared otherwise than
    when the newest candidate was trained.

    `cool_down`: not so soon after a training ("1d"). `at_most`: a bound on the loop's trainings ("4/day").
    """
    return OnChange(pace=pace("retrain.on_change", cool_down, at_most))
