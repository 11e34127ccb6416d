"""`modelwright approve | reject | rollback | pause | resume`: a person's decision, journalled with who and why."""

import getpass
import os
from collections.abc import Callable
from typing import Literal

from modelwright.app.wiring import open_log, workspace_of
from modelwright.control.intervention import Person, approve, bring_back, pause, reject, resume
from modelwright.core.clock import Clock, SystemClock
from modelwright.core.errors import ConflictError, UsageError
from modelwright.lake.journal import Journal, JournalRow
from modelwright.spec.system import System

Decision = Literal["approve", "reject", "rollback", "pause", "resume"]
_DECISIONS: dict[str, Callable[[Journal, int, Person], JournalRow]] = {
    "approve": approve, "reject": reject, "rollback": bring_back, "pause": pause, "resume": resume,
}  # fmt: skip


def decide(
    system: System,
    decision: Decision,
    why: str,
    who: str | None = None,
    release: str | None = None,
    clock: Clock | None = None,
) -> JournalRow:
    """Write the decision into the journal of the system's log, beside a `run` or without one; it is in force at once.

    `who` is the user's name on this machine, or their number, where it is not given; `release` names one to approve that is
    not the challenger. Raises `UsageError` where there is nothing to decide so.
    """
    if not why.strip():
        raise UsageError(f"{decision}: --why is empty; say why, the journal keeps it")
    workspace = workspace_of(system)
    if not workspace.log.exists():
        raise UsageError(f"{workspace.root} holds no log yet; begin with `modelwright train` or `modelwright run`")
    person = Person(who=who or _user(), why=why.strip())
    now_us = (clock or SystemClock()).now_us()
    with open_log(system, workspace, clock) as log:
        try:
            if release is not None:
                return approve(log.journal, now_us, person, release)
            return _DECISIONS[decision](log.journal, now_us, person)
        except ConflictError:
            raise UsageError(
                "the system has decided something else in this moment; see `modelwright journal`, then try again"
            ) from None


def _user() -> str:
    """The user's name on this machine, or the number where it has none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
