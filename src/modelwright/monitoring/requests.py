"""How requests are answered, by the counts of the running server: refused, in conflict, failed, slow, sent twice.

Each share is held against a bound, not against history (`monitoring.shares`). It is of the machine and its clients and not of
the data, so it is watched in a `run` only, never in a rehearsal or a replay. Failures that come in bursts are taken as many. It
decides nothing: what a release does wrong, the rollout's guards act upon.
"""

import re
from collections.abc import Iterable, Mapping

from modelwright.monitoring.change import Change, What
from modelwright.monitoring.shares import ShareWatch, Words

SLOW_S = 1.0
"""Longer than this is slow: the largest bound of the server's own histogram."""
BOUNDS: Mapping[What, float] = {"rejected": 0.05, "conflicts": 0.01, "errors": 0.01, "latency": 0.01, "repeats": 0.05}
SAID: Mapping[What, str] = {
    "rejected": "do not fit the contract or are not JSON",
    "conflicts": "repeat a known id with another body",
    "errors": "could not be answered",
    "latency": f"took longer than {SLOW_S:g} s",
    "repeats": "repeat a known id with the same body",
}
REQUESTS_SHARE = 0.04
"""Of all false alarms, of the five together."""
ROUTE = re.compile(r"/(predict|events|outcomes|v2|invocations|score|inference\.GRPCInferenceService)\b")
ROWS = ("predictions_total", "events_total", "outcomes_total", "repeats_total")
"""What becomes of a row that is taken."""
_NAMES = "|".join(("responses_total", "request_seconds_bucket", "request_seconds_count", *ROWS))
_SAMPLE = re.compile(rf"^modelwright_({_NAMES})(?:\{{(.*)\}})? (\S+)$", re.M)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def counted(exposition: str) -> dict[What, tuple[int, int]]:
    """Of the server's metrics: how many requests there were, and how many of them were at fault, in each way. Of `repeats` it is
    rows, as one request may bring many.

    >>> counted('modelwright_responses_total{route="/predict",status="422"} 3')["rejected"]
    (3, 3)
    """
    found = {what: [0, 0] for what in BOUNDS}
    for name, labels, value in _SAMPLE.findall(exposition):
        given, number = dict(_LABEL.findall(labels)), int(float(value))
        if name in ROWS:
            found["repeats"][0] += number
            found["repeats"][1] += number if name == "repeats_total" else 0
            continue
        if not ROUTE.match(given.get("route", "")):
            continue
        if name == "responses_total":
            status = int(given["status"])
            for what in ("rejected", "conflicts", "errors"):
                found[what][0] += number
            if status in (400, 415, 422):
                found["rejected"][1] += number
            elif status == 409:
                found["conflicts"][1] += number
            elif status >= 500:
                found["errors"][1] += number
        elif name == "request_seconds_count":
            found["latency"][0] += number
            found["latency"][1] += number
        elif given.get("le") == str(SLOW_S):
            found["latency"][1] -= number
    return {what: (rows, fault) for what, (rows, fault) in found.items()}


class RequestWatch:
    """All of them. State: what the server had counted when it was last asked, and the changes so far."""

    def __init__(self, every_us: int) -> None:
        self.changes: list[Change] = []
        self._counted: dict[What, tuple[int, int]] | None = None
        self._watches = {
            what: ShareWatch(what, "requests", bound, every_us, REQUESTS_SHARE / len(BOUNDS), words(what, bound))
            for what, bound in BOUNDS.items()
        }

    def resume(self, open_one: Change) -> None:
        """That is off since before this process: known from the journal, as the server's counts begin anew."""
        self._watches[open_one.what].resume(open_one.began_us)

    def look(self, exposition: str, now_us: int) -> None:
        """What the server says of itself at that moment. A server that began to count anew has counted all that is new."""
        now = counted(exposition)
        before, self._counted = self._counted, now
        for what, (rows, fault) in now.items():
            was_rows, was_fault = (0, 0) if before is None else before[what]
            if rows < was_rows or fault < was_fault:
                was_rows = was_fault = 0
            self.changes += self._watches[what].add(rows - was_rows, min(fault - was_fault, rows - was_rows), now_us)


def words(what: What, bound: float) -> Words:
    """How such a share is told.

    >>> words("errors", 0.01)(0.25, 1_200)
    '25.0% of 1,200 could not be answered; up to 1% is taken as usual'
    """
    return lambda size, rows: f"{size:.1%} of {rows:,} {SAID[what]}; up to {bound:.0%} is taken as usual"


def in_order(changes: Iterable[Change]) -> list[Change]:
    """By when they were noticed."""
    return sorted(changes, key=lambda change: change.at_us)
