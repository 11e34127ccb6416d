"""A share of what comes held against a bound: told when it is surely above it, and when it is surely back.

By a bet that may be looked at at any time, under its part of the one rate of false alarms (a Shiryaev-Roberts e-detector, as in
`stats.edetector`); it is back when that has grown a thousand times likelier than the first of the bets (the CUSUM of Page,
Biometrika 1954). Memory does not grow. It decides nothing.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from modelwright.monitoring.change import Change, State, What

TIMES = (2.0, 5.0, 20.0)
"""Bets: the share is so many times its bound."""
MOST = 0.9
BACK = math.log(1_000)

Words = Callable[[float, int], str]
"""What is said of a share and of so many rows."""


@dataclass
class _Bet:
    """What a row at fault and another one are worth to it, as logarithms; its capital; how much it has won since when, as a
    logarithm, over so many rows, so many of them at fault."""

    of_fault: float
    of_other: float
    capital: float = 0.0
    won: float = 0.0
    since_us: int = 0
    rows: int = 0
    fault: int = 0

    def gain(self, rows: int, fault: int) -> float:
        return fault * self.of_fault + (rows - fault) * self.of_other

    def add(self, rows: int, fault: int, exposure: float, begin_us: int) -> None:
        gain = self.gain(rows, fault)
        if self.won <= 0.0:
            self.won, self.since_us, self.rows, self.fault = 0.0, begin_us, 0, 0
        self.won, self.rows, self.fault = self.won + gain, self.rows + rows, self.fault + fault
        # Beyond e^300 a bet is won however much more it gains.
        self.capital = (self.capital + exposure) * math.exp(min(300.0, max(-300.0, gain)))


class ShareWatch:
    """One share and its bound. State: the bets, or, while it is off, the evidence that it is back.

    `every_us`: the time in which one false alarm of all may happen, `share` of which is this watch's. `inflation`: so many
    consecutive rows say as much as one. `since_us`: when it begins; by default at the first rows.
    """

    def __init__(
        self,
        what: What,
        of: str,
        bound: float,
        every_us: int,
        share: float,
        words: Words,
        *,
        times: tuple[float, ...] = TIMES,
        inflation: float = 1.0,
        since_us: int | None = None,
    ) -> None:
        self._what: What = what
        self._of = of
        self._words = words
        self._every_us = every_us / share
        self._worth = [
            (math.log(worse / bound) / inflation, math.log((1 - worse) / (1 - bound)) / inflation)
            for worse in (min(MOST, time * bound) for time in times)
        ]
        self._upto_us = since_us
        self.raised = False
        self._began_us = 0
        self._begin_anew()

    def resume(self, began_us: int) -> None:
        """It was off when whoever watched ended, since then: what is told next is that it is back."""
        self.raised, self._began_us = True, began_us

    def _begin_anew(self) -> None:
        self._bets = [_Bet(*worth) for worth in self._worth]
        self._back, self._since_us, self._rows, self._fault = 0.0, 0, 0, 0

    def add(self, rows: int, fault: int, now_us: int, first_us: int | None = None) -> Iterator[Change]:
        """So many rows came since the last call, so many of them at fault; the first at `first_us`, where that is known."""
        before_us = now_us if self._upto_us is None else self._upto_us
        begin_us = before_us if first_us is None else first_us
        exposure = max(1_000, now_us - before_us) / self._every_us / len(self._bets)
        self._upto_us = max(before_us, now_us)
        if self.raised:
            yield from self._coming_back(rows, fault, begin_us, now_us)
            return
        for bet in self._bets:
            bet.add(rows, fault, exposure, begin_us)
        if sum(bet.capital for bet in self._bets) < 1.0:
            return
        surest = max(self._bets, key=lambda bet: bet.won)
        self.raised, self._began_us, self._back = True, surest.since_us, 0.0
        self._since_us, self._rows, self._fault = surest.since_us, surest.rows, surest.fault
        yield self._change("raised", now_us, max(0.0, surest.won) / math.log(10))

    def _coming_back(self, rows: int, fault: int, begin_us: int, now_us: int) -> Iterator[Change]:
        if self._back <= 0.0:
            self._back, self._since_us, self._rows, self._fault = 0.0, begin_us, 0, 0
        self._back -= self._bets[0].gain(rows, fault)
        self._rows, self._fault = self._rows + rows, self._fault + fault
        if self._back >= BACK:
            self.raised = False
            yield self._change("cleared", now_us, None)
            self._begin_anew()

    def _change(self, state: State, at_us: int, log10: float | None) -> Change:
        size = self._fault / max(1, self._rows)
        return Change(
            what=self._what, of=self._of, state=state, at_us=at_us, since_us=self._since_us, began_us=self._began_us,
            log10=None if log10 is None else round(log10, 2), size=round(size, 4), change=self._words(size, self._rows),
        )  # fmt: skip
