"""Everything serving does, without a transport: predict, take events and outcomes, follow the champion.

Requests in flight are worked off together in one write transaction of the log: it brings the history hosts up to what
others wrote, reads each request's features, appends its row, scores all of them with one call of the model, and commits
once; only then is anybody answered. So an answer is always about the log as it was known at that row, and what was
answered is durable. Which release answers, and which scores the same requests beside, is said in `answering`.

One thread owns a data plane. Errors are `ModelwrightError`s, one per request; a failed commit fails them all.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from modelwright.core.clock import Clock, SimulatedClock, to_us
from modelwright.core.errors import (
    ConflictError,
    ContractError,
    ModelwrightError,
    ReleaseError,
    UnavailableError,
)
from modelwright.ingest.identity import row_digest
from modelwright.lake.journal import Pointer
from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow, OtherRow, OutcomeRow
from modelwright.lake.writer import Writer
from modelwright.release.folder import Release
from modelwright.serving.answering import Answering, Scoring
from modelwright.serving.events import FUTURE_US, Event, EventForm
from modelwright.serving.live import Hosts, LiveRelease
from modelwright.serving.messages import Accepted, Counters, Outcome, OutcomeBody
from modelwright.serving.plane import Operation
from modelwright.serving.slowness import SlownessGuard
from modelwright.serving.stages import Stages
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec

FORGET_AFTER = 5_000
"""More rows of others than this are not appended one by one: the hosts load them from the log's history."""


