"""How much a server takes on at a time, and how long it waits for a client: what is beyond is refused, never queued."""

import resource
from typing import Annotated

import msgspec

OPEN_FILES = 65_536
"""Open files asked of the system: a connection is one."""
RESERVED_FILES = 128
"""Open files kept for the log and its tables."""
RETRY_S = 1
"""After so many seconds a client that found the server full may try again."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """`waiting`: requests taken and not yet answered. `request_s`: from a request's first byte to its last, and for
    reading an answer. `idle_s`: a connection without a request."""

    waiting: Annotated[int, msgspec.Meta(ge=1)] = 1024
    request_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    idle_s: Annotated[float, msgspec.Meta(gt=0)] = 75.0


LIMITS = Limits()
"""Those that hold where nothing is said."""


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
