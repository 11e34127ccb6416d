"""Volume: whether as many events come as is usual at this hour, period by period."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from modelwright.core.durations import duration_text
from modelwright.monitoring.change import Change
from modelwright.monitoring.episodes import BLOCKS, Episodes
from modelwright.stats.arrivals import Volume, stray
from modelwright.stats.bets import bets_on_number

LONGEST = 2_000
"""Empty periods in a row that are looked at: more say nothing new."""


class VolumeWatch:
    """State: the rows of the period that is under way, and the stream of periods before it."""

    def __init__(self, usual: Volume, since_us: int, every_us: int, share: float) -> None:
        self._usual = usual
        self._every_us = every_us
        self._begin_us = (since_us // usual.period_us + 1) * usual.period_us  # the first whole one
        self._end_us = self._begin_us + usual.period_us
        self._rows = 0
        self._periods: deque[tuple[int, int, float]] = deque(maxlen=BLOCKS)
        counts = usual.strays.counts
        self._episodes = Episodes(counts, bets_on_number(np.asarray(counts)), usual.strays.inflation, share)

    def event(self, at_us: int) -> Iterable[Change]:
        """An event came."""
        turned: Iterable[Change] = ()
        if at_us >= self._end_us:
            turned = list(self.tick(at_us))
        if at_us >= self._begin_us or self._periods:  # what comes late counts when it comes
            self._rows += 1
        return turned

    def tick(self, now_us: int) -> Iterator[Change]:
        """It is that late: periods that are over are counted."""
        period_us = self._usual.period_us
        over = (now_us - self._begin_us) // period_us
        for _ in range(min(over, LONGEST)):
            yield from self._close()
        if over > LONGEST:
            self._begin_us += (over - LONGEST) * period_us
            self._end_us = self._begin_us + period_us

    def _close(self) -> Iterator[Change]:
        begin_us, period_us = self._begin_us, self._usual.period_us
        expected = self._usual.expected_at(begin_us)
        self._periods.append((begin_us, self._rows, expected))
        codes = self._usual.strays.codes(stray(np.array([float(self._rows)]), expected))
        counts = np.bincount(codes, minlength=len(self._usual.strays.counts))
        before = self._episodes.since_us
        turn = self._episodes.add(counts, period_us / self._every_us, begin_us)
        self._begin_us, self._end_us, self._rows = begin_us + period_us, begin_us + 2 * period_us, 0
        if turn is None:
            return
        began = self._episodes.since_us if turn == "raised" else before
        kept = [one for one in self._periods if one[0] >= self._episodes.since_us]
        rows, usual = sum(one[1] for one in kept), sum(one[2] for one in kept)
        every = duration_text(period_us)
        n = len(kept)
        now, was = f"{rows / n:.3g}", f"{usual / n:.3g}"
        yield Change(
            what="volume", of="events", state=turn, at_us=self._begin_us, since_us=self._episodes.since_us, began_us=began,
            log10=round(self._episodes.log10, 2), size=float(f"{rows / usual:.4g}") if usual else 0.0,
            change=f"{now} events in {every} over {n:,} such, usually {was}",
        )  # fmt: skip
