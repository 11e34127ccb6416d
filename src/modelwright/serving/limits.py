"""How much a server takes on at a time, and how long it waits for a client: what is beyond is refused, never queued."""

import resource
from typing import Annotated

import msgspec

OPEN_FILES = 65_536
"""Open files asked of the system: a connection is one."""
RESERVED_FILES = 128
"""Open files kept for the log and its tables."""
BODY_LIMIT = 8 << 20
"""Bytes of a request's body."""
ROWS_LIMIT = 10_000
"""Entries of one request."""
RETRY_S = 1
"""After so many seconds a client that found the server full may try again."""


HEAD_BYTES = 64 << 10
"""Bytes of a request's first line and headers together."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one serving process takes on. `waiting`: requests taken and not yet answered. `body_bytes`: of the bodies of those
    requests, together. `request_s`: from a request's first byte to its last, and for reading an answer. `idle_s`: a connection
    without a request."""

    waiting: Annotated[int, msgspec.Meta(ge=1)] = 1024
    body_bytes: Annotated[int, msgspec.Meta(ge=1)] = 256 << 20
    request_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    idle_s: Annotated[float, msgspec.Meta(gt=0)] = 75.0


LIMITS = Limits()
"""Those that hold where nothing is said."""


class Room:
    """How many bytes of bodies are in memory, over all connections of a process, and whether there is room for more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def take(self, size: int) -> bool:
        """Hold so many more, if there is room."""
        if self.held + size > self.most:
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        """Hold so many less: their request is answered, or gone."""
        self.held -= size


def most_connections() -> int:
    """How many connections may be open at a time, after asking the system for as many open files as it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):  # the system allows less than it says
            pass
    return OPEN_FILES if soft == resource.RLIM_INFINITY else max(soft - RESERVED_FILES, 1)


def too_few_files(connections: int, limits: Limits) -> str:
    """What to tell whoever starts a server that can hold fewer connections than requests; nothing where it is enough."""
    if connections >= limits.waiting:
        return ""
    return (
        f"only {connections + RESERVED_FILES:,} files may be open, so at most {connections:,} connections are held at a time, "
        f"fewer than --max-waiting {limits.waiting:,}; raise it with `ulimit -n {limits.waiting * 4}` (systemd: LimitNOFILE=)"
    )
