"""Everything serving does, without a transport: predict, take events and outcomes, follow the champion.

Requests in flight are worked off together in one write transaction of the log: it brings the history hosts up to what
others wrote, reads each request's features, appends its row, scores all of them with one call of the model, and commits
once; only then is anybody answered. So an answer is always about the log as it was known at that row, and what was
answered is durable. The challenger scores the same requests after the answers are sent.

One thread owns a data plane. Errors are `ModelwrightError`s, one per request; a failed commit fails them all.
"""

import math
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
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
from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow, OtherRow, OutcomeRow
from modelwright.lake.writer import Writer
from modelwright.release.folder import Release
from modelwright.serving.live import Hosts, LiveRelease
from modelwright.serving.messages import Accepted, Answer, Counters, Outcome, OutcomeBody
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec
from modelwright.stats.predictions import Predictions

FUTURE_US = 5 * 60 * 1_000_000
"""How far a request's time may be ahead of the clock."""
FIRST_US, LAST_US = to_us(datetime.min.replace(tzinfo=UTC)), to_us(datetime.max.replace(tzinfo=UTC))
"""The instants that a log can hold."""
SHADOW_LIMIT = 10_000
"""Requests that may wait for the challenger; beyond, both halves of a pair are dropped and counted."""
FORGET_AFTER = 5_000
"""More rows of others than this are not appended one by one: the hosts load them from the log's history."""


class Event(msgspec.Struct, gc=False):
    """One decoded event: values in the contract's order with times as microseconds. `other` names another event than the
    system's own."""

    id: str
    at_us: int
    values: list[Any]
    digest: bytes
    other: str | None = None


class _Form:
    """Where the parts of an event stand in its values."""

    def __init__(self, contract: Contract) -> None:
        self.names = contract.names
        self.times = [place for place, field in enumerate(contract.fields) if field.kind == "time"]
        self.time = contract.names.index(contract.time or "")
        self.id = contract.names.index(contract.id) if contract.id is not None else None


class _Scoring(msgspec.Struct, gc=False):
    """An event that is being predicted in this batch, and the answer once there is one."""

    event: Event
    seq: int
    features: dict[str, list[Any]]
    answer: msgspec.Raw | UnavailableError | None = None


