"""What serving is asked and what it answers, as values of no transport."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec


class Answer(msgspec.Struct, omit_defaults=True, gc=False):
    """One prediction. `score` is the positive class's probability; amounts have neither score nor probabilities. Those are
    made by `probabilities_of`."""

    id: str
    prediction: Any
    score: float | None = None
    probabilities: dict[str, float] | None = None
    release: str = ""


def class_text(value: bool | str) -> str:
    """A class as a member of `probabilities`."""
    return value if isinstance(value, str) else str(value).lower()


def probabilities_of(classes: Sequence[bool | str]) -> Callable[[list[float] | None], Any]:
    """What makes `probabilities` of a number a class, or of None: a struct, which is written as JSON in half the time a
    dictionary is."""
    members = [(f"class_{place}", float) for place in range(len(classes))]
    renamed = {f"class_{place}": class_text(value) for place, value in enumerate(classes)}
    made: Any = msgspec.defstruct("Probabilities", members, rename=renamed, gc=False)
    return lambda probabilities: None if probabilities is None else made(*probabilities)


class Accepted(msgspec.Struct, omit_defaults=True, gc=False):
    """An event or outcome is in the log. `repeated`: it was there already. `late`: it came too late to be history."""

    id: str
    repeated: bool
    late: bool = False


class OutcomeBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /outcomes`: what became of an event, and when that was known (now, if not said)."""

    id: str
    outcome: Any
    at: datetime | None = None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One checked outcome; `known_us` in microseconds."""

    id: str
    value: Any
    known_us: int


class Counters:
    """What /metrics shows. Owned by the data plane, changed by its one thread."""

    def __init__(self) -> None:
        self.predictions: dict[str, int] = {}
        self.events = 0
        self.late = 0
        self.outcomes = 0
        self.repeats = 0
        self.failures: dict[str, int] = {}
        self.shadow = 0
        self.shadow_dropped = 0
        self.unseen: dict[str, int] = {}
        self.stream_received: dict[str, int] = {}
        self.stream_redelivered: dict[str, int] = {}
        self.stream_answered: dict[str, int] = {}
        self.stream_rejected: dict[str, int] = {}
        self.stream_in_flight: dict[str, int] = {}
        self.stream_connected: dict[str, int] = {}
        self.commits = 0
        self.swaps = 0
