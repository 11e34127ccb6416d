"""What the live releases say and what became of it, looked at for breaches: the guards of `spec/guard.py` that the log knows.

A breach is a row of the journal with the figures that made it and the pointer without the release, in one transaction: a
challenger is sent home, a champion gives way to the release before it. Whoever serves follows the pointer. Latency is
looked at by serving, which measures it.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelwright.control.rollback import roll_back
from modelwright.control.unit import Unit
from modelwright.lake.journal import Journal, JournalRow, Pointer
from modelwright.monitoring.ledger import SCORES, Ledger
from modelwright.release.folder import read_references
from modelwright.spec.guard import Outcome, Scores
from modelwright.spec.system import System
from modelwright.stats.reference import ColumnReference
from modelwright.stats.sequential import PairedTest

HEAVIEST = 0.9
"""Where the reference has more of its scores in one bin than this, all the same is what it says, and nothing follows."""


class Guards:
    """Looked at by the controller. State: the test of the newest champion against the release before it.

    `unit(release)` is what a difference of losses is divided by, and how it is said.
    """

    def __init__(
        self, system: System, journal: Journal, ledger: Ledger, unit: Callable[[str], Unit], releases: Path
    ) -> None:
        self._system = system
        self._journal = journal
        self._ledger = ledger
        self._unit = unit
        self._releases = releases
        self._references: dict[str, ColumnReference | None] = {}
        self._watched: tuple[int, PairedTest] | None = None
        self._looked_at = (-1, -1)

    def look(self, pointer: Pointer, now_us: int) -> list[JournalRow]:
        """Take out of service what breaches; usually nothing. Cheap where nothing has come since the last look."""
        state = (pointer.generation, self._ledger.predictions)
        fresh, self._looked_at = state != self._looked_at, state
        judged, beside = self._new_one(pointer, now_us)
        for guard in self._system.rollout.guards:
            found, release = None, judged
            if isinstance(guard, Scores) and judged is not None and fresh:
                found = self._scores(guard, judged, beside)
            elif isinstance(guard, Outcome):
                found, release = self._outcome(guard, pointer, now_us), pointer.champion
            if found is not None and release is not None:
                return roll_back(self._journal, now_us, release, *found)
        return []

    @staticmethod
    def _new_one(pointer: Pointer, now_us: int) -> tuple[str | None, str | None]:
        """The release that has not proved itself yet, and the one that scores the same requests."""
        if pointer.challenger is not None:
            return pointer.challenger, pointer.champion
        return (pointer.champion, pointer.previous) if now_us < pointer.watch_until_us else (None, None)

    def _scores(self, guard: Scores, release: str, beside: str | None) -> tuple[str, dict[str, Any]] | None:
        """A release is a function of its inputs: where the other's scores of the same requests left its own reference as well,
        it is these that have changed, and nobody has to go."""
        found = self._left(guard, release)
        other = None if beside is None or found is None else self._left(guard, beside)
        if found is None or other is None:
            return None
        (how, evidence), (how_beside, evidence_beside) = found, other
        if how is None or how_beside is not None:
            return None
        return how, {"by": "scores", **evidence, "beside": evidence_beside["size"]}

    def _left(self, guard: Scores, release: str) -> tuple[str | None, dict[str, Any]] | None:
        """How the latest scores have left the reference, if they have, and by how much; None where that cannot be said."""
        scores = self._ledger.recent_scores(release, SCORES)
        reference = self._reference(release) if len(scores) >= guard.rows else None
        if reference is None or max(reference.counts) > HEAVIEST * sum(reference.counts):
            return None
        rows = min(SCORES, math.ceil(guard.rows * max(1.0, reference.inflation)))
        if len(scores) < rows:
            return None
        scores = scores[-rows:]
        size = float(f"{reference.distance(reference.count(scores)):.4g}")
        evidence = {"rows": rows, "size": size}
        if scores.min() == scores.max():
            return f"its latest {rows:,} scores are all {float(scores[0]):.4g}", evidence
        if size >= guard.jump:
            return f"its latest {rows:,} scores are others than it was gated with: index {size:.2f}", evidence
        return None, evidence

    def _outcome(self, guard: Outcome, pointer: Pointer, now_us: int) -> tuple[str, dict[str, Any]] | None:
        """The champion against the release before it, on what was asked since it became champion."""
        if not pointer.watch_until_us or pointer.challenger is not None:
            return None
        assert pointer.champion is not None and pointer.previous is not None
        if self._watched is None or self._watched[0] != pointer.since_us:
            self._watched = pointer.since_us, PairedTest(self._system.rollout.margin, guard.confidence)
        test, unit = self._watched[1], self._unit(pointer.previous)
        due_us = now_us - self._system.label.delay_us
        for before, after in self._ledger.take_pairs(pointer.previous, pointer.champion, due_us, pointer.since_us):
            test.add((before - after) / unit.size)
        if not test.worse:
            return None
        evidence = {
            "by": "outcome", "pairs": test.pairs, "difference": test.difference, "margin": test.margin,
            "evidence": test.evidence_against, "needed": 1 / (1 - test.confidence), **unit.evidence,
        }  # fmt: skip
        return f"it is worse by {unit.said(-test.difference)} over {test.pairs} pairs", evidence

    def _reference(self, release: str) -> ColumnReference | None:
        if release not in self._references:
            self._references[release] = read_references(self._releases / release).score
        return self._references[release]
