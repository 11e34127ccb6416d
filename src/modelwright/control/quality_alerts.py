"""Turns in the quality of what arrives, on their way into the journal: each once, and none is left open for ever.

The monitor is built again from the log when the system starts, and finds the same again; what the journal holds already is
known from the journal. What is open while another release takes over is ended in its name, as what is usual is then read
from another history; how requests are answered is of the server and goes on. It decides nothing.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from modelwright.core.clock import to_us
from modelwright.lake.journal import Journal, JournalRow
from modelwright.monitoring.change import Change
from modelwright.monitoring.quality import QualityWatch
from modelwright.monitoring.requests import BOUNDS

Stream = tuple[str, str]


class QualityAlerts:
    """State: of each stream, the newest turn that the journal holds and for which release."""

    def __init__(self, watch: QualityWatch | None, journal: Journal) -> None:
        self._watch = watch
        self._newest: dict[Stream, tuple[str | None, Change]] = {}
        for row in journal.rows():
            if row.kind == "alert" and "what" in row.evidence:
                self.written(row)
        for _, newest in self._newest.values():
            if watch is not None and newest.what in BOUNDS and newest.state == "raised":
                watch.requests.resume(newest)

    def fresh(self, champion: str, now_us: int) -> list[tuple[str | None, Change]]:
        """What the journal does not hold yet, with the release it is about."""
        if self._watch is None or self._watch.release != champion:
            return []
        found: list[tuple[str | None, Change]] = []
        held = dict(self._newest)
        for stream, (release, newest) in self._newest.items():
            if newest.state == "raised" and release != champion and newest.what not in BOUNDS:
                found.append((release, _superseded(newest, champion, now_us)))
                del held[stream]
        for change in self._watch.changes(now_us):
            stream = (change.what, change.of)
            release, known = held.get(stream, (None, None))
            if known is None or (release != champion and change.what not in BOUNDS):
                if change.state == "cleared":
                    continue
            elif change.at_us <= known.at_us or change.state == known.state:
                continue
            found.append((champion, change))
            held[stream] = (champion, change)
        return found

    def written(self, row: JournalRow) -> None:
        """A turn is in the journal."""
        change = msgspec.convert(row.evidence, Change)
        self._newest[change.what, change.of] = (row.release, change)


def turns_of(rows: Iterable[JournalRow]) -> list[Change]:
    """The turns that the journal tells of."""
    return [msgspec.convert(row.evidence, Change) for row in rows if row.kind == "alert" and "what" in row.evidence]


def live_since(journal: Journal) -> int:
    """When the champion went live."""
    return max(
        (to_us(datetime.fromisoformat(row.at)) for row in journal.rows() if row.kind in ("promoted", "rolled_back")),
        default=0,
    )


def _superseded(open_one: Change, champion: str, now_us: int) -> Change:
    return msgspec.structs.replace(open_one, state="superseded", at_us=now_us, since_us=now_us, change=champion)
