"""The log, followed: its rows in order into the ledger and the monitors. A view that can be read again from zero."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np

from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow, OutcomeRow, PredictionRow
from modelwright.monitoring.drift import DriftWatch
from modelwright.monitoring.ledger import Ledger, Scored
from modelwright.monitoring.quality import DRIFT_SHARE, QualityWatch
from modelwright.release.folder import read_manifest
from modelwright.release.inputs import Rows
from modelwright.spec.monitor import USUAL, Monitor

PAGE = 20_000
WAITING = 200_000
"""Events kept until their prediction's inputs were counted for drift; a prediction follows its event at once."""


class LogReader:
    """Follows the log with a cursor. `ledger` holds every prediction and outcome, `drift` what the followed release was
    asked; `on_event` is shown every live event. `arrival`: events are held to have
    come when they arrived, and not at their own time, as they do where the clock is the data's."""

    def __init__(
        self,
        log: Log,
        metric: str,
        classes: tuple[bool | str, ...],
        on_event: Callable[[EventRow], None] = lambda row: None,
        monitor: Monitor = USUAL,
        *,
        arrival: bool = True,
    ) -> None:
        self._log = log
        self._on_event = on_event
        self._names = log.schema.contract.names
        self.ledger = Ledger(metric, classes)
        self.quality = QualityWatch(monitor.false_alarm_us)
        every = timedelta(microseconds=int(monitor.false_alarm_us / DRIFT_SHARE))
        self.drift = DriftWatch(every, self.quality.asked)
        self._arrival = arrival
        self._timed = log.schema.contract.time is not None
        self.cursor = 0
        self._events: dict[int, list[Any]] = {}
        self._asked: list[tuple[list[float], list[str | None], float, int]] = []
        self._classes: dict[str, tuple[bool | str, ...]] = {}

    def catch_up(self) -> int:
        """Read what was written since the last call; returns how many rows that was."""
        read = 0
        while rows := self._log.tail(self.cursor, PAGE):
            for row in rows:
                if isinstance(row, EventRow):
                    if row.live:
                        self._events[row.seq] = row.values
                        self._came(row)
                        self._on_event(row)
                elif isinstance(row, PredictionRow):
                    self._predicted(row)
                elif isinstance(row, OutcomeRow):
                    self.ledger.known(row.event_seq, row.value)
                    self.quality.outcome(row.event_seq, row.known_us)
            self._watch()
            for seq in list(itertools.islice(self._events, max(0, len(self._events) - WAITING))):
                del self._events[seq]
            self.cursor = rows[-1].seq
            read += len(rows)
        self.ledger.settle()
        return read

    def _came(self, row: EventRow) -> None:
        if not self._arrival:
            self.quality.event(row.seq, row.at_us)
        else:
            self.quality.event(row.seq, row.arrived_us, row.arrived_us - row.at_us if self._timed else None)

    def _classes_of(self, release: str) -> tuple[bool | str, ...]:
        if self.ledger.classes in ((), (False, True)):
            return self.ledger.classes
        if release not in self._classes:
            self._classes[release] = read_manifest(self._log.workspace.releases / release).classes
        return self._classes[release]

    def _predicted(self, row: PredictionRow) -> None:
        given = None if row.probabilities is None else tuple(row.probabilities)
        challenger = row.role == "challenger"
        scored = Scored(row.release, row.prediction, given, self._classes_of(row.release))
        self.ledger.predicted(row.event_seq, row.at_us, scored, challenger=challenger)
        if challenger:
            return
        values = self._events.pop(row.event_seq, None)
        release = self.drift.release
        if values is None or release is None or row.release != release.name:
            return
        given_by_name = dict(zip(self._names, values, strict=True)) | msgspec.json.decode(row.features)
        numbers: list[float] = []
        texts: list[str | None] = []
        for column in release.manifest.inputs:
            value = given_by_name.get(column.name)
            if column.kind == "text":
                texts.append(value)
            else:
                numbers.append(np.nan if value is None else float(value))
        amount = np.nan if self.ledger.classes else float(row.prediction)
        self._asked.append((numbers, texts, row.score if row.score is not None else amount, row.at_us))

    def _watch(self) -> None:
        """Have what the followed release was asked and said watched for drift."""
        if not self._asked:
            return
        numbers, texts, scores, at_us = zip(*self._asked, strict=True)
        rows = Rows(np.array(numbers).reshape(len(numbers), -1), tuple(zip(*texts, strict=True)))
        self.drift.add(rows, np.array(scores), np.array(at_us))
        self._asked = []
