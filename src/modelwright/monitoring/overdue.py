"""Overdue outcomes: of events of the age by which outcomes are known, whether as few as usual have none."""

from collections import deque
from collections.abc import Hashable, Iterator

import numpy as np

from modelwright.core.durations import about
from modelwright.monitoring.change import Change
from modelwright.monitoring.episodes import Episodes
from modelwright.stats.arrivals import Overdue
from modelwright.stats.bets import Bet

BLOCK = 20
"""Events that are counted together."""
MORE = ((0.1, 0.3), (0.4, 0.4), (0.9, 0.3))
"""Bets: so many of the outcomes that came come no more, and the stake on each."""


class OverdueWatch:
    """State: events that have not come of age, of which `usual.every`-th only, and the stream of those that have."""

    def __init__(self, usual: Overdue, since_us: int, every_us: int, share: float) -> None:
        self._usual = usual
        self._every_us = every_us
        self._events = 0
        self._young: deque[tuple[int, Hashable]] = deque()
        self._waiting: dict[Hashable, int] = {}
        self._block: list[tuple[int, bool]] = []
        self._upto_us = since_us + usual.due_us
        counts = (usual.known, usual.overdue)
        late = (usual.overdue + 0.5) / (sum(counts) + 1)
        bets = [
            Bet(f"overdue +{more:.0%}", stake, np.array([1 - more, (late + more * (1 - late)) / late]).clip(0.05, 20.0))
            for more, stake in MORE
        ]
        self._episodes = Episodes(counts, bets, usual.inflation, share)

    def event(self, key: Hashable, at_us: int) -> None:
        """An event came."""
        self._events += 1
        if (self._events - 1) % self._usual.every == 0:
            at_us = max(at_us, self._young[-1][0]) if self._young else at_us
            self._young.append((at_us, key))
            self._waiting[key] = at_us

    def outcome(self, key: Hashable, known_us: int) -> None:
        """An outcome became known; where its event was of age by then, it is late."""
        at_us = self._waiting.get(key)
        if at_us is not None and known_us <= at_us + self._usual.due_us:
            del self._waiting[key]

    def tick(self, now_us: int) -> Iterator[Change]:
        """It is that late, and every outcome known by then has been told."""
        while self._young and self._young[0][0] + self._usual.due_us < now_us:
            at_us, key = self._young.popleft()
            self._block.append((at_us, self._waiting.pop(key, None) is not None))
            if len(self._block) >= BLOCK:
                yield from self._close()

    def _close(self) -> Iterator[Change]:
        block, self._block = self._block, []
        begin_us, end_us = block[0][0], block[-1][0] + self._usual.due_us
        late = sum(overdue for _, overdue in block)
        exposure = max(1_000, end_us - self._upto_us) / self._every_us
        self._upto_us = max(self._upto_us, end_us)
        before = self._episodes.since_us
        turn = self._episodes.add(np.array([len(block) - late, late]), exposure, begin_us)
        if turn is None:
            return
        known, overdue = self._episodes.changed.tolist()
        usual, size = self._usual.overdue / (self._usual.known + self._usual.overdue), overdue / (known + overdue)
        yield Change(
            what="overdue", of="outcomes", state=turn, at_us=end_us, since_us=self._episodes.since_us,
            began_us=self._episodes.since_us if turn == "raised" else before, log10=round(self._episodes.log10, 2),
            size=round(size, 4),
            change=f"{size:.1%} of events have no outcome after {about(self._usual.due_us)}, "
            f"usually {usual:.1%}",
        )  # fmt: skip
