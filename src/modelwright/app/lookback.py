"""The digests that the console shows: of the last day, week and month, as of a moment ago.

The page picks the one that reaches back to when somebody last looked. Made again only so often that it costs the loop little,
however much the ledger holds.
"""

import time
from typing import Any, Final

import msgspec

from modelwright.app.digest import digest, period_of
from modelwright.control.receiver import receivers
from modelwright.core.durations import duration_us
from modelwright.lake.journal import JournalRow
from modelwright.lake.log import Log
from modelwright.monitoring.answers import answers_of
from modelwright.monitoring.ledger import Account, as_predictions
from modelwright.monitoring.tail import LogReader
from modelwright.spec.system import System

SPANS: Final = ("1d", "7d", "30d")
AGE_S = 15.0
"""Digests are this old at most, or as old as it takes for them to cost no more than `SHARE` of the time."""
SHARE = 0.02
FROZEN = "the frozen first model"


class Lookback:
    """State: the digests as they were last made, by their length."""

    def __init__(self, system: System, log: Log, reader: LogReader) -> None:
        self._system = system
        self._log = log
        self._reader = reader
        self._next_s = 0.0
        self._made: dict[str, Any] = {}

    def digests(self, rows: list[JournalRow], frozen: Account, now_us: int) -> dict[str, Any]:
        """By length; `rows` is the whole journal, `frozen` the account with the frozen model's answers, or an empty one."""
        began = time.monotonic()
        if began >= self._next_s:
            self._made = self._make(rows, frozen, now_us)
            ended = time.monotonic()
            self._next_s = ended + max(AGE_S, (ended - began) / SHARE)
        return self._made

    def _make(self, rows: list[JournalRow], frozen: Account, now_us: int) -> dict[str, Any]:
        ledger, pointer = self._reader.ledger, self._log.journal.pointer()
        told = receivers(self._log.journal)
        longest_us = 2 * duration_us(SPANS[-1]) + self._system.label.delay_us
        rivals = {FROZEN: as_predictions(frozen.scored, ledger.classes)} if len(frozen) else {}
        answers = answers_of(ledger, rivals, now_us - longest_us)
        return {
            span: msgspec.to_builtins(
                digest(
                    period_of(self._system, pointer, rows, ledger, answers, now_us - duration_us(span), now_us, told)
                )
            )
            for span in SPANS
        }
