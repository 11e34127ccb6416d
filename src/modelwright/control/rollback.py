"""Take a failing release out of service. Needs the journal alone, so that serving can do it the moment it notices."""

from typing import Any

import msgspec

from modelwright.core.errors import ConflictError
from modelwright.lake.journal import Journal, JournalRow, Pointer


def roll_back(
    journal: Journal, now_us: int, release: str, reason: str, evidence: dict[str, Any],
    observed: dict[str, Any] | None = None,
) -> list[JournalRow]:  # fmt: skip
    """Take a failing release out of service: the one before it becomes champion; a challenger is dropped.

    Whoever notices may call this (each serving process does, for each request it fails): the pointer is authoritative, and
    a release that is not live any more, or that another has just taken out, is left alone.
    """
    pointer = journal.pointer()
    try:
        return _rolled_back(journal, pointer, now_us, release, reason, evidence, observed or {})
    except ConflictError:
        return []


def _rolled_back(
    journal: Journal, pointer: Pointer, now_us: int, release: str, reason: str, evidence: dict[str, Any],
    observed: dict[str, Any],
) -> list[JournalRow]:  # fmt: skip
    if release == pointer.challenger:
        return [
            journal.append(
                "rejected",
                now_us,
                release=release,
                summary=f"fails: {reason}",
                evidence={"by": "errors", **evidence},
                observed=observed,
                point=alone(pointer),
                expect=pointer.generation,
            )
        ]
    if release != pointer.champion or pointer.previous is None:
        return []
    point = settled(pointer, now_us, pointer.previous)
    summary = f"{pointer.previous} is back: {reason}"
    return [
        journal.append(
            "rolled_back",
            now_us,
            release=release,
            summary=summary,
            evidence=evidence,
            observed=observed,
            point=point,
            expect=pointer.generation,
        )
    ]


def settled(pointer: Pointer, now_us: int, champion: str, previous: str | None = None) -> Pointer:
    """A champion with nothing beside it, from now on; what a person has paused stays paused. A challenger that becomes champion
    is watched for as long as it was compared, where that is declared."""
    compared_us = now_us - pointer.began_us if pointer.began_us and champion == pointer.challenger else 0
    return Pointer(
        champion=champion, previous=previous, since_us=now_us, paused=pointer.paused,
        watch_until_us=now_us + compared_us if compared_us else 0,
    )  # fmt: skip


def alone(pointer: Pointer) -> Pointer:
    """The champion answers everything again, and nothing is compared with it."""
    return pointed(pointer, challenger=None, phase="idle", share=0.0, rollout=None, began_us=0)


def pointed(pointer: Pointer, **changes: Any) -> Pointer:
    """The pointer with some of its members changed."""
    return msgspec.structs.replace(pointer, **changes)
