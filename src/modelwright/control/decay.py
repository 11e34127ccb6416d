"""What the loop knows of the champion's decay: its losses since the newest training, tested against those it was gated with.

A view of the ledger, and so of the log: what is due is taken as comparisons take it. Asked by `retrain.on_decay()`, which
decides; nothing is decided here.
"""

import math

from modelwright.control.unit import AMOUNT_SCALE
from modelwright.monitoring.ledger import Ledger
from modelwright.release.manifest import RowLoss
from modelwright.spec.system import System
from modelwright.stats.rise import RiseTest


class Decay:
    """State: the losses of one release since one training, and the tests of them that were asked for."""

    def __init__(self, system: System, ledger: Ledger) -> None:
        self._system = system
        self._ledger = ledger
        self._of: tuple[str, int] | None = None
        self._losses: list[float] = []
        self._tests: dict[tuple[float, int], RiseTest] = {}

    def rise(self, release: str, gated: RowLoss, drop: float, rows: int, trained_us: int, now_us: int) -> RiseTest:
        """The evidence, by outcomes that came due since the training, that the release loses more than it was gated with."""
        if self._of != (release, trained_us):
            self._of, self._losses, self._tests = (release, trained_us), [], {}
        delay_us = self._system.label.delay_us
        self._losses += self._ledger.take_losses(release, now_us - delay_us, trained_us - delay_us + 1)
        if (drop, rows) not in self._tests:
            most = 1.0
            if self._system.label.task == "regression":
                error = math.sqrt(gated.variance / gated.rows)
                most = AMOUNT_SCALE * (gated.mean + drop + error) or 1.0
            self._tests[drop, rows] = RiseTest(
                mean=gated.mean, variance=gated.variance, reference_rows=gated.rows, drop=drop, rows=rows, most=most
            )
        test = self._tests[drop, rows]
        for loss in self._losses[test.count :]:
            test.add(loss)
        return test
