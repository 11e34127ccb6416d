"""Who goes first where processes want one core: whoever is asked for an answer."""

import os
import time
from contextlib import suppress
from pathlib import Path

NICENESS = 10
"""How far a process that nobody waits for stands behind the server."""
LAST = 19
"""No process stands further back."""
_SESSION = Path("/proc/self/autogroup")
_TRIES = 20
_PAUSE_S = 0.05
"""Linux lets all ordinary users together move one session in a tenth of a second."""


def behind_us(child: int) -> None:
    """Let a child go after this process, from its start: Python's own start, 0.05 to 0.1 s, would hold up whoever is asked for an
    answer. It shares our session (`process_group=0` keeps Ctrl-C from it)."""
    with suppress(OSError):  # it has ended
        os.setpriority(os.PRIO_PROCESS, child, min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, LAST))


def stand_back() -> None:
    """Let others go first from now on.

    Linux shares processor time among sessions before it looks at niceness (`sched_autogroup`), so that a child with a
    session of its own would be its server's equal: there the session stands back too. A child that may share its server's
    had better (`process_group=0` keeps Ctrl-C from it): within one session a server that wakes up waits for nobody.
    """
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # no Linux, or no sharing by session
            _move_session()


def _move_session() -> None:
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            _SESSION.write_text(str(NICENESS))
            return
        time.sleep(_PAUSE_S)
