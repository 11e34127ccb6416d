"""How a challenger may become champion: `rollout.shadow(...)`, in growing shares, `rollout.canary(...)`, or by a person's word
as well, `rollout.manual(...)`."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError
from modelwright.spec.guard import USUAL, Guard

SHARES = (0.05, 0.25)
"""Of the requests that a canary answers, one after the other, before it answers all."""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """Score every request with both releases, answer with the champion's, promote on evidence.

    `pairs` outcomes at least, a loss not worse by more than `margin` at `confidence`, `within_us` microseconds. With
    `approval` the evidence alone is not enough: a person has to say so too. With `shares` what is shown to be not worse
    first answers so much of the requests, each share until `step` more outcomes are known, within `within_us` again. What
    breaches one of the `guards` is taken out of service.
    """

    pairs: int
    margin: float
    confidence: float
    within_us: int
    approval: bool = False
    shares: tuple[float, ...] = ()
    step: int = 0
    guards: tuple[Guard, ...] = USUAL


def shadow(
    *,
    pairs: int = 100,
    margin: float = 0.01,
    confidence: float = 0.9,
    within: str | timedelta = "14d",
    guard: Sequence[Guard] = USUAL,
) -> Rollout:
    """Promote a challenger when it is shown to be not worse on the requests both have scored.

    `pairs`: known outcomes needed at least. `margin`: how much worse, in the steering metric's row loss, would still be
    accepted (0.01 = one point of accuracy). `confidence`: of the sequential test, valid however often it is looked at.
    `within`: how long evidence may take; after that the champion stays. `guard`: what takes a release out of service while it
    is live, by default `guard.scores()` and `guard.outcome()`.
    """
    return _rollout("rollout.shadow", pairs, margin, confidence, within, guard)


def canary(
    *,
    shares: Sequence[float] = SHARES,
    step: int = 50,
    pairs: int = 100,
    margin: float = 0.01,
    confidence: float = 0.9,
    within: str | timedelta = "14d",
    guard: Sequence[Guard] = USUAL,
) -> Rollout:
    """As `shadow`, but that a challenger which is shown to be not worse first answers a share of the requests, then a larger
    one, and so on, then all.

    `shares`: which, rising. Who is in a share is decided by the entity, or by the id where the event declares none, and stays
    in every larger one. `step`: further outcomes known to both releases before the share grows; what turns out worse
    meanwhile answers nobody any more. Each step may take `within` again.
    """
    where = "rollout.canary"
    given = tuple(shares) if isinstance(shares, (list, tuple)) else ()
    numbers = all(isinstance(share, (int, float)) for share in given)
    if not given or not numbers or not all(low < high for low, high in zip((0, *given), (*given, 1), strict=True)):
        raise DeclarationError(f"{where}(shares={shares!r}): shares that rise between 0 and 1, such as [0.05, 0.25]")
    if not (isinstance(step, int) and step >= 1):
        raise DeclarationError(f"{where}(step={step!r}): a whole number from 1 up")
    found = _rollout(where, pairs, margin, confidence, within, guard)
    return msgspec.structs.replace(found, shares=tuple(map(float, given)), step=step)


def manual(
    *,
    pairs: int = 100,
    margin: float = 0.01,
    confidence: float = 0.9,
    within: str | timedelta = "14d",
    guard: Sequence[Guard] = USUAL,
) -> Rollout:
    """As `shadow`, but that a challenger which is shown to be not worse waits for `modelwright approve`.

    It waits for `within` once more, scoring every request, and is dropped where nobody approves. A rehearsal, which has
    nobody to ask, takes the approval as given.
    """
    return msgspec.structs.replace(_rollout("rollout.manual", pairs, margin, confidence, within, guard), approval=True)


def _rollout(
    where: str, pairs: int, margin: float, confidence: float, within: str | timedelta, guard: Sequence[Guard]
) -> Rollout:
    if not (isinstance(pairs, int) and pairs >= 1):
        raise DeclarationError(f"{where}(pairs={pairs!r}): a whole number from 1 up")
    if not (isinstance(margin, (int, float)) and 0 < margin < 1):
        raise DeclarationError(f"{where}(margin={margin!r}): between 0 and 1, such as 0.01")
    if not (isinstance(confidence, (int, float)) and 0.5 <= confidence < 1):
        raise DeclarationError(f"{where}(confidence={confidence!r}): from 0.5 to below 1, such as 0.95")
    within_us = duration_us(within, f"{where}(within=)")
    guards = tuple(guard) if isinstance(guard, (list, tuple)) else (guard,)
    for one in guards:
        if not isinstance(one, Guard):
            raise DeclarationError(
                f'{where}(guard=): {one!r} is no guard; use guard.latency("20ms"), guard.scores() and the like'
            )
        if sum(type(other) is type(one) for other in guards) > 1:
            raise DeclarationError(f"{where}(guard=): guard.{type(one).__name__.lower()} stands twice; name it once")
    return Rollout(pairs=pairs, margin=margin, confidence=confidence, within_us=within_us, guards=guards)
