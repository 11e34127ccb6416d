"""Take a failing release out of service. Needs the journal alone, so that serving can do it the moment it notices."""

from typing import Any

import msgspec

from modelwright.lake.journal import Journal, JournalRow, Pointer


def roll_back(journal: Journal, now_us: int, release: str, reason: str, evidence: dict[str, Any]) -> list[JournalRow]:
    """Take a failing release out of service: the one before it becomes champion; a challenger is dropped.

    Whoever notices may call this (serving does): the pointer is authoritative, and a release that is not live any more
    is left alone.
    """
    pointer = journal.pointer()
    if release == pointer.challenger:
        point = pointed(pointer, challenger=None, phase="idle")
        return [
            journal.append(
                "rejected",
                now_us,
                release=release,
                summary=f"fails: {reason}",
                evidence={"by": "errors", **evidence},
                observed={},
                point=point,
            )
        ]
    if release != pointer.champion or pointer.previous is None:
        return []
    point = Pointer(champion=pointer.previous, phase="idle", since_us=now_us)
    summary = f"{pointer.previous} is back: {reason}"
    return [
        journal.append(
            "rolled_back", now_us, release=release, summary=summary, evidence=evidence, observed={}, point=point
        )
    ]


def pointed(pointer: Pointer, **changes: Any) -> Pointer:
    """The pointer with some of its members changed."""
    return msgspec.structs.replace(pointer, **changes)
