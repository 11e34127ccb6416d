"""The state folder: where each part of a system's state lies, and who may work on it alone.

Every command is given one `Workspace` (".modelwright/" beside the system file) and asks it for paths and locks. It
never reads or writes what lies in the folders it names.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelwright.core.errors import WorkspaceError


class Workspace:
    """The paths of one system's state, and its locks.

    `root` is made when first written to. `log` holds the LMDB environment, `tables` the Delta tables, `releases` the
    release folders, `tracking` the runs, `reports` what people read and `keys` who may ask a server. Beside them lie the
    `studies` of a tuning that is under way.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.log = self.root / "log"
        self.tables = self.root / "tables"
        self.releases = self.root / "releases"
        self.tracking = self.root / "tracking"
        self.reports = self.root / "reports"
        self.keys = self.root / "keys.json"

    @contextmanager
    def exclusive(self, role: str) -> Iterator[None]:
        """Hold the role alone, for as long as the block runs; the kernel frees it when the process ends in any way.

        Raises `WorkspaceError`, naming the holder's process id, where another holds the role.
        """
        with self.attempt(role) as held:
            if not held:
                raise WorkspaceError(
                    f"{self.root}: another process ({self._holder(role)}) is its {role} already; stop that one first, "
                    "or point MODELWRIGHT_HOME at another folder"
                )
            yield

    @contextmanager
    def awaited(self, role: str, standing_by: Callable[[str], None] = lambda holder: None) -> Iterator[bool]:
        """Like `exclusive`, but waits where another holds the role, after `standing_by` was told whose it is.

        Yields whether it had to wait. The main thread's signals are handled meanwhile.
        """
        with self.attempt(role) as held:
            if held:
                yield False
                return
        standing_by(self._holder(role))
        with self._opened(role) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._sign(handle)
            yield True

    @contextmanager
    def attempt(self, role: str) -> Iterator[bool]:
        """Like `exclusive`, but yields False instead of raising where another holds the role."""
        with self._opened(role) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            self._sign(handle)
            yield True

    @contextmanager
    def _opened(self, role: str) -> Iterator[int]:
        """The role's lock file, open; closing it frees the lock."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._lock(role), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise WorkspaceError(
                f"{self.root}: cannot be written to ({error.strerror}); give the user who runs modelwright the right "
                "to write there, or point MODELWRIGHT_HOME elsewhere"
            ) from None
        try:
            yield handle
        finally:
            os.close(handle)

    @staticmethod
    def _sign(handle: int) -> None:
        with suppress(OSError):  # whose it is, for people: a full disk keeps nobody from holding it
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)

    def holder(self, role: str) -> int | None:
        """The process that holds the role now; None where nobody does, 0 where it is just starting."""
        if not self._lock(role).exists():
            return None
        with self.attempt(role) as free:
            return None if free else int(self._lock(role).read_text().strip() or 0)

    def _lock(self, role: str) -> Path:
        return self.root / f"{role}.lock"

    def _holder(self, role: str) -> str:
        text = self._lock(role).read_text().strip()
        return f"process {text}" if text else "just starting"
