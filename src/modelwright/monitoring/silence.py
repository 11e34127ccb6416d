"""Freshness: no row for longer than history makes plausible. Of events, and of outcomes."""

from collections.abc import Iterable, Iterator
from typing import Literal

from modelwright.core.durations import about
from modelwright.monitoring.change import Change
from modelwright.stats.arrivals import Silence

SECOND_US = 1_000_000


class SilenceWatch:
    """Of one stream, `of` it. State: when the newest row came, and what has been told. A silence has ended when rows have come
    for as long as silence would be told, and never as far apart as the longest usual gap: no second alert for a silence that
    stutters."""

    def __init__(self, usual: Silence, of: str, since_us: int, every_us: int, share: float) -> None:
        self._usual = usual
        self._of = of
        self._bound_us = max(SECOND_US, usual.bound_us(every_us, share))
        self._newest_us = since_us
        self._raised = False
        self._began_us = self._back_us = since_us
        self._silent_us = 0

    def row(self, at_us: int) -> Iterable[Change]:
        """A row came."""
        if at_us <= self._newest_us:
            return ()
        if self._raised or at_us - self._newest_us > self._bound_us:
            return list(self._row(at_us))
        self._newest_us = at_us
        return ()

    def _row(self, at_us: int) -> Iterator[Change]:
        yield from self.tick(at_us)
        if self._raised:
            if at_us - self._newest_us > self._usual.longest_us:  # silent again, or all along
                self._back_us, self._silent_us = at_us, max(self._silent_us, at_us - self._newest_us)
            if at_us - self._back_us > self._bound_us:
                self._raised = False
                yield self._change("cleared", at_us, self._back_us, self._silent_us)
        self._newest_us = at_us

    def tick(self, now_us: int) -> Iterator[Change]:
        """It is that late."""
        if not self._raised and now_us - self._newest_us > self._bound_us:
            self._raised, self._began_us, self._silent_us = True, self._newest_us, 0
            self._back_us = self._newest_us
            # By the rows and not by who looks when, so that whoever reads the log again finds the same moment.
            yield self._change("raised", self._newest_us + self._bound_us, self._newest_us, self._bound_us)

    def _change(self, state: Literal["raised", "cleared"], at_us: int, since_us: int, silent_us: int) -> Change:
        usual = f"the longest of {self._usual.moments:,} gaps before was {about(self._usual.longest_us)}"
        return Change(
            what="freshness", of=self._of, state=state, at_us=at_us,
            since_us=since_us, began_us=self._began_us, log10=None,
            size=float(f"{silent_us / max(1, self._usual.longest_us):.4g}"),
            change=f"none for {about(silent_us)}; {usual}",
        )  # fmt: skip
