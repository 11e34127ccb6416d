"""What people decide: approve, reject, roll back, pause, resume. Each is a journal row that says who and why.

Needs the journal alone and works beside a running system: serving follows the pointer, and the loop looks at it again
before it decides anything.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from modelwright.control.rollback import alone, pointed, roll_back, settled
from modelwright.core.errors import ConflictError, UsageError
from modelwright.lake.journal import Journal, JournalRow, Pointer


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides, and why: both stand in the journal."""

    who: str
    why: str

    @property
    def evidence(self) -> dict[str, Any]:
        """As the journal has it."""
        return {"by": "person", "who": self.who, "why": self.why}


def approve(journal: Journal, now_us: int, person: Person, release: str | None = None) -> JournalRow:
    """Make a release the champion: the challenger, or any that was registered, by name.

    Raises `UsageError` where there is none to approve.
    """
    pointer = journal.pointer()
    release = _registered(journal, release) if release is not None else pointer.challenger
    if release is None:
        raise UsageError(f"no release waits for approval; name one that was registered: {_names(journal, pointer)}")
    if release == pointer.champion:
        raise UsageError(f"{release} is the champion already")
    point = settled(pointer, now_us, release, pointer.champion)
    return journal.append(
        "promoted", now_us, release=release, summary=f"approved by {person.who}: {person.why}",
        evidence=person.evidence, point=point, expect=pointer.generation,
    )  # fmt: skip


def reject(journal: Journal, now_us: int, person: Person) -> JournalRow:
    """Send the challenger home. Raises `UsageError` where there is none."""
    pointer = journal.pointer()
    if pointer.challenger is None:
        raise UsageError("there is no challenger to reject; `modelwright status` shows what is live")
    return journal.append(
        "rejected", now_us, release=pointer.challenger, summary=f"rejected by {person.who}: {person.why}",
        evidence=person.evidence, point=alone(pointer), expect=pointer.generation,
    )  # fmt: skip


def bring_back(journal: Journal, now_us: int, person: Person) -> JournalRow:
    """The release before the newest that answers is back: in a canary the champion, for all requests; else the one before
    the champion. Raises `UsageError` where there is none."""
    pointer = journal.pointer()
    if pointer.share:
        return reject(journal, now_us, person)
    if pointer.champion is None or pointer.previous is None:
        raise UsageError(
            f"{pointer.champion or 'no release'} is live and none before it is at hand; "
            "`modelwright approve --release NAME` brings back any that was registered"
        )
    reason = f"{person.who} rolled {pointer.champion} back: {person.why}"
    rows = roll_back(journal, now_us, pointer.champion, reason, person.evidence)
    if not rows:
        raise ConflictError(f"another decision has just taken {pointer.champion} out of service; look again")
    return rows[0]


def pause(journal: Journal, now_us: int, person: Person) -> JournalRow:
    """Train and promote nothing until `resume`. What fails live is rolled back all the same."""
    return _set(journal, now_us, person, "paused")


def resume(journal: Journal, now_us: int, person: Person) -> JournalRow:
    """Let the loop decide again."""
    return _set(journal, now_us, person, "resumed")


def _set(journal: Journal, now_us: int, person: Person, kind: Literal["paused", "resumed"]) -> JournalRow:
    pointer = journal.pointer()
    if pointer.paused == (kind == "paused"):
        raise UsageError("the loop is paused already" if pointer.paused else "the loop is not paused")
    return journal.append(
        kind, now_us, summary=f"{kind} by {person.who}: {person.why}", evidence=person.evidence,
        point=pointed(pointer, paused=kind == "paused"), expect=pointer.generation,
    )  # fmt: skip


def registered(journal: Journal) -> Sequence[str]:
    """Every release that was published and passed its gates, oldest first."""
    return list(dict.fromkeys(row.release for row in journal.rows() if row.kind == "registered" and row.release))


def _registered(journal: Journal, name: str) -> str:
    """The release of that name, or of that beginning where only one has it."""
    known = registered(journal)
    found = [one for one in known if one == name] or [one for one in known if one.startswith(name)]
    if len(found) != 1:
        which = "is the beginning of several" if found else "was never registered"
        raise UsageError(f"release {name} {which}; registered are {_listed(found or known)}")
    return found[0]


def _names(journal: Journal, pointer: Pointer) -> str:
    return _listed([name for name in registered(journal) if name != pointer.champion])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[-5:]) or "none yet"
