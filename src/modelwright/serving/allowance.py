"""What is left of a key's rate, in one process or in all the workers of a server together.

A bucket of `count` tokens that fills at the key's rate, kept as one number: the time at which it would be full again. A
request moves that time on by one token's; beyond a whole bucket ahead of now there is none left (the generic cell rate
algorithm, ITU-T I.371). One number is what several processes can share: eight bytes of a file that each has mapped, under
the kernel's lock, which a process that dies lets go of.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path

_TIME = struct.Struct("=d")
_ROUNDING = 1e-3
"""The part of a token that is as good as the whole: times are rounded."""


class Bucket:
    """The tokens of one key in this process, all of them there at first."""

    def __init__(self, count: int, unit_s: float) -> None:
        self._token_s = unit_s / count
        self._whole_s = unit_s
        self._full_at = 0.0

    def take(self, now: float) -> float:
        """Take a token: 0, or how many seconds to wait for the next one."""
        full_at = max(self._full_at, now) + self._token_s
        wait_s = full_at - now - self._whole_s
        if wait_s > _ROUNDING * self._token_s:
            return wait_s
        self._full_at = full_at
        return 0.0


class SharedBucket(Bucket):
    """The same, of all processes that name the same file. Their clock must be one: `time.monotonic` is, on a machine."""

    def __init__(self, count: int, unit_s: float, path: Path) -> None:
        super().__init__(count, unit_s)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._handle, _TIME.size)
        self._cell = mmap.mmap(self._handle, _TIME.size)

    def take(self, now: float) -> float:
        """As `Bucket.take`, of what all have left."""
        fcntl.lockf(self._handle, fcntl.LOCK_EX)
        try:
            (self._full_at,) = _TIME.unpack_from(self._cell)
            wait_s = super().take(now)
            _TIME.pack_into(self._cell, 0, self._full_at)
        finally:
            fcntl.lockf(self._handle, fcntl.LOCK_UN)
        return wait_s

    def __del__(self) -> None:
        """The key is revoked, or has another rate."""
        os.close(self._handle)


Allow = Callable[[str, int, float], Bucket]
"""A key's bucket: of its hash, its count and its unit of time in seconds."""


def of_this_process(sha256: str, count: int, unit_s: float) -> Bucket:
    """A bucket that nobody shares."""
    return Bucket(count, unit_s)


def shared_in(folder: Path) -> Allow:
    """Buckets of all processes that share a folder."""

    def bucket(sha256: str, count: int, unit_s: float) -> Bucket:
        return SharedBucket(count, unit_s, folder / f"{sha256}-{count}-{unit_s:g}.rate")

    return bucket
