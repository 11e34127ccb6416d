"""A turn in the quality of what arrives: something is off, or is as usual again. What the journal keeps as an `alert` row."""

from typing import Final, Literal

import msgspec

from modelwright.core.clock import iso
from modelwright.core.durations import about

What = Literal[
    "volume", "freshness", "overdue", "range", "clock", "delay", "rejected", "conflicts", "errors", "latency", "repeats"
]
NAMES: Final = {
    "overdue": "overdue outcomes",
    "rejected": "rejected requests",
    "conflicts": "conflicting requests",
    "errors": "failed requests",
    "latency": "slow requests",
    "repeats": "repeated ids",
    "clock": "clock skew",
}
State = Literal["raised", "cleared", "superseded"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """`what` of which stream is off (`raised`), as usual again (`cleared`), or was off when a release took over that was
    trained on newer history, against which it is watched anew (`superseded`). Noticed at `at_us`, so since `since_us`; what is
    cleared began at `began_us`. `log10`: how much likelier what came is under a change, as a power of 10 (None where the
    bound itself is the evidence). `size`: of what is usual, or the share that is at fault; `change` says it in words."""

    what: What
    of: str
    state: State
    at_us: int
    since_us: int
    began_us: int
    log10: float | None
    size: float
    change: str

    @property
    def name(self) -> str:
        """For people."""
        return NAMES.get(self.what, f"{self.what} of {self.of}")

    @property
    def summary(self) -> str:
        """In one line."""
        if self.state == "superseded":
            return f"{self.name} was off when {self.change} took over: now watched against its newer history"
        if self.state == "cleared":
            lasted = about(self.since_us - self.began_us)
            return f"{self.name} as usual again since {_minute(self.since_us)}, after {lasted}: {self.change}"
        return f"{self.name} since {_minute(self.since_us)}: {self.change}"


def _minute(at_us: int) -> str:
    return iso(at_us)[:16].replace("T", " ")
