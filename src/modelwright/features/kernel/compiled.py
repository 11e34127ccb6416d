"""How kernels are compiled: the decorator, the array types and the place of the machine code.

First file of the kernel; every other imports it. numba keys its file cache by the file of the *outer* function, so a
change in a function called from another file would go unseen: the cache therefore lives in a directory named by the
hash of all kernel sources. `NUMBA_CACHE_DIR` is respected where set; where nothing can be written, kernels are compiled
in memory. Nothing is compiled at import: each kernel is when first called.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Places = NDArray[np.int32]
Marks = NDArray[np.uint8]
Words = NDArray[np.uint64]

F = TypeVar("F", bound=Callable[..., Any])
settings: Any = numba.config


def user_cache() -> Path:
    """The user's cache directory on this platform."""
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home())))
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def cache_directory(sources: Path) -> str | None:
    """Where machine code of a folder of sources is kept between processes; None where no directory can be written."""
    if settings.CACHE_DIR:
        return str(settings.CACHE_DIR)
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(sources.glob("*.py")):
        digest.update(source.read_bytes())
    try:
        directory = user_cache() / "modelwright" / f"{sources.name}-{digest.hexdigest()[:16]}"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return str(directory) if os.access(directory, os.W_OK) else None


def compiler(file: str) -> Callable[[F], F]:
    """The decorator for the functions of the folder that a file stands in: each is compiled when first called, without
    the interpreter's lock and with IEEE division.

    Floating-point operations are neither reordered nor fused: equal bits in every host depend on it.
    """
    directory = cache_directory(Path(file).parent)

    def compile(function: F) -> F:
        before = settings.CACHE_DIR
        settings.CACHE_DIR = directory or before
        try:
            made = numba.njit(nogil=True, error_model="numpy", cache=directory is not None)(function)
        finally:
            settings.CACHE_DIR = before
        return cast(F, made)

    return compile


compiled = compiler(__file__)
