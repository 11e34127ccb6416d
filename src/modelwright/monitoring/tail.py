"""The log, followed: its rows in order into the ledger and the drift monitor. A view that can be read again from zero."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow, OutcomeRow, PredictionRow
from modelwright.monitoring.drift import DriftMonitor
from modelwright.monitoring.ledger import Ledger, Scored
from modelwright.release.folder import Release, read_manifest

PAGE = 20_000
WAITING = 200_000
"""Events kept until their prediction's inputs were counted for drift; a prediction follows its event at once."""


class LogReader:
    """Follows the log with a cursor. `ledger` holds every prediction and outcome, `drift` the followed release's inputs;
    `on_event` is shown every live event."""

    def __init__(
        self,
        log: Log,
        metric: str,
        classes: tuple[bool | str, ...],
        on_event: Callable[[EventRow], None] = lambda row: None,
    ) -> None:
        self._log = log
        self._on_event = on_event
        self._names = log.schema.contract.names
        self.ledger = Ledger(metric, classes)
        self.drift: DriftMonitor | None = None
        self.release: Release | None = None
        self.cursor = 0
        self._events: dict[int, list[Any]] = {}
        self._classes: dict[str, tuple[bool | str, ...]] = {}

    def follow(self, release: Release) -> None:
        """Watch the inputs of this release from now on; drift begins anew with each release."""
        self.release = release
        self.drift = DriftMonitor(release.references, release.manifest.inputs)

    def catch_up(self) -> int:
        """Read what was written since the last call; returns how many rows that was."""
        read = 0
        while rows := self._log.tail(self.cursor, PAGE):
            for row in rows:
                if isinstance(row, EventRow):
                    if row.live:
                        self._events[row.seq] = row.values
                        self._on_event(row)
                elif isinstance(row, PredictionRow):
                    self._predicted(row)
                elif isinstance(row, OutcomeRow):
                    self.ledger.known(row.event_seq, row.value)
            self.cursor = rows[-1].seq
            read += len(rows)
        self.ledger.settle()
        while len(self._events) > WAITING:
            self._events.pop(next(iter(self._events)))
        return read

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
        if values is None or self.release is None or self.drift is None or row.release != self.release.name:
            return
        given_by_name = dict(zip(self._names, values, strict=True)) | msgspec.json.decode(row.features)
        numbers: list[float] = []
        texts: list[str | None] = []
        for column in self.release.manifest.inputs:
            value = given_by_name.get(column.name)
            if column.kind == "text":
                texts.append(value)
            else:
                numbers.append(np.nan if value is None else float(value))
        amount = float(row.prediction) if not self.ledger.classes else None
        self.drift.add(np.array(numbers), tuple(texts), row.score if row.score is not None else amount)
