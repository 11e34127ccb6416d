"""A backtest of the whole system on its history: the loop itself, on a simulated clock.

The history up to `start` is what the system begins with; what follows arrives event by event at its own time, each
outcome when it becomes known, and the controller decides at its decision points as it would live. Releases are pure
functions of their inputs, so predictions between two decision points are scored ahead in blocks: the block size changes
nothing but the time it takes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelwright.control.candidate import load_release
from modelwright.control.controller import Controller
from modelwright.control.material import Material
from modelwright.control.parity import InRehearsal
from modelwright.control.trainer import Trainer
from modelwright.core.clock import SimulatedClock
from modelwright.core.errors import ReleaseError, TrainingError
from modelwright.lake.journal import Journal, JournalRow
from modelwright.monitoring.ledger import Ledger, Scored
from modelwright.release.folder import Release
from modelwright.spec.system import System
from modelwright.stats.predictions import Predictions
from modelwright.training.baseline import class_order
from modelwright.training.examples import FIRST_SHARE, NEVER, beginning

BLOCK = 4_096


@dataclass(frozen=True)
class Rehearsed:
    """What a rehearsal leaves: the ledger, the journal's rows, and by whom each event was answered.

    `start` is the position of the first replayed event in the material's examples; `frozen` the first fitted candidate.
    """

    ledger: Ledger
    rows: list[JournalRow]
    start: int
    frozen: str | None
    served: dict[str, int]


class ScoredAhead:
    """A release's answers to the material's events, computed in blocks as they are asked for."""

    def __init__(self, release: Release, material: Material, block: int) -> None:
        self._release = release
        self._rows = material.rows_for(release.manifest)
        self._block = block
        self._from = self._to = 0
        self._said: Predictions | None = None

    def at(self, position: int, limit: int) -> Scored:
        """The answer to one event; positions ask in order, `limit` is the number of events."""
        if self._said is None or not self._from <= position < self._to:
            self._said = self._predict(position, min(limit, position + self._block))
        place = position - self._from
        probabilities = self._said.probabilities
        given = None if probabilities is None else tuple(probabilities[place].tolist())
        return Scored(self._release.name, self._said.value[place], given, self._release.manifest.classes)

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
            self._from, self._to = begin, end
            return said


class Rehearsal:
    """One run over the history. `progress(position, total, rows)` is told of every decision and, now and then, how far."""

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
    ) -> None:
        self._system = system
        self._material = material
        self._journal = journal
        self._releases = releases
        self._block = block
        self._progress = progress
        label = system.label
        classes = () if label.task == "regression" else class_order(material.examples.outcome, label)
        self.ledger = Ledger(system.metric.name, classes)
        parity = InRehearsal(self.ledger)
        self._controller = Controller(system, journal, self.ledger, trainer, releases, parity)
        self._scored: dict[str, ScoredAhead] = {}
        self._served: dict[str, int] = {}
        self._rows: list[JournalRow] = []

    def run(self, start_share: float | None) -> Rehearsed:
        """Replay what follows the first `start_share` of the events (0.2 = the first fifth is given); see `beginning`.

        Raises `TrainingError` where the given part is too short to begin with.
        """
        examples = self._material.examples
        total = len(examples)
        start = beginning(examples.at_us, examples.first_known_us, self._system.validation_us, start_share)
        if not 0 < start < total:
            share = FIRST_SHARE if start_share is None else start_share
            raise TrainingError(f"{total} events leave nothing to rehearse from {share:g} on; bring more history")
        clock = SimulatedClock(int(examples.at_us[start]))
        self._tell(start, total, self._controller.start(clock.now_us()))
        if self._journal.pointer().champion is None:
            raise TrainingError(self._rows[-1].summary + "; give a larger --from")
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
            for place in range(outcome, known):
                self.ledger.known(int(examples.outcome_of[place]), examples.outcome[place])
            self.ledger.settle()
            position, outcome = upto, known
            self._tell(position, total, self._controller.step(now_us))
        frozen = next((row.release for row in self._rows if row.kind == "trained"), None)
        return Rehearsed(self.ledger, self._rows, start, frozen, self._served)

    def _next_decision(self, now_us: int, next_us: int) -> int:
        """The first decision point after the next event or outcome; the empty ones before it have nothing to decide on."""
        check = self._system.check_us
        return max(now_us // check + 1, next_us // check + 1) * check

    def _answer(self, position: int, upto: int) -> None:
        pointer = self._journal.pointer()
        at_us = self._material.examples.at_us
        champion, challenger = pointer.champion, pointer.challenger
        assert champion is not None
        said: Scored | None
        for place in range(position, upto):
            try:
                said = self._ahead(champion).at(place, len(at_us))
            except ReleaseError as error:
                instead = self._instead(place)
                if instead is not None:
                    self._failed(place, champion, error)
                    champion, challenger, said = instead.release, None, instead
                else:  # nobody can answer it: as when serving, the request fails and nothing is decided
                    said = None
            if said is not None:
                self.ledger.predicted(place, int(at_us[place]), said)
                self._served[champion] = self._served.get(champion, 0) + 1
            if challenger is not None:
                try:
                    theirs = self._ahead(challenger).at(place, len(at_us))
                    self.ledger.predicted(place, int(at_us[place]), theirs, challenger=True)
                except ReleaseError as error:
                    self._failed(place, challenger, error)
                    challenger = None

    def _instead(self, place: int) -> Scored | None:
        """What the release before the champion says of an event; None where there is none or it fails too."""
        previous = self._journal.pointer().previous
        try:
            return None if previous is None else self._ahead(previous).at(place, len(self._material.examples))
        except ReleaseError:
            return None

    def _failed(self, place: int, release: str, error: ReleaseError) -> None:
        """A release cannot answer an event: it is taken out of service at that event's time, as serving does it."""
        at_us = self._material.examples.at_us
        rows = self._controller.roll_back(int(at_us[place]), release, str(error), {"errors": 1})
        self._tell(place, len(at_us), rows)

    def _ahead(self, name: str) -> ScoredAhead:
        if name not in self._scored:
            self._scored[name] = ScoredAhead(load_release(self._releases, name), self._material, self._block)
        return self._scored[name]

    def _tell(self, position: int, total: int, rows: list[JournalRow]) -> None:
        self._rows += rows
        self._progress(position, total, rows)