class Dataplane:
    """The log, the releases that are live, and the operations on them.

    `on_failure(release, error)` is told when a live release cannot answer what the one before it can. A replay gives its
    `event_clock`, which the requests' own times then advance. `slowness` is told how long each call of a model took.
    """

    def __init__(
        self,
        log: Log,
        contract: Contract,
        label: LabelSpec,
        clock: Clock,
        on_failure: Callable[[str, str], None] = lambda release, error: None,
        *,
        event_clock: SimulatedClock | None = None,
        slowness: SlownessGuard | None = None,
    ) -> None:
        self.log = log
        self.contract = contract
        self.label = label
        self.clock = clock
        self.counters = Counters()
        self.stages = Stages()
        self.hosts = Hosts(contract, log.strings, log.history)
        self._answering = Answering(contract, clock, self.counters, self.stages, on_failure, slowness)
        self._event_clock = event_clock
        self._cursor = log.head()
        self.others = log.schema.others
        self._forms = {None: EventForm(contract)} | {other.name: EventForm(other, other.name) for other in self.others}

    # Releases.

    def prepare(self, release: Release) -> LiveRelease:
        """Make a release ready: its views are built from the log to its head before it is eligible."""
        if release.contract != self.contract:
            raise ReleaseError(f"release {release.name} is of another contract; train one for this declaration")
        for event in (None, *release.manifest.others):
            if event is not None and event not in self.others:
                raise ReleaseError(
                    f"release {release.name} is of another contract of {event.name}; train one for this declaration"
                )
            name = (event or self.contract).name
            bys = [view.by for view in release.manifest.views if view.event == name]
            self.log.history.require(bys, None if event is None else name)
        return LiveRelease(release, self.hosts.host(release), self.contract)

    def swap(
        self,
        champion: LiveRelease | None,
        previous: LiveRelease | None,
        challenger: LiveRelease | None,
        pointer: Pointer = Pointer(),  # noqa: B008 - a value
    ) -> None:
        """Make these live, between two batches: no request sees half of it. `pointer`: what they were read from, with the
        challenger's share of the answers."""
        loaded = self._answering.swap(champion, previous, challenger, pointer)
        self.hosts.keep([live.release for live in loaded])
        self.counters.swaps += 1

    @property
    def champion(self) -> LiveRelease | None:
        """The release that answers."""
        return self._answering.champion

    @property
    def previous(self) -> LiveRelease | None:
        """The one before it, which stands in for it."""
        return self._answering.previous

    @property
    def challenger(self) -> LiveRelease | None:
        """The release that is compared with the champion."""
        return self._answering.challenger

    @property
    def pointer(self) -> Pointer:
        """What the live releases were read from."""
        return self._answering.pointer

    @property
    def share(self) -> float:
        """Of the answers, the challenger's."""
        return self._answering.pointer.share

    # Decoding.

    @property
    def operations(self) -> dict[str, Operation]:
        """What may be asked: predictions, events of every kind, outcomes."""
        event = self.contract.struct()
        return {
            "predict": Operation("predict", event, self.event_of),
            "events": Operation("event", event, self.event_of),
            "outcomes": Operation("outcome", OutcomeBody, self.outcome_of),
            **{
                f"events/{other.name}": Operation("event", other.struct(), partial(self.event_of, other=other.name))
                for other in self.others
            },
        }

    def event_of(self, body: msgspec.Struct, other: str | None = None) -> Event:
        """A decoded body (an instance of the contract's struct, or of the `other` event's of that name) as an event.

        Raises `ContractError` for a time ahead of the clock.
        """
        event = self._forms[other].event(body)
        if self._event_clock is not None:
            self._event_clock.advance(event.at_us)
        else:
            self._forms[other].check_ahead(event.at_us, self.clock)
        event.digest = row_digest(event.values)
        return event

    def outcome_of(self, body: OutcomeBody) -> Outcome:
        """An outcome's value and time, checked against the label.

        Raises `ContractError` for a value that is not of the label's kind, a time ahead of the clock, and where
        outcomes are read from later events.
        """
        if self.label.ahead is not None:
            raise ContractError(
                f"outcome: {self.label.name} is not told but read from later events ({self.label.described}); send the "
                "events",
                "outcome",
            )
        try:
            value: Any = msgspec.convert(body.outcome, _PYTHON[self.label.kind])
        except msgspec.ValidationError as error:
            raise ContractError(f"outcome: {error}; {self.label.name} is a {self.label.kind}", "outcome") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise ContractError("outcome: not a finite number", "outcome")
        now_us = self.clock.now_us()
        known_us = now_us if body.at is None else to_us(body.at)
        if self._event_clock is None and known_us > now_us + FUTURE_US:
            raise ContractError("at: more than 5 minutes ahead of the clock", "at")
        return Outcome(body.id, value, known_us)

    # Batches.

    def work(self, jobs: Sequence[tuple[str, Any]]) -> list[Any]:
        """Work off jobs in one transaction, outcomes of known events and other events first; an answer or a
        `ModelwrightError` for each.

        A job is ("predict", events), ("event", events) or ("outcome", outcome bodies); its answer a list with one
        encoded `Answer` or an `Accepted` for each entry. Whatever fails in one job leaves the others alone, and what a failed job
        had already written stays: each entry counts once, so that sending it again is safe.
        """
        results: list[Any] = [None] * len(jobs)
        stages = self.stages
        stages.begin()
        try:
            with self.log.write() as write:
                self._catch_up(write)
                self._answering.score_beside(write)
                stages.mark("begin")
                scoring: dict[str, Scoring] = {}
                for number in self._in_order(write, jobs):
                    kind, entries = jobs[number]
                    try:
                        if kind == "predict":
                            results[number] = self._take_predictions(write, entries, scoring)
                        elif kind == "event":
                            results[number] = [self._take_event(write, event) for event in entries]
                        else:
                            results[number] = [self._take_outcome(write, body) for body in entries]
                    except ModelwrightError as error:
                        results[number] = error
                stages.mark("features")
                if scoring:
                    self._answering.answer(write, list(scoring.values()))
                _resolve(results)
                stages.mark("encode")
            stages.mark("commit")
            if write.last is not None:
                self._cursor = write.last
            self.counters.commits += 1
        except Exception:
            # The hosts hold rows that were never committed: forget them, the log is the truth.
            self.hosts.forget()
            self._answering.drop()
            raise
        return results

    def score_shadow(self) -> None:
        """Score what waits for the challenger, when no request brings it along."""
        if self._answering.waiting:
            self.work([])

    def events(self) -> int:
        """How many events the log holds."""
        return self.log.counts()["events"]

    def head(self) -> int:
        """The sequence number of the log's last row."""
        return self.log.head()

    @property
    def shadow_waiting(self) -> int:
        """Requests that wait for the challenger."""
        return len(self._answering.waiting)

    @staticmethod
    def _in_order(write: Writer, jobs: Sequence[tuple[str, Any]]) -> list[int]:
        """Requests in flight together have no order of their own: a row of another event that is here counts for the
        predictions that are, and an outcome too, unless its own event is among them."""
        outcomes = [number for number, (kind, _) in enumerate(jobs) if kind == "outcome"]
        others = {number for number, (kind, rows) in enumerate(jobs) if kind == "event" and rows and rows[0].other}
        if len(outcomes) + len(others) in (0, len(jobs)):
            return list(range(len(jobs)))
        early = {number for number in outcomes if all(write.known(body.id) is not None for body in jobs[number][1])}
        events = [number for number, (kind, _) in enumerate(jobs) if kind != "outcome" and number not in others]
        return [*sorted(early | others), *events, *(number for number in outcomes if number not in early)]

    def _catch_up(self, write: Writer) -> None:
        if write.head - self._cursor > FORGET_AFTER:
            self.hosts.forget()
        else:
            for row in write.rows_since(self._cursor):
                if isinstance(row, EventRow):
                    self.hosts.event(row.seq, row.at_us, row.values, live=row.live)
                elif isinstance(row, OtherRow):
                    self.hosts.event(row.seq, row.at_us, row.values, row.event, live=row.live)
                elif isinstance(row, OutcomeRow):
                    values = write.event_values(row.id)[2]
                    self.hosts.outcome(row.seq, row.event_seq, row.known_us, row.value, values)
        self._cursor = write.head

    def _take_event(self, write: Writer, event: Event) -> Accepted:
        known = write.known(event.id, event.other)
        if known is not None:
            self._same(event, known.digest)
            self.counters.repeats += 1
            return Accepted(event.id, True)
        late = self._is_too_late(event)
        if event.other is None:
            seq = write.event(event.id, event.at_us, event.values, digest=event.digest)
        else:
            seq = write.other(event.other, event.id, event.at_us, event.values, digest=event.digest)
        self.hosts.event(seq, event.at_us, event.values, event.other)
        self.counters.events += 1
        self.counters.late += late
        return Accepted(event.id, False, late)

    def _is_too_late(self, event: Event) -> bool:
        """Whether the champion's views do not count an event that comes now; without a champion there are none."""
        champion = self._answering.champion
        return champion is not None and champion.is_too_late(event.values, event.at_us, event.other)

    def _take_outcome(self, write: Writer, body: Outcome) -> Accepted:
        row = write.outcome(body.id, body.value, body.known_us)
        if row is None:
            self.counters.repeats += 1
            return Accepted(body.id, True)
        values = write.event_values(body.id)[2]
        self.hosts.outcome(row.seq, row.event_seq, row.known_us, row.value, values)
        self.counters.outcomes += 1
        return Accepted(body.id, False)

    def _take_predictions(self, write: Writer, events: list[Event], scoring: dict[str, Scoring]) -> list[Any]:
        readers = self._answering.readers
        if self._answering.champion is None:
            raise UnavailableError("no release is live yet; events are accepted at POST /events")
        answers: list[Any] = []
        for event in events:
            known = write.identity(event.id)
            if known is not None:
                self._same(event, known.digest)
                if known.answer is not None:
                    self.counters.repeats += 1
                    answers.append(msgspec.Raw(known.answer))
                    continue
                if event.id in scoring:  # twice in one batch: the same answer
                    self.counters.repeats += 1
                    answers.append(scoring[event.id])
                    continue
            elif self._is_too_late(event):
                time = self.contract.time or ""
                raise ContractError(
                    f"{time}: the event is older than the newest of its key by more than the declared lateness; POST "
                    "/events takes it into the log, where it is no history",
                    time,
                )
            # An event that came without a prediction first sees what came before it, then and now.
            before = known.seq if known is not None and known.live else None
            features = {live.name: live.features_of(event.values, event.at_us, before) for live in readers}
            seq = known.seq if known else write.event(event.id, event.at_us, event.values, digest=event.digest)
            if known is None:
                self.hosts.event(seq, event.at_us, event.values)
            scoring[event.id] = Scoring(event, seq, features)
            answers.append(scoring[event.id])
        return answers

    def _same(self, event: Event, digest: bytes) -> None:
        if digest != event.digest:
            raise ConflictError(
                f"id {event.id!r} is in the log already with another body; an id names one event for good"
            )


_PYTHON: dict[str, type] = {"bool": bool, "str": str, "int": int, "float": float}


def _resolve(results: list[Any]) -> None:
    """Put answers in the place of what was scored: of a job all of them, or the first that failed."""
    for number, entries in enumerate(results):
        if isinstance(entries, list):
            answers = [entry.answer if isinstance(entry, Scoring) else entry for entry in entries]
            failed = next((answer for answer in answers if isinstance(answer, ModelwrightError)), None)
            results[number] = failed or answers
