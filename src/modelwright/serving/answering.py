"""Which release answers a request, and which scores it beside.

The champion answers, or for its share in a canary the challenger; where one fails, the release before it stands in. The
other of the two scores the same requests after the answers are sent, off the response path; for a while after a promotion
the previous champion does. A data plane brings the requests, with their features read, and the transaction; this reads no
history and takes no events.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from modelwright.core.clock import Clock
from modelwright.core.errors import ReleaseError, UnavailableError
from modelwright.core.share import is_in_share
from modelwright.lake.journal import Pointer
from modelwright.lake.writer import Writer
from modelwright.serving.events import Event
from modelwright.serving.live import LiveRelease
from modelwright.serving.messages import Answer, Counters
from modelwright.serving.slowness import SlownessGuard
from modelwright.serving.stages import Stages
from modelwright.spec.contract import Contract
from modelwright.stats.predictions import Said

SHADOW_LIMIT = 10_000
"""Requests that may wait for the challenger; beyond, both halves of a pair are dropped and counted."""


class Scoring(msgspec.Struct, gc=False):
    """An event that is being predicted, the answer once there is one, and who is to score it beside that."""

    event: Event
    seq: int
    features: dict[str, list[Any]]
    answer: msgspec.Raw | UnavailableError | None = None
    beside: str = ""


class Answering:
    """The releases that are live, and the requests that wait to be scored beside; owned by a data plane.

    `on_failure(release, error)` is told when a release cannot answer what the one before it can, `slowness` how long each
    call of a model took.
    """

    def __init__(
        self, contract: Contract, clock: Clock, counters: Counters, stages: Stages,
        on_failure: Callable[[str, str], None], slowness: SlownessGuard | None,
    ) -> None:  # fmt: skip
        self.champion: LiveRelease | None = None
        self.previous: LiveRelease | None = None
        self.challenger: LiveRelease | None = None
        self.pointer = Pointer()
        self.readers: tuple[LiveRelease, ...] = ()
        """Those whose features are read: the previous one's are the champion's, where both read the same."""
        self.waiting: list[Scoring] = []
        self._clock = clock
        self._counters = counters
        self._stages = stages
        self._on_failure = on_failure
        self._slowness = slowness
        self._entity = None if contract.entity is None else contract.names.index(contract.entity)
        self._encode = msgspec.json.Encoder().encode

    def swap(
        self,
        champion: LiveRelease | None,
        previous: LiveRelease | None,
        challenger: LiveRelease | None,
        pointer: Pointer,
    ) -> list[LiveRelease]:
        """Make these live; which they are, without the places that are empty."""
        self.champion, self.previous, self.challenger = champion, previous, challenger
        self.pointer = pointer
        loaded = [live for live in (champion, previous, challenger) if live is not None]
        self.readers = tuple(
            live for live in loaded if live is not previous or champion is None or live.host is not champion.host
        )
        names = {live.name for live in loaded}
        self.waiting = [one for one in self.waiting if one.beside in names]
        if self._slowness is not None:
            self._slowness.keep(names)
        return loaded

    def drop(self) -> None:
        """Give up what waits to be scored beside, and count it."""
        self._counters.shadow_dropped += len(self.waiting)
        self.waiting = []

    def answer(self, write: Writer, scoring: list[Scoring]) -> None:
        """Have each answered, and log what was said; what is to be scored beside waits, up to `SHADOW_LIMIT`."""
        spoken = self._said(scoring)
        self._stages.mark("model")
        for one, answered in zip(scoring, spoken, strict=True):
            if answered is None:
                one.answer = UnavailableError("the release cannot answer this request; the event is in the log")
                continue
            live, said = answered
            self._record(write, live, one, said, "champion")
            self._counters.predictions[live.name] = self._counters.predictions.get(live.name, 0) + 1
            value, score, probabilities = said
            answer = Answer(one.event.id, value, score, live.probabilities_of(probabilities), live.name)
            # What is stored for a repeat is what is sent: encoded once, the same to the byte.
            encoded = self._encode(answer)
            one.answer = msgspec.Raw(encoded)
            write.answer(one.event.id, encoded)
        waiting = [one for one in scoring if one.beside]
        room = SHADOW_LIMIT - len(self.waiting)
        self.waiting += waiting[:room]
        self._counters.shadow_dropped += max(0, len(waiting) - room)

    def _said(self, scoring: list[Scoring]) -> list[tuple[LiveRelease, Said] | None]:
        """Who answers each request, and with what: the champion, or for its share the challenger; nobody where neither the
        release nor the one that stands in for it can. Notes who is to score it beside."""
        champion, challenger, pointer = self.champion, self.challenger, self.pointer
        assert champion is not None
        beside = challenger or (self.previous if self._clock.now_us() < pointer.watch_until_us else None)
        if beside is not None:
            for one in scoring:
                one.beside = beside.name
        if challenger is None or not pointer.share:
            return self._said_by(champion, self.previous, scoring)
        taken = [is_in_share(self._share_key(one.event), pointer.rollout or "", pointer.share) for one in scoring]
        theirs = [one for one, by_challenger in zip(scoring, taken, strict=True) if by_challenger]
        for one in theirs:
            one.beside = champion.name
        ours = [one for one, by_challenger in zip(scoring, taken, strict=True) if not by_challenger]
        from_ours = iter(self._said_by(champion, self.previous, ours) if ours else ())
        from_theirs = iter(self._said_by(challenger, champion, theirs) if theirs else ())
        return [next(from_theirs if by_challenger else from_ours) for by_challenger in taken]

    def _share_key(self, event: Event) -> str:
        """What decides whether an event is in the challenger's share: its entity, or its id where it has none."""
        entity = None if self._entity is None else event.values[self._entity]
        return event.id if entity is None else str(entity)

    def _said_by(
        self, live: LiveRelease, instead: LiveRelease | None, scoring: list[Scoring]
    ) -> list[tuple[LiveRelease, Said] | None]:
        """What a release answers to each request, or the other where it fails, or nobody."""
        began = time.perf_counter()
        try:
            all_said = list(self._predict(live, scoring))
        except ReleaseError as error:
            failure = str(error)
        else:
            if self._slowness is not None:
                self._slowness.took(live.name, time.perf_counter() - began)
            return [(live, said) for said in all_said]
        found: list[tuple[LiveRelease, Said] | None] = []
        for one in scoring:
            try:
                found.append((live, next(self._predict(live, [one]))))
                continue
            except ReleaseError as error:
                failure = str(error)
            self._counters.failures[live.name] = self._counters.failures.get(live.name, 0) + 1
            try:
                if instead is None:
                    raise ReleaseError("there is no release before it")
                found.append((instead, next(self._predict(instead, [one]))))
                one.beside = ""
                self._on_failure(live.name, failure)
            except ReleaseError:
                found.append(None)
        return found

    def _predict(self, live: LiveRelease, scoring: list[Scoring]) -> Iterator[Said]:
        rows = live.rows_of([(one.event.values, self._features(one, live)) for one in scoring])
        for name, count in live.unseen_in(rows).items():
            self._counters.unseen[name] = self._counters.unseen.get(name, 0) + count
        return live.release.predict(rows).rows()

    def _features(self, one: Scoring, live: LiveRelease) -> list[Any]:
        """What a release was given of history: the champion's where it reads the same."""
        champion = self.champion.name if self.champion is not None else ""
        return one.features[live.name] if live.name in one.features else one.features.get(champion, [])

    def score_beside(self, write: Writer) -> None:
        """Have what was answered scored by whoever did not: by the challenger, or in its share by the champion."""
        waiting, self.waiting = self.waiting, []
        for live in (self.challenger, self.champion, self.previous):
            if live is None:
                continue
            asked = [one for one in waiting if one.beside == live.name]
            for one, said in self._scored_beside(live, asked) if asked else ():
                self._record(write, live, one, said, "challenger")
                self._counters.shadow += 1

    def _scored_beside(self, live: LiveRelease, asked: list[Scoring]) -> list[tuple[Scoring, Said]]:
        """What a release says that was not to answer. A challenger that fails is told of; where the champion does, there is
        nothing to compare."""
        try:
            return list(zip(asked, self._predict(live, asked), strict=True))
        except ReleaseError as error:
            self._counters.failures[live.name] = self._counters.failures.get(live.name, 0) + 1
            if live is self.challenger:
                self._on_failure(live.name, str(error))
                return []
        found = []
        for one in asked:
            with suppress(ReleaseError):
                found.append((one, next(self._predict(live, [one]))))
        return found

    def _record(self, write: Writer, live: LiveRelease, one: Scoring, said: Said, role: Any) -> None:
        """Log a prediction, with the features it was made of."""
        value, score, probabilities = said
        write.prediction(
            one.seq, one.event.id, one.event.at_us, self._clock.now_us(), live.name, role, value,
            score, probabilities, live.features_json(self._features(one, live)),
        )  # fmt: skip
