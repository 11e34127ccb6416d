"""Checksums of the tables' files: damage to a file is an error that names it, not other values.

Parquet notices few flipped bits by itself. So each file's CRC-32 is kept in LMDB when it is written, and compared before a
process first reads the file. It never repairs: the tables are the log, and nothing else holds all of it.
"""

import mmap
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

from modelwright.core.errors import WorkspaceError
from modelwright.lake.store import Store, text_key

_SUM = struct.Struct("<qI")
_PREFIX = "file "


class Sums:
    """The checksums of the files under one folder.

    State, owned here: the files this process has compared, and when each was last changed.
    """

    def __init__(self, store: Store, root: Path) -> None:
        self._store = store
        self._root = root
        self._compared: dict[Path, int] = {}

    def keep(self, files: Iterable[Path]) -> None:
        """Keep the checksums of files just written; durable on return. A file that has one keeps it."""
        sums = {self._key(file): _sum_of(file) for file in files}
        with self._store.joined() as transaction:
            for key, value in sums.items():
                transaction.txn.put(key, value, db=self._store.db("meta"), overwrite=False)

    def compare(self, files: Iterable[Path]) -> None:
        """Compare files with their checksums; `WorkspaceError` names the first that is damaged, `OSError` one that is gone.

        A crash may have left a file without a checksum: it is read as it is.
        """
        for file in files:
            changed = file.stat().st_mtime_ns
            if self._compared.get(file) == changed:
                continue
            with self._store.read() as txn:
                kept = txn.get(self._key(file), db=self._store.db("meta"))
                kept = None if kept is None else bytes(kept)
            if kept is not None and kept != _sum_of(file):
                raise WorkspaceError(
                    f"{file}: the file is damaged, since its checksum is not that of what was written; restore it from a "
                    "backup: rows in other files, in the buffer and in the online history are whole"
                )
            self._compared[file] = changed

    def missing(self, files: Iterable[Path]) -> list[Path]:
        """Those of the files that have no checksum."""
        with self._store.read() as txn:
            return [file for file in files if txn.get(self._key(file), db=self._store.db("meta")) is None]

    def forget_vanished(self) -> None:
        """Drop the checksums of files that are there no more."""
        prefix = _PREFIX.encode()
        with self._store.joined() as transaction, transaction.txn.cursor(db=self._store.db("meta")) as cursor:
            more = cursor.set_range(prefix)
            while more and bytes(cursor.key()).startswith(prefix):
                if (self._root / bytes(cursor.key()[len(prefix) :]).decode()).exists():
                    more = cursor.next()
                else:
                    cursor.delete()
                    more = bool(cursor.key())

    def _key(self, file: Path) -> bytes:
        return text_key(f"{_PREFIX}{file.relative_to(self._root)}")


def _sum_of(file: Path) -> bytes:
    """Size and CRC-32."""
    with file.open("rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        if size == 0:
            return _SUM.pack(0, 0)
        with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _SUM.pack(size, zlib.crc32(data))
