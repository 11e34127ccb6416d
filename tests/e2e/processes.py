"""What the kernel says of processes that are not our children, and of what is sent to them."""

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


def unread(port: int) -> int:
    """Bytes that were sent to a port of this machine, and that whoever listens there has not taken from the kernel yet."""
    found = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, queued, *_ = line.split()
        sending, received = (int(size, 16) for size in queued.split(":"))
        if here.endswith(f":{port:04X}"):
            found += received
        elif there.endswith(f":{port:04X}"):
            found += sending
    return found
