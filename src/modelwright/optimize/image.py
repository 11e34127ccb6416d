"""The images of kernels: those that a compiled release calls, and those of single reads of history. Each is made once, kept in
the user's cache, and the same for every release.

`object_code` gives what numba and LLVM make of the kernels, `linking` makes it flat, `core.machine_code` maps it.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

import llvmlite
import numba

from modelwright.core.machine_code import FUNCTIONS, Header, encoded, fits_machine, parts
from modelwright.features import image as history
from modelwright.features.kernel.compiled import user_cache
from modelwright.optimize.linking import NotFlat, linked
from modelwright.release.compiled import image as machine
from modelwright.release.compiled.kernels import KERNELS

ENVIRONMENT: Final = {
    "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_OPT": "3", "NUMBA_DISABLE_INTEL_SVML": "1",
    "PYTHONHASHSEED": "0",
}  # fmt: skip
"""What the process that compiles is started with, so that equal sources give equal bytes on any machine."""
MAKERS: Final = ("entries.py", "image.py", "linking.py", "object_code.py")
ALLOCATING: Final = frozenset({"malloc", "free"})
"""What kernels of a release may not call."""


class _Made(NamedTuple):
    """What an image is made of: its entries, the functions that they may call, the digest of their sources."""

    entries: Collection[str]
    functions: Collection[str]
    sources: Callable[[], str]


IMAGES: Final = {
    "machine": _Made(KERNELS, frozenset(FUNCTIONS) - ALLOCATING, machine.sources),
    "history": _Made({*history.KERNELS, history.RELEASE}, FUNCTIONS, history.sources),
}


def machine_image() -> bytes | None:
    """The image of a compiled release's kernels; None where there is none for such a machine, no place to keep it, or where
    numba makes what has no flat form."""
    return image("machine")


def history_image() -> bytes | None:
    """The same of the kernels of single reads, for a release with views."""
    return image("history")


@cache
def image(name: Literal["machine", "history"]) -> bytes | None:
    """One of the two."""
    if not fits_machine():
        return None
    made = IMAGES[name]
    try:
        kept = _kept(name, made)
        kept.parent.mkdir(parents=True, exist_ok=True)
        data = kept.read_bytes() if kept.exists() else b""
        return data if parts(data, made.entries, made.sources()) else _keep(kept, _compiled(name, made))
    except (OSError, RuntimeError, subprocess.CalledProcessError, NotFlat):
        return None


def _kept(name: str, made: _Made) -> Path:
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__} {made.sources()}".encode())
    for maker in MAKERS:
        digest.update(Path(__file__).with_name(maker).read_bytes())
    return user_cache() / "modelwright" / f"{name}-{digest.hexdigest()[:16]}.img"


def _compiled(name: str, made: _Made) -> bytes:
    with tempfile.TemporaryDirectory() as folder:  # code for another processor has no place in numba's cache
        environment = {**os.environ, **ENVIRONMENT, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-P", "-m", "modelwright.optimize.object_code", name]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
    flat = linked(done.stdout, made.entries, made.functions)
    header = Header(sources=made.sources(), size=len(flat.code), entries=flat.entries, slots=flat.slots)
    return encoded(header, bytes(flat.code))


def _keep(path: Path, data: bytes) -> bytes:
    """Whole or not at all, whoever else makes it now."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
    return data
