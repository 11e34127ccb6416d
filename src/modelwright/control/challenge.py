"""A challenger's way to become champion: in shadow, then in growing shares where they are declared, then all; or home.

The controller has it begun and looked at; what follows goes into the journal with the pointer that makes it so. The
evidence is a view of the ledger, which is one of the log. Nothing is trained here, and nobody answers.
"""

from collections.abc import Callable
from typing import Any

from modelwright.control.rollback import alone, pointed, settled
from modelwright.control.unit import Unit
from modelwright.lake.journal import Journal, JournalRow, Pointer
from modelwright.monitoring.ledger import Ledger
from modelwright.spec.guard import Outcome
from modelwright.spec.system import System
from modelwright.stats.sequential import PairedTest

SHADOW, CANARY, APPROVAL = "shadow", "canary", "approval"
"""The phases of a rollout: scoring beside the champion, answering a share of the requests, waiting for a person."""

Write = Callable[..., JournalRow]
"""Of the controller: appends a row of this moment to the journal."""


class Challenge:
    """The comparison that is under way, if any. State: the test's evidence, and how many pairs it held when the share grew.

    `unit(champion)` is what a difference of losses is divided by, and how it is said. With `approved`, a person's word is
    taken as given.
    """

    def __init__(
        self, system: System, ledger: Ledger, unit: Callable[[str], Unit], write: Write, *, approved: bool
    ) -> None:
        self._system = system
        self._ledger = ledger
        self._unit = unit
        self._write = write
        self._approved = approved
        self._grown_at = 0
        self.test: PairedTest | None = None

    def restore(self, journal: Journal, pointer: Pointer) -> None:
        """Go on where the journal ends. What pairs there were the ledger reads again from the log."""
        if pointer.challenger is None:
            return
        self.test = self._new_test()
        for row in journal.rows():
            if row.kind == "canary" and row.release == pointer.challenger:
                self._grown_at = row.evidence["pairs"]

    def forget(self) -> None:
        """It ended, or another decision was taken: nothing of it counts any more."""
        self.test = None
        self._grown_at = 0
        self._ledger.forget_challenger()

    def lose_sight(self) -> None:
        """The pointer has moved since it was read: begin again with what the ledger has."""
        self.test = None
        self._grown_at = 0

    def begin(self, release: str, pointer: Pointer, now_us: int) -> JournalRow:
        """A release that passed its gates scores what the champion answers."""
        self.forget()
        self.test = self._new_test()
        watched = any(isinstance(guard, Outcome) for guard in self._system.rollout.guards)
        return self._write(
            "shadow_started", release, f"{release} scores what {pointer.champion} answers",
            {"pairs": self._system.rollout.pairs, "margin": self._system.rollout.margin}, expect=pointer.generation,
            point=pointed(
                pointer, challenger=release, phase=SHADOW, since_us=now_us, began_us=now_us if watched else 0,
                watch_until_us=0,
            ),
        )  # fmt: skip

    def look(self, pointer: Pointer, now_us: int) -> list[JournalRow]:
        """Decide what the pairs due by now say; usually nothing."""
        assert pointer.champion is not None and pointer.challenger is not None
        test = self.test = self.test or self._new_test()
        unit, rollout = self._unit(pointer.champion), self._system.rollout
        due_us = now_us - self._system.label.delay_us
        for ours, theirs in self._ledger.take_pairs(pointer.champion, pointer.challenger, due_us):
            test.add((ours - theirs) / unit.size)
        evidence = {
            "pairs": test.pairs, "difference": test.difference, "margin": test.margin,
            "evidence": test.evidence, "needed": 1 / (1 - test.confidence), **unit.evidence,
        }  # fmt: skip
        late = now_us - pointer.since_us >= rollout.within_us
        if test.worse:
            return [self._reject(pointer, f"worse by {unit.said(-test.difference)} over {test.pairs} pairs", evidence)]
        if pointer.phase == APPROVAL:
            return [self._reject(pointer, "nobody approved it in time", evidence)] if late else []
        if pointer.phase == CANARY and rollout.shares:
            enough = test.pairs - self._grown_at >= rollout.step
        else:  # also where a canary is under way that is declared no more
            enough = test.pairs >= rollout.pairs and test.not_worse
        if enough:
            said = (
                f"better by {unit.said(test.difference)}"
                if test.difference > 0
                else f"not worse by more than {unit.bound(rollout.margin)} (difference {unit.said(test.difference, '+')})"
            )
            return [self._shown(pointer, now_us, f"{said} over {test.pairs} pairs", evidence)]
        if late:
            summary = f"no evidence in time: {test.pairs} pairs, difference {unit.said(test.difference, '+')}"
            return [self._reject(pointer, summary, evidence)]
        return []

    def _shown(self, pointer: Pointer, now_us: int, summary: str, evidence: dict[str, Any]) -> JournalRow:
        """The challenger is shown to be not worse, or not to be worse at its share: it answers a larger one, then all; or a
        person is asked, who has as long again to answer."""
        assert pointer.challenger is not None
        share = next((share for share in self._system.rollout.shares if share > pointer.share), None)
        if share is not None:
            self._grown_at = evidence["pairs"]
            return self._write(
                "canary", pointer.challenger, f"{pointer.challenger} answers {share:.4g} of the requests: {summary}",
                {"share": share, **evidence}, expect=pointer.generation,
                point=pointed(pointer, phase=CANARY, share=share, rollout=pointer.challenger, since_us=now_us),
            )  # fmt: skip
        if not self._system.rollout.approval or self._approved:
            if self._system.rollout.approval:
                evidence = {**evidence, "approval": "taken as given"}
            if pointer.share:
                evidence = {**evidence, "share": pointer.share}
            return self.promote(pointer.challenger, summary, evidence, pointer, now_us)
        return self._write(
            "alert", pointer.challenger, f"{pointer.challenger} waits for `modelwright approve`: {summary}", evidence,
            expect=pointer.generation, point=pointed(pointer, phase=APPROVAL, since_us=now_us),
        )  # fmt: skip

    def promote(
        self, release: str, summary: str, evidence: dict[str, Any], pointer: Pointer, now_us: int
    ) -> JournalRow:
        """A release answers all requests from now on; the champion of before stays at hand."""
        self.forget()
        return self._write(
            "promoted", release, summary, evidence, expect=pointer.generation,
            point=settled(pointer, now_us, release, pointer.champion),
        )  # fmt: skip

    def _reject(self, pointer: Pointer, summary: str, evidence: dict[str, Any]) -> JournalRow:
        self.forget()
        by = CANARY if pointer.phase == CANARY else SHADOW
        return self._write(
            "rejected", pointer.challenger, summary, {"by": by, **evidence}, expect=pointer.generation,
            point=alone(pointer),
        )  # fmt: skip

    def _new_test(self) -> PairedTest:
        return PairedTest(self._system.rollout.margin, self._system.rollout.confidence)
