"""What the kernel says of processes that are not our children."""

import os
from contextlib import suppress
from pathlib import Path


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for somebody to take note of its end: in some containers nobody does."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def files_of(pid: int) -> set[str]:
    """What a process holds open, as the kernel names it."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed since
            found.add(os.readlink(entry))
    return found
