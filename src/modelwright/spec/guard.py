"""What takes a release out of service while it is live: `guard=[guard.latency("20ms"), guard.scores(), guard.outcome()]`.

A release that cannot answer, or answers with what is no number, needs no guard: it goes at the first such answer. Where the
others are looked at: latency in the serving processes, scores and outcomes in `control/guards.py`.
"""

from datetime import timedelta

import msgspec

from modelwright.core.durations import duration_us
from modelwright.core.errors import DeclarationError


class Latency(msgspec.Struct, frozen=True):
    """Of 100 calls of the model at most one may take longer than `slowest_us` microseconds."""

    slowest_us: int


class Scores(msgspec.Struct, frozen=True):
    """A new release's latest `rows` scores must not be all the same, nor have a stability index of `jump` against its
    reference, where those of the release beside it have not."""

    rows: int
    jump: float


class Outcome(msgspec.Struct, frozen=True):
    """A new champion must not turn out worse than the release before it, by the rollout's margin, at this confidence."""

    confidence: float


Guard = Latency | Scores | Outcome


def latency(p99: str | timedelta) -> Latency:
    """Of 100 calls of the model by a serving process, one may take longer than `p99`, such as "20ms".

    A false alarm is one in 1e9 calls or rarer. Looked at in no rehearsal and no replay, where no client waits; how long a row
    takes stands in the `trained` row's `observed`.
    """
    return Latency(duration_us(p99, "guard.latency(p99=)"))


def scores(*, rows: int = 200, jump: float = 4.0) -> Scores:
    """The scores, or amounts, of a challenger or a new champion must not leave what it said on the rows it was gated on, while
    those of the release that scores the same requests stay: where both leave, it is the requests that have changed.

    `rows`: the latest that are looked at; more, where neighbours say much the same. `jump`: the stability index from which
    they count as others; 0.2 is a large drift, and 4 means that hardly one is where it used to be.
    """
    if not (isinstance(rows, int) and rows >= 50):
        raise DeclarationError(f"guard.scores(rows={rows!r}): a whole number from 50 up")
    if not (isinstance(jump, (int, float)) and jump >= 1):
        raise DeclarationError(f"guard.scores(jump={jump!r}): a number from 1 up; retrain.on_drift() looks at less")
    return Scores(rows, float(jump))


def outcome(*, confidence: float = 0.99) -> Outcome:
    """The release before a new champion scores beside it for as long as the two were compared before; where the champion
    turns out worse on the outcomes of these requests, the release before it is back.

    `confidence`: of the sequential test, valid however often it is looked at.
    """
    if not (isinstance(confidence, (int, float)) and 0.5 <= confidence < 1):
        raise DeclarationError(f"guard.outcome(confidence={confidence!r}): from 0.5 to below 1, such as 0.99")
    return Outcome(float(confidence))


USUAL: tuple[Guard, ...] = (scores(), outcome())
"""Those of a rollout that names none."""