class Dataplane:
    """The log, the releases that are live, and the operations on them.

    `on_failure(release, error)` is told when a live release cannot answer what the one before it can. A replay gives its
    `event_clock`, which the requests' own times then advance.
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
    ) -> None:
        self.log = log
        self.contract = contract
        self.label = label
        self.clock = clock
        self.counters = Counters()
        self._encode = msgspec.json.Encoder().encode
        self.hosts = Hosts(contract, log.strings, log.history)
        self.champion: LiveRelease | None = None
        self.previous: LiveRelease | None = None
        self.challenger: LiveRelease | None = None
        self._on_failure = on_failure
        self._event_clock = event_clock
        self._cursor = log.head()
        self._shadow: list[_Scoring] = []
        self.others = log.schema.others
        self._forms = {None: _Form(contract)} | {other.name: _Form(other) for other in self.others}
        self._classes: dict[str, tuple[str, ...]] = {}

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

    def swap(self, champion: LiveRelease | None, previous: LiveRelease | None, challenger: LiveRelease | None) -> None:
        """Make these live, between two batches: no request sees half of it."""
        self.champion, self.previous, self.challenger = champion, previous, challenger
        if challenger is None:
            self._shadow = []
        loaded = [live for live in (champion, previous, challenger) if live is not None]
        self.hosts.keep([live.release for live in loaded])
        self._classes = {
            live.name: tuple(class_text(value) for value in live.release.manifest.classes) for live in loaded
        }
        self.counters.swaps += 1

    # Decoding.

    def event_of(self, body: msgspec.Struct, other: str | None = None) -> Event:
        """A decoded body (an instance of the contract's struct, or of the `other` event's of that name) as an event.

        Raises `ContractError` for a time ahead of the clock.
        """
        form = self._forms[other]
        values = list(msgspec.structs.astuple(body))
        reserved = values.pop() if len(values) > len(form.names) else None
        for place in form.times:
            if values[place] is not None:
                values[place] = to_us(values[place])
                if not FIRST_US <= values[place] <= LAST_US:
                    name = form.names[place]
                    raise ContractError(f"{name}: in UTC, the time is outside the years 1 to 9999", name)
        at_us = values[form.time]
        if self._event_clock is not None:
            self._event_clock.advance(at_us)
        elif at_us > self.clock.now_us() + FUTURE_US:
            name = form.names[form.time]
            raise ContractError(f"{name}: the event's time is more than 5 minutes ahead of the clock", name)
        id = str(values[form.id]) if form.id is not None else reserved or uuid.uuid4().hex
        return Event(id, at_us, values, row_digest(values), other)

    # Batches.

    def work(self, jobs: Sequence[tuple[str, Any]]) -> list[Any]:
        """Work off jobs in one transaction, outcomes of known events and other events first; an answer or a
        `ModelwrightError` for each.

        A job is ("predict", events), ("event", events) or ("outcome", outcome bodies); its answer a list with one
        encoded `Answer` or an `Accepted` for each entry. Whatever fails in one job leaves the others alone, and what a failed job
        had already written stays: each entry counts once, so that sending it again is safe.
        """
        results: list[Any] = [None] * len(jobs)
        try:
            with self.log.write() as write:
                self._catch_up(write)
                self._score_shadow(write)
                scoring: dict[str, _Scoring] = {}
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
                self._answer(write, list(scoring.values()), results)
            if write.last is not None:
                self._cursor = write.last
            self.counters.commits += 1
        except Exception:
            # The hosts hold rows that were never committed: forget them, the log is the truth.
            self.hosts.forget()
            self.counters.shadow_dropped += len(self._shadow)
            self._shadow = []
            raise
        return results

    def score_shadow(self) -> None:
        """Score what waits for the challenger, when no request brings it along."""
        if self._shadow:
            self.work([])

    @property
    def shadow_waiting(self) -> int:
        """Requests that wait for the challenger."""
        return len(self._shadow)

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
        return self.champion is not None and self.champion.is_too_late(event.values, event.at_us, event.other)

    def _take_outcome(self, write: Writer, body: Outcome) -> Accepted:
        row = write.outcome(body.id, body.value, body.known_us)
        if row is None:
            self.counters.repeats += 1
            return Accepted(body.id, True)
        values = write.event_values(body.id)[2]
        self.hosts.outcome(row.seq, row.event_seq, row.known_us, row.value, values)
        self.counters.outcomes += 1
        return Accepted(body.id, False)

    def _take_predictions(self, write: Writer, events: list[Event], scoring: dict[str, _Scoring]) -> list[Any]:
        if self.champion is None:
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
            features = {
                live.name: live.features_of(event.values, event.at_us, before)
                for live in (self.champion, self.previous, self.challenger)
                if live is not None and (live is not self.previous or live.host is not self.champion.host)
            }
            seq = known.seq if known else write.event(event.id, event.at_us, event.values, digest=event.digest)
            if known is None:
                self.hosts.event(seq, event.at_us, event.values)
            scoring[event.id] = _Scoring(event, seq, features)
            answers.append(scoring[event.id])
        return answers

    def _same(self, event: Event, digest: bytes) -> None:
        if digest != event.digest:
            raise ConflictError(
                f"id {event.id!r} is in the log already with another body; an id names one event for good"
            )

    # Scoring.

    def _answer(self, write: Writer, scoring: list[_Scoring], results: list[Any]) -> None:
        if scoring and self.champion is not None:
            for one, (live, said, row) in zip(scoring, self._said(self.champion, scoring), strict=True):
                if live is None or said is None:
                    one.answer = UnavailableError("the release cannot answer this request; the event is in the log")
                    continue
                # What is stored for a repeat is what is sent: encoded once, the same to the byte.
                one.answer = msgspec.Raw(self._encode(self._record(write, live, one, said, row, "champion")))
                write.answer(one.event.id, bytes(one.answer))
            if self.challenger is not None:
                room = SHADOW_LIMIT - len(self._shadow)
                self._shadow += scoring[:room]
                self.counters.shadow_dropped += max(0, len(scoring) - room)
        for number, entries in enumerate(results):
            if isinstance(entries, list):
                answers = [entry.answer if isinstance(entry, _Scoring) else entry for entry in entries]
                failed = next((answer for answer in answers if isinstance(answer, ModelwrightError)), None)
                results[number] = failed or answers

    def _said(
        self, champion: LiveRelease, scoring: list[_Scoring]
    ) -> list[tuple[LiveRelease | None, Predictions | None, int]]:
        """Who answers each request, and with what: the champion, or the release before it where the champion fails."""
        try:
            said = self._predict(champion, scoring)
            return [(champion, said, row) for row in range(len(scoring))]
        except ReleaseError as error:
            failure = str(error)
        found: list[tuple[LiveRelease | None, Predictions | None, int]] = []
        for one in scoring:
            try:
                found.append((champion, self._predict(champion, [one]), 0))
                continue
            except ReleaseError as error:
                failure = str(error)
            self.counters.failures[champion.name] = self.counters.failures.get(champion.name, 0) + 1
            try:
                if self.previous is None:
                    raise ReleaseError("there is no release before it")
                found.append((self.previous, self._predict(self.previous, [one]), 0))
                self._on_failure(champion.name, failure)
            except ReleaseError:
                found.append((None, None, 0))
        return found

    def _predict(self, live: LiveRelease, scoring: list[_Scoring]) -> Predictions:
        own = self.champion.name if self.champion is not None else ""
        rows = live.rows_of(
            [(one.event.values, one.features.get(live.name, one.features.get(own, []))) for one in scoring]
        )
        for name, count in live.unseen_in(rows).items():
            self.counters.unseen[name] = self.counters.unseen.get(name, 0) + count
        return live.release.predict(rows)

    def _score_shadow(self, write: Writer) -> None:
        waiting, self._shadow = self._shadow, []
        challenger = self.challenger
        if challenger is None or not waiting:
            return
        waiting = [one for one in waiting if challenger.name in one.features]
        try:
            said = self._predict(challenger, waiting)
        except ReleaseError as error:
            self.counters.failures[challenger.name] = self.counters.failures.get(challenger.name, 0) + 1
            self._on_failure(challenger.name, str(error))
            return
        for row, one in enumerate(waiting):
            self._record(write, challenger, one, said, row, "challenger")
        self.counters.shadow += len(waiting)

    def _record(
        self, write: Writer, live: LiveRelease, one: _Scoring, said: Predictions, row: int, role: Any
    ) -> Answer:
        """Log the prediction; the answer it makes."""
        value = said.value[row]
        prediction = value.item() if hasattr(value, "item") else value
        probabilities = None if said.probabilities is None else said.probabilities[row].tolist()
        score = None if said.score is None else float(said.score[row])
        own = self.champion.name if self.champion is not None else ""
        features = one.features.get(live.name, one.features.get(own, []))
        write.prediction(
            one.seq, one.event.id, one.event.at_us, self.clock.now_us(), live.name, role, prediction,
            score, probabilities, live.features_json(features),
        )  # fmt: skip
        if role == "champion":
            self.counters.predictions[live.name] = self.counters.predictions.get(live.name, 0) + 1
        by_class = None if probabilities is None else dict(zip(self._classes[live.name], probabilities, strict=True))
        return Answer(one.event.id, prediction, score, by_class, live.name)

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


_PYTHON: dict[str, type] = {"bool": bool, "str": str, "int": int, "float": float}


def class_text(value: bool | str) -> str:
    """A class as a name in an answer."""
    return value if isinstance(value, str) else str(value).lower()
