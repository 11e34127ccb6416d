"""`retrain.on_decay()`: when recent outcomes show the champion worse than it was when it was gated."""

from datetime import timedelta

import msgspec

from modelwright.core.errors import DeclarationError
from modelwright.spec.trigger import LoopView, Pace, pace


class OnDecay(msgspec.Struct, frozen=True, kw_only=True):
    """The mean row loss of due outcomes exceeds the gated one by `drop`, beyond chance; `rows` as for `stats.rise`."""

    drop: float
    rows: int
    pace: Pace = Pace()

    def due(self, view: LoopView) -> str | None:
        """The rise, once it is shown; waits for `rows` outcomes after a training."""
        rise = view.rise(self.drop, self.rows)
        if rise is None or not rise.shown:
            return None
        (mean, n), was = rise.latest, rise.mean
        return (
            f"mean loss {mean:.4f} over the last {n} outcomes, {mean - was:.4f} above the {was:.4f} it was gated with"
        )


def on_decay(
    *, drop: float = 0.0, rows: int = 500, cool_down: str | timedelta | None = None, at_most: str | None = None
) -> OnDecay:
    """Retrain when the mean row loss of due outcomes is above the champion's held-back loss by more than `drop`, with
    99.9 % confidence, however often and however long the loop looks: of champions that are no worse, at most one in a
    thousand is ever taken for decayed between two trainings (see `stats.rise`). The row loss of accuracy is the error rate
    (see `stats.losses`). An outcome is due the label's delay after its event; what is known earlier waits until then, since it
    is not like the rest.

    `rows`: outcomes after a training before anything is said, and after which a rise is looked for anew, so that what was
    good long ago hides none. Small ones find a large rise sooner, large ones a small rise. `cool_down`: not so soon after a
    training ("1d"). `at_most`: a bound on the loop's trainings ("4/day").
    """
    if not (isinstance(drop, (int, float)) and drop >= 0):
        raise DeclarationError(f"retrain.on_decay(drop={drop!r}): 0 or more")
    if not (isinstance(rows, int) and rows >= 30):
        raise DeclarationError(f"retrain.on_decay(rows={rows!r}): at least 30, fewer outcomes say nothing")
    return OnDecay(drop=drop, rows=rows, pace=pace("retrain.on_decay", cool_down, at_most))
