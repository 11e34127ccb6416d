"""How far each receiver of alerts has been told: a note of the log, which the outbox writes and everybody reads.

Small, because serving reads it for /metrics and should load nothing of the loop for that.
"""

import msgspec

from modelwright.lake.journal import Journal

NOTE = "alerts"
"""The note's name."""


class Receiver(msgspec.Struct, kw_only=True):
    """How far one receiver has been told: everything up to row `upto` of the journal. `sent` and `dropped` messages so far,
    `waiting` now; `failing_us`: since when it takes none (0: it does), and the last `error`."""

    key: str
    name: str
    upto: int
    sent: int = 0
    dropped: int = 0
    waiting: int = 0
    failing_us: int = 0
    error: str = ""


def receivers(journal: Journal) -> list[Receiver]:
    """How far each receiver has been told, as last noted."""
    note = journal.read_note(NOTE)
    return [] if note is None else msgspec.json.decode(note, type=list[Receiver])
