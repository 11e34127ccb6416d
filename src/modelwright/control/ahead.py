"""Outcomes that are read from later events, into the log: in bulk from history, and one by one as windows close.

They are a view of the log that is written back to it, as outcomes that anybody could have told: training, ledger and
features see no difference. Whatever is derived again and is there already adds nothing, so any of this may be repeated
after a crash; a late event that changes a closed window makes a correction. It decides nothing.
"""

import heapq

import msgspec
import numpy as np
import pyarrow as pa

from modelwright.core.errors import WorkspaceError
from modelwright.features.ahead import as_outcome, outcomes_ahead, view_ahead
from modelwright.features.encode import KeyReader
from modelwright.features.online import OnlineHost
from modelwright.lake.log import Log
from modelwright.lake.rows import Appended, EventRow
from modelwright.spec.label import LabelSpec
from modelwright.spec.system import System

NOTE = "label ahead"
"""The note that says how the log's outcomes were derived."""
PAGE = 20_000
MANY = 1_000
"""More new or late events at once than this, such as a file ingested beside a run, are not taken in one by one."""

Window = tuple[int, int, str]
"""When an event's outcome is known, its sequence number, its id."""


def derive(log: Log, system: System, events: pa.Table | None = None) -> Appended:
    """Append the outcome of every event whose window has closed by the log's newest event; for a label that is told,
    nothing.

    Raises `WorkspaceError` where the log holds outcomes that another label gave it.
    """
    if system.label.ahead is None:
        return Appended()
    _agree(log, system.label)
    outcomes = outcomes_ahead(log.events() if events is None else events, system.contract, system.label)
    appended = log.append_outcomes(outcomes)
    if appended.added:
        log.drain()
    return appended


def _agree(log: Log, label: LabelSpec) -> None:
    """One log holds the outcomes of one definition: those of another would be known at the wrong moment."""
    wanted = msgspec.json.encode(label)
    stored = log.journal.read_note(NOTE)
    if stored == wanted:
        return
    if log.counts()["outcomes"]:
        before = msgspec.json.decode(stored, type=LabelSpec).described if stored else "told"
        raise WorkspaceError(
            f"{log.workspace.root}: the log's outcomes of {label.name} were {before}, and are now {label.described}; point "
            "MODELWRIGHT_HOME at a new folder and ingest again, or change the label back"
        )
    log.journal.note(NOTE, wanted)


class Closing:
    """The windows ahead of a running system's events, each closed when its time has come.

    Made of a log, it derives all that history tells, then follows the log. It holds one entry for each event whose
    window is open. A window that ends at `since_us` or before waits for an event later than its end: while nobody
    watched, silence meant nothing.
    """

    def __init__(self, system: System, log: Log, since_us: int) -> None:
        label = system.label
        assert label.ahead is not None and system.contract.time is not None
        self._system = system
        self._label = label
        self._log = log
        self._since_us = since_us
        self._key = KeyReader(system.contract, label.by).key
        log.history.require([label.by])
        view = view_ahead(label, system.contract)
        self._host = OnlineHost([view], system.contract, None, log.strings, log.history)
        events = log.events()
        derive(log, system, events)
        at_us = events[system.contract.time].cast(pa.int64()).to_numpy()
        seq, ids = events["_seq"].to_numpy(), events["_id"]
        self._head_us = int(at_us.max()) if len(at_us) else 0
        self._closed_us = self._head_us
        """Every window that ends before this moment has been closed."""
        self._cursor = int(seq.max()) if len(seq) else 0
        self._by_clock: list[Window] = []
        self._by_head: list[Window] = []
        self._late: list[EventRow] = []
        open_ = np.flatnonzero(at_us + label.delay_us > self._head_us)
        for place, id in zip(open_, ids.take(pa.array(open_)).to_pylist(), strict=True):
            self._wait(int(at_us[place]) + label.delay_us, int(seq[place]), id)

    def step(self, now_us: int, most: int = 1_000) -> int:
        """Close the windows whose time has come, at most so many; returns how many were looked at."""
        self._catch_up(now_us)
        due = self._due(self._by_head, self._head_us, most)
        due += self._due(self._by_clock, now_us, most - len(due))
        try:
            self._write(due)
        except BaseException:
            for window in due:
                self._wait(*window)
            raise
        self._closed_us = max(self._closed_us, now_us if len(due) < most else due[-1][0])
        return len(due)

    def close(self, now_us: int) -> None:
        """Close all of them."""
        while self.step(now_us):
            pass

    def _write(self, due: list[Window]) -> None:
        if not due:
            return
        with self._log.write() as write:
            for known_us, _, id in due:
                values = write.event_values(id)[2]
                if self._key(values) is not None:
                    outcome = as_outcome(self._host.read(values, known_us)[0], self._label)
                    if outcome is not None:
                        write.outcome(id, outcome, known_us)

    @staticmethod
    def _due(waiting: list[Window], upto_us: int, most: int) -> list[Window]:
        due: list[Window] = []
        while waiting and waiting[0][0] <= upto_us and len(due) < most:
            due.append(heapq.heappop(waiting))
        return due

    def _catch_up(self, now_us: int) -> None:
        """Take note of what was written since the last step."""
        while rows := self._log.tail(self._cursor, PAGE):
            events = [row for row in rows if isinstance(row, EventRow)]
            if len(events) > MANY:
                self._host.forget()
            for row in events:
                if len(events) <= MANY:
                    self._host.append_event(row.seq, row.at_us, row.values)
                self._head_us = max(self._head_us, min(row.at_us, now_us))
                self._wait(row.at_us + self._label.delay_us, row.seq, row.id)
                if row.at_us < self._closed_us and len(self._late) <= MANY:
                    self._late.append(row)
            self._cursor = rows[-1].seq
        if len(self._late) > MANY:
            self._read_again()
        else:
            for row in self._late:
                self._open_again(row)
        self._late.clear()

    def _wait(self, known_us: int, seq: int, id: str) -> None:
        heapq.heappush(self._by_head if known_us <= self._since_us else self._by_clock, (known_us, seq, id))

    def _open_again(self, late: EventRow) -> None:
        """A late event: the closed windows that it falls into are looked at once more."""
        key = self._key(late.values)
        if key is None:
            return
        events, _ = self._log.history.load(self._label.by, key)
        known_us = events["at"] + self._label.delay_us
        for row in events[(events["at"] < late.at_us) & (late.at_us < known_us) & (known_us <= self._closed_us)]:
            found = self._log.tail(int(row["seq"]) - 1, 1)[0]
            self._wait(int(row["at"]) + self._label.delay_us, found.seq, found.id)

    def _read_again(self) -> None:
        """Append what the whole log says of every window that has been closed."""
        system = self._system
        outcomes = outcomes_ahead(self._log.events(), system.contract, self._label, self._closed_us)
        known_us = outcomes["_known_at"].cast(pa.int64()).to_numpy()
        closed = (known_us <= self._head_us) | (known_us > self._since_us)
        self._log.append_outcomes(outcomes.filter(pa.array(closed)))
        self._by_clock = [window for window in self._by_clock if window[0] > self._closed_us]
        self._by_head = [window for window in self._by_head if window[0] > min(self._head_us, self._closed_us)]
        heapq.heapify(self._by_clock)
        heapq.heapify(self._by_head)
