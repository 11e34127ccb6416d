"""The fault of a challenger that looked good offline and is bad live: it is given the inputs of other requests.

Its gates are passed as ever, its scores live are of the distribution they always were, and only outcomes tell that they are
somebody else's: the comparison has to keep it from answering, or it has to be taken back.
"""

import numpy as np

from modelwright.control.faults.fault import Disturbance, Fault, Stretch
from modelwright.lake.journal import JournalRow
from modelwright.release.inputs import Rows
from modelwright.spec.system import System

SEED = 20_240_229
"""Of who is given whose inputs, so that two rehearsals decide the same."""


class BadChallenger(Fault, frozen=True, kw_only=True):
    """The first challenger of the stretch."""

    @property
    def meaning(self) -> str:
        return "the next challenger passed its gates, and answers live for other requests than it is asked"

    def disturbance(self, stretch: Stretch) -> Disturbance:
        return _Confused(stretch.begin_us)

    def subject_of(self, row: JournalRow, system: System, disturbance: Disturbance) -> str | None:
        """That it is rejected, or taken back."""
        about = row.release is not None and row.release == disturbance.release
        return row.kind if about and row.kind in ("rejected", "rolled_back") else None


class _Confused(Disturbance):
    def __init__(self, from_us: int) -> None:
        super().__init__()
        self._from_us = from_us

    def rows(self, release: str, at_us: int, rows: Rows) -> Rows:
        if self.release is not None or at_us < self._from_us:
            return rows
        self.release, self.began_us = release, at_us
        return rows.take(np.random.default_rng(SEED).permutation(len(rows)))
