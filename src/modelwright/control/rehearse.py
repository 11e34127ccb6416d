"""A backtest of the whole system on its history: the loop itself, on a simulated clock.

The history up to `start` is what the system begins with; what follows arrives event by event at its own time, each
outcome when it becomes known, and the controller decides at its decision points as it would live. Releases are pure
functions of their inputs, so predictions between two decision points are scored ahead in blocks: the block size changes
nothing but the time it takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from modelwright.control.candidate import load_release
from modelwright.control.controller import Controller
from modelwright.control.material import Material
from modelwright.control.parity import InRehearsal
from modelwright.control.quality_alerts import live_since
from modelwright.control.trainer import Trainer
from modelwright.core.clock import SimulatedClock
from modelwright.core.errors import ReleaseError, TrainingError
from modelwright.core.share import is_in_share
from modelwright.lake.journal import Journal, JournalRow, Pointer
from modelwright.monitoring.drift import DriftWatch
from modelwright.monitoring.ledger import Ledger, Scored
from modelwright.monitoring.quality import DRIFT_SHARE, QualityWatch
from modelwright.release.folder import Release
from modelwright.release.inputs import Rows
from modelwright.spec.system import System
from modelwright.stats.predictions import Predictions
from modelwright.training.baseline import class_order
from modelwright.training.examples import FIRST_SHARE, NEVER, beginning

BLOCK = 4_096


@dataclass(frozen=True)
class Rehearsed:
    """What a rehearsal leaves: the ledger, the journal's rows, and by whom each event was answered.

    `start` is the position of the first replayed event in the material's examples; `frozen` the first fitted candidate;
    `answers` what each event was answered,
    by its position.
    """

    ledger: Ledger
    rows: list[JournalRow]
    start: int
    frozen: str | None
    served: dict[str, int]
    answers: list[Scored | None]


class ScoredAhead:
    """A release's answers to the material's events, of the inputs it is given, computed in blocks as they are asked for."""

    def __init__(self, release: Release, rows: Rows, block: int) -> None:
        self._release = release
        self._rows = rows
        self._block = block
        self._from = 0
        self._said: list[Scored] = []

    def at(self, position: int, limit: int) -> Scored:
        """The answer to one event; positions ask in order, `limit` is the number of events."""
        if not self._from <= position < self._from + len(self._said):
            name, classes = self._release.name, self._release.manifest.classes
            said = self._predict(position, min(limit, position + self._block)).rows()
            self._from = position
            self._said = [
                Scored(name, value, None if given is None else tuple(given), classes) for value, _, given in said
            ]
        return self._said[position - self._from]

    def asked(self, positions: Sequence[int]) -> Rows:
        """What the release is given of these events."""
        return self._rows.take(np.array(positions))

    def _predict(self, begin: int, end: int) -> Predictions:
        """A block; where the release cannot answer all of it, the first half, down to the one row it is asked for."""
        while True:
            try:
                said = self._release.predict(self._rows.take(slice(begin, end)))
            except ReleaseError:
                if end - begin == 1:
                    raise
                end = begin + (end - begin) // 2
                continue
            return said


def first_replayed(system: System, material: Material, start_share: float | None) -> int:
    """The position of the first event that is replayed, after the first `start_share` of them (0.2 = the first fifth is given);
    see `beginning`. Raises `TrainingError` where nothing is left to replay."""
    examples = material.examples
    total = len(examples)
    start = beginning(examples.at_us, examples.first_known_us, system.validation_us, start_share)
    if not 0 < start < total:
        share = FIRST_SHARE if start_share is None else start_share
        raise TrainingError(f"{total} events leave nothing to rehearse from {share:g} on; bring more history")
    return start


class Rehearsal:
    """One run over the history. `progress(position, total, rows)` is told of every decision and, now and then, how far.

    `given(release, at_us, rows)` are the inputs of every event as a challenger gets them: those there are, but for a fault.
    """

    def __init__(
        self,
        system: System,
        material: Material,
        journal: Journal,
        trainer: Trainer,
        releases: Path,
        *,
        block: int = BLOCK,
        progress: Callable[[int, int, list[JournalRow]], None] = lambda position, total, rows: None,
        given: Callable[[str, int, Rows], Rows] = lambda release, at_us, rows: rows,
    ) -> None:
        self._system = system
        self._material = material
        self._journal = journal
        self._releases = releases
        self._block = block
        self._progress = progress
        self._given = given
        label = system.label
        classes = () if label.task == "regression" else class_order(material.examples.outcome, label)
        self.ledger = Ledger(system.metric.name, classes)
        parity = InRehearsal(self.ledger)
        self._quality = QualityWatch(system.monitor.false_alarm_us)
        every = timedelta(microseconds=int(system.monitor.false_alarm_us / DRIFT_SHARE))
        self._drift = DriftWatch(every, self._quality.asked)
        self._controller = Controller(
            system, journal, self.ledger, trainer, releases, parity, self._drift, self._quality, approved=True
        )
        self._scored: dict[str, ScoredAhead] = {}
        self._served: dict[str, int] = {}
        self._answers: list[Scored | None] = [None] * len(material.examples)
        self._rows: list[JournalRow] = []

    def run(self, start: int) -> Rehearsed:
        """Replay the events from position `start` on; what is before them is given.

        Raises `TrainingError` where the given part is too short to begin with.
        """
        examples = self._material.examples
        total = len(examples)
        clock = SimulatedClock(int(examples.at_us[start]))
        self._quality.until_us = int(examples.at_us[-1])
        self._tell(start, total, self._controller.start(clock.now_us()))
        if self._journal.pointer().champion is None:
            raise TrainingError(self._rows[-1].summary + "; give a larger --from")
        self._follow()
        outcome = int(np.searchsorted(examples.known_us, clock.now_us(), side="right"))
        position = start
        outcomes = len(examples.known_us)
        while position < total or outcome < outcomes:
            next_us = min(
                int(examples.at_us[position]) if position < total else NEVER,
                int(examples.known_us[outcome]) if outcome < outcomes else NEVER,
            )
            now_us = self._next_decision(clock.now_us(), next_us)
            clock.advance(now_us)
            upto = int(np.searchsorted(examples.at_us, now_us, side="left"))
            self._answer(position, upto)
            known = int(np.searchsorted(examples.known_us, now_us, side="right"))
            self._settle(slice(outcome, known))
            position, outcome = upto, known
            self._tell(position, total, self._controller.step(now_us))
            self._follow()
        frozen = next((row.release for row in self._rows if row.kind == "trained"), None)
        return Rehearsed(self.ledger, self._rows, start, frozen, self._served, self._answers)

    def _next_decision(self, now_us: int, next_us: int) -> int:
        """The first decision point after the next event or outcome; the empty ones before it have nothing to decide on."""
        check = self._system.check_us
        return max(now_us // check + 1, next_us // check + 1) * check

    def _settle(self, outcomes: slice) -> None:
        """These outcomes became known."""
        examples = self._material.examples
        told = (examples.outcome_of[outcomes], examples.outcome[outcomes], examples.known_us[outcomes])
        for place, outcome, known_us in zip(*(column.tolist() for column in told), strict=True):
            self.ledger.known(place, outcome)
            self._quality.outcome(place, known_us)
        self.ledger.settle()

    def _answer(self, position: int, upto: int) -> None:
        pointer, total = self._journal.pointer(), len(self._answers)
        for place, at_us in enumerate(self._material.examples.at_us[position:upto].tolist(), position):
            rows = len(self._rows)
            answering, beside = self._roles(pointer, place, at_us)
            said = self._said(place, answering, pointer.previous if answering == pointer.champion else pointer.champion)
            if said is not None:
                self._answered(place, at_us, said)
            if len(self._rows) > rows:  # a release was taken out of service: nothing is compared with this answer
                pointer = self._journal.pointer()
            elif beside is not None:
                try:
                    theirs = self._ahead(beside, place).at(place, total)
                    self.ledger.predicted(place, at_us, theirs, challenger=True)
                except ReleaseError as error:
                    if beside == pointer.challenger:  # nobody has to go who was not to answer
                        self._failed(place, beside, error)
                        pointer = self._journal.pointer()
        self._watch(position, upto)

    def _watch(self, position: int, upto: int) -> None:
        """Have the champion's requests among these watched for drift."""
        followed = None if self._drift.release is None else self._drift.release.name
        asked = [
            (place, said)
            for place, said in enumerate(self._answers[position:upto], position)
            if said is not None and said.release == followed
        ]
        if asked:
            places, answers = [place for place, _ in asked], [said for _, said in asked]
            rows = self._ahead(answers[0].release, position).asked(places)
            self._drift.add(rows, np.array([_score(said) for said in answers]), self._material.examples.at_us[places])

    def _roles(self, pointer: Pointer, place: int, at_us: int) -> tuple[str, str | None]:
        """Whose answer to an event is sent, and who scores it beside."""
        assert pointer.champion is not None
        if pointer.share and is_in_share(self._material.key(place), pointer.rollout or "", pointer.share):
            assert pointer.challenger is not None
            return pointer.challenger, pointer.champion
        if pointer.challenger is None and at_us < pointer.watch_until_us:
            return pointer.champion, pointer.previous
        return pointer.champion, pointer.challenger

    def _said(self, place: int, answering: str, instead: str | None) -> Scored | None:
        """The answer to an event: where the release fails, the other's, and it is taken out of service; None where nobody
        can answer: as when serving, the request fails and nothing is decided."""
        limit = len(self._material.examples)
        try:
            return self._ahead(answering, place).at(place, limit)
        except ReleaseError as error:
            failure = error
        try:
            said = None if instead is None else self._ahead(instead, place).at(place, limit)
        except ReleaseError:
            said = None
        if said is not None:
            self._failed(place, answering, failure)
        return said

    def _answered(self, place: int, at_us: int, said: Scored) -> None:
        self.ledger.predicted(place, at_us, said)
        self._quality.event(place, at_us)
        self._answers[place] = said
        self._served[said.release] = self._served.get(said.release, 0) + 1

    def _follow(self) -> None:
        """As when serving: from the decision point on, the champion's requests are watched for drift."""
        champion = self._journal.pointer().champion
        if champion is not None and (self._drift.release is None or self._drift.release.name != champion):
            release = load_release(self._releases, champion)
            self._drift.follow(release)
            self._quality.follow(release, live_since(self._journal))

    def _failed(self, place: int, release: str, error: ReleaseError) -> None:
        """A release cannot answer an event: it is taken out of service at that event's time, as serving does it."""
        at_us = self._material.examples.at_us
        rows = self._controller.roll_back(int(at_us[place]), release, str(error), {"errors": 1})
        self._tell(place, len(at_us), rows)

    def _ahead(self, name: str, place: int) -> ScoredAhead:
        if name not in self._scored:
            release = load_release(self._releases, name)
            rows = self._material.rows_for(release.manifest)
            if name == self._journal.pointer().challenger:
                rows = self._given(name, int(self._material.examples.at_us[place]), rows)
            self._scored[name] = ScoredAhead(release, rows, self._block)
        return self._scored[name]

    def _tell(self, position: int, total: int, rows: list[JournalRow]) -> None:
        self._rows += rows
        self._progress(position, total, rows)


def _score(said: Scored) -> float:
    """What is watched for drift: the positive class's probability, or the amount; NaN where there is neither."""
    if not said.classes:
        return float(said.value)
    return said.probabilities[1] if said.probabilities is not None and said.classes == (False, True) else np.nan
