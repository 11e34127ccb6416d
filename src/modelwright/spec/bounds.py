"""What a served form may give away for speed: `mw.optimize.within(flips=0, drop=0.001)`."""

import math

import msgspec

from modelwright.core.errors import DeclarationError


class Within(msgspec.Struct, frozen=True, kw_only=True):
    """The share of held-back rows that may change their class, and how much worse the steering metric may be."""

    flips: float
    drop: float


def within(*, flips: float = 0.0, drop: float = 0.0) -> Within:
    """Let a faster form of the model be served that is not equal to it, within bounds.

    `flips`: the largest share of compared rows that may get another class, from 0 to 1; amounts have no class to change, so
    that `drop` alone bounds them. `drop`: how much worse `System(metric=)` may be on the held-back rows, in that metric's own
    unit. Without `optimize=` nothing is traded.

    >>> within(flips=0.001, drop=0.002)
    Within(flips=0.001, drop=0.002)
    """
    for name, value, most in (("flips", flips, 1.0), ("drop", drop, math.inf)):
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not 0 <= value <= most
            or value == math.inf
        ):
            limit = "from 0 to 1, a share of the rows" if name == "flips" else "0 or more, in the metric's unit"
            raise DeclarationError(f"optimize.within({name}={value!r}): {limit}")
    return Within(flips=float(flips), drop=float(drop))
