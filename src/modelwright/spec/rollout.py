"""How a challenger may become champion: `rollout.shadow(...)`."""

from datetime import timedelta

import msgspec

from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """Score every request with both releases, answer with the champion's, promote on evidence.

    `pairs` outcomes at least, a loss not worse by more than `margin` at `confidence`, `within_us` microseconds.
    """

    pairs: int
    margin: float
    confidence: float
    within_us: int


def shadow(
    *, pairs: int = 100, margin: float = 0.01, confidence: float = 0.9, within: str | timedelta = "14d"
) -> Shadow:
    """Promote a challenger when it is shown to be not worse on the requests both have scored.

    `pairs`: known outcomes needed at least. `margin`: how much worse, in the steering metric's row loss, would still be
    accepted (0.01 = one point of accuracy). `confidence`: of the sequential test, valid however often it is looked at.
    `within`: how long evidence may take; after that the champion stays.
    """
    if not (isinstance(pairs, int) and pairs >= 1):
        raise DeclarationError(f"rollout.shadow(pairs={pairs!r}): a whole number from 1 up")
    if not (isinstance(margin, (int, float)) and 0 < margin < 1):
        raise DeclarationError(f"rollout.shadow(margin={margin!r}): between 0 and 1, such as 0.01")
    if not (isinstance(confidence, (int, float)) and 0.5 <= confidence < 1):
        raise DeclarationError(f"rollout.shadow(confidence={confidence!r}): from 0.5 to below 1, such as 0.95")
    return Shadow(
        pairs=pairs, margin=margin, confidence=confidence, within_us=duration_us(within, "rollout.shadow(within=)")
    )
