"""The LMDB environment of a log: opened once a process, shared by threads, safe over fork.

Everything of the log that must be safe now goes through a `Transaction` made here. This file knows databases, keys
and LMDB's errors; it never knows what a row is.

The databases: `meta` (counters, the schema, the pointer), `buffer` (the write-ahead rows by sequence number), `ids`
(the duplicate check, the answer sent, the event's values), `latest` (the latest outcome of an event), `history` (chunks
of each key's rows), `strings` (the dictionary), `journal`, `notes` and `quarantine`.
"""

import errno
import os
import resource
import shutil
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from modelwright.core.canonical import sha256_hex
from modelwright.core.errors import NoRoomError, WorkspaceError

DATABASES = ("meta", "buffer", "ids", "latest", "history", "strings", "journal", "notes", "quarantine", "refused")
MAP_BYTES = (16 if sys.platform == "darwin" else 64) << 30
"""Address space set aside for the log; the file grows only as rows come."""

FULL_BYTES = 1 << 20
"""A disk with less room than this is full: one transaction wants more."""

KEY_BYTES = 511
"""The longest key LMDB takes."""

_SEQ = struct.Struct(">q")
_OPEN: dict[str, "Store"] = {}
_OPENING = threading.Lock()


class Transaction:
    """One write transaction, and what waits in it for the commit.

    `chunks` are history rows not yet put, by the prefix of their chunk's key; `strings` are dictionary entries that
    become known to others only when the transaction commits.
    """

    __slots__ = ("chunks", "strings", "txn")

    def __init__(self, txn: Any) -> None:
        self.txn = txn
        self.chunks: dict[bytes, list[bytes]] = {}
        self.strings: dict[tuple[str, str], int] = {}


class Store:
    """One LMDB environment and its databases. Use `open_store`: an environment opened twice in a process is undefined.

    State: the environment and its handles, owned here; the open write transaction of each thread.
    """

    def __init__(self, path: Path, map_bytes: int = MAP_BYTES) -> None:
        self.path = path
        self.map_bytes = map_bytes
        self.users = 0
        self._open()

    def _open(self) -> None:
        with self.translated():
            self.path.mkdir(parents=True, exist_ok=True)
            new = not (self.path / "data.mdb").exists()
            self._env = lmdb.open(
                str(self.path), map_size=self.map_bytes, max_dbs=len(DATABASES), max_readers=1024, metasync=True
            )
            self._env.reader_check()
            self._dbs = {name: self._env.open_db(name.encode()) for name in DATABASES}
            if new:
                # LMDB flushes its files and not the folders that name them.
                for folder in (self.path, self.path.parent):
                    flush(folder)
        self._pid = os.getpid()
        self._local = threading.local()

    def _alive(self) -> None:
        """An environment must not cross a fork: the child lets go of the parent's and opens its own.

        It is let go of, not closed: closing would take the parent's readers out of the table that both share.
        """
        if self._pid != os.getpid():
            del self._env, self._dbs
            self._open()

    def db(self, name: str) -> Any:
        """The handle of a database."""
        return self._dbs[name]

    def read(self) -> Any:
        """A read transaction, to be used as a context manager: one snapshot of the log."""
        self._alive()
        return self._env.begin(buffers=True)

    @property
    def current(self) -> Transaction | None:
        """The write transaction this thread has open, if any."""
        self._alive()
        transaction: Transaction | None = getattr(self._local, "current", None)
        return transaction

    def begin(self) -> Transaction:
        """Open this thread's write transaction, waiting for those of other threads and processes."""
        if self.current is not None:
            raise WorkspaceError(f"{self.path}: this thread is writing to the log already; write inside that block")
        with self.translated():
            transaction = Transaction(self._env.begin(write=True))
        self._local.current = transaction
        return transaction

    def end(self, transaction: Transaction, *, commit: bool) -> None:
        """Commit durably, or abort; either way the thread's transaction is over."""
        self._local.current = None
        # Let go of: a reference left over would keep a forked child from opening an environment of its own.
        txn, transaction.txn = transaction.txn, None
        if not commit:
            txn.abort()
            return
        with self.translated():
            txn.commit()

    @contextmanager
    def joined(self) -> Iterator[Transaction]:
        """This thread's open write transaction, or one for the block alone."""
        transaction = self.current
        if transaction is not None:
            yield transaction
            return
        with self.alone() as transaction:
            yield transaction

    @contextmanager
    def alone(self) -> Iterator[Transaction]:
        """A write transaction for the block: committed at its end, aborted by an exception."""
        transaction = self.begin()
        try:
            with self.translated():
                yield transaction
        except BaseException:
            self.end(transaction, commit=False)
            raise
        self.end(transaction, commit=True)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn LMDB's errors into one line that says what to do. What was being written is aborted, whole."""
        try:
            yield
        except (lmdb.Error, OSError) as error:
            raise self.explained(error) from error

    def explained(self, error: Exception) -> WorkspaceError:
        """An error of LMDB, or of the file system under it, in one line."""
        if isinstance(error, lmdb.MapFullError):
            return NoRoomError(
                f"{self.path}: the log's buffer is full ({self.map_bytes >> 20} MiB) and nothing was written; drain it "
                "into the tables (`modelwright run` does, while it runs)"
            )
        if isinstance(error, lmdb.DiskError) or is_full(self.path, error):
            return NoRoomError(f"{self.path}: the disk is full and nothing was written; free some space and try again")
        if isinstance(error, (lmdb.CorruptedError, lmdb.InvalidError, lmdb.VersionMismatchError)):
            return WorkspaceError(f"{self.path}: this is no readable log ({error}); restore the folder from a backup")
        return WorkspaceError(f"{self.path}: the log cannot be used and nothing was written ({error})")

    def close(self) -> None:
        """Let go of the environment when its last user does."""
        with _OPENING:
            self.users -= 1
            if self.users == 0:
                _OPEN.pop(os.path.realpath(self.path), None)
                if self._pid == os.getpid():
                    self._env.close()


def open_store(path: Path, map_bytes: int = MAP_BYTES) -> Store:
    """The store at a folder: the one this process has open already, or a new one. Close it once for each opening."""
    name = os.path.realpath(path)
    with _OPENING:
        store = _OPEN.get(name)
        if store is None:
            store = _OPEN[name] = Store(path, map_bytes)
        store.users += 1
        return store


def is_full(path: Path, error: Exception) -> bool:
    """Whether an error of writing there says that the disk, the quota or the largest file allowed is reached.

    LMDB calls a write that the disk took half of an input/output error, so the disk and the limit are asked then.
    """
    text = str(error)
    if any(os.strerror(number) in text for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)):
        return True
    if os.strerror(errno.EIO) not in text:
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max((file.stat().st_size for file in path.iterdir() if file.is_file()), default=0)
    return shutil.disk_usage(path).free < FULL_BYTES or (limit >= 0 and limit - largest < FULL_BYTES)


def flush(path: Path) -> None:
    """See that a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def seq_key(seq: int) -> bytes:
    """The key of a sequence number; keys sort as the numbers do."""
    return _SEQ.pack(seq)


def key_seq(key: Any) -> int:
    """The sequence number of a key."""
    number: int = _SEQ.unpack(key)[0]
    return number


def text_key(text: str, room: int = KEY_BYTES) -> bytes:
    """A key for any text in at most `room` bytes: the text itself, or its hash behind a byte that no text begins with."""
    data = text.encode()
    if 0 < len(data) <= room:
        return data
    return b"\xff" + bytes.fromhex(sha256_hex(data))
