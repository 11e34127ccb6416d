"""The kernels as machine code in a file of the release, `machine.img`: called without numba and LLVM in memory.

`optimize.image` makes it, `core.machine_code` maps it. It is used where the machine and the kernels' sources are those it was
made for, and not otherwise.
"""

import ctypes
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from modelwright.core import machine_code
from modelwright.core.machine_code import NUMBER, Argument, Code, digest_of
from modelwright.release.compiled.kernels import KERNELS, Bound, Given, Name

SOURCES: Final = ("image.py", "kernels.py", "machine.py", "program.py", "weighing.py")
"""What the code is made of, and what calls it."""


@cache
def sources() -> str:
    """The digest of the kernels' sources as they are installed."""
    return digest_of(Path(__file__).with_name(name) for name in SOURCES)


def mapped(data: bytes | None) -> "Image | None":
    """The image of a release, ready to be called; None where there is none, or none for this machine and version."""
    code = machine_code.mapped(data, KERNELS, sources())
    return None if code is None else Image(code)


class Image:
    """The kernels of an image in memory, for as long as anything is bound to it."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def bound(self, name: Name, fixed: Callable[[], Sequence[Given]]) -> Bound:
        """As `Kernels` has it."""
        return _Called(self.code, name, fixed)


class _Called(threading.local):
    """The table that a kernel is called with, one a thread: of each argument an array's address and shape, or a number."""

    def __init__(self, code: Code, name: Name, fixed: Callable[[], Sequence[Given]]) -> None:
        arguments = KERNELS[name]
        given = tuple(fixed())
        count = len(arguments) - len(given)
        self._varying = arguments[:count]
        self._arrays = any(argument.dimensions for argument in self._varying)
        self._kept = [_as_taken(value, argument) for value, argument in zip(given, arguments[count:], strict=True)]
        rest = _words(self._kept, arguments[count:])
        first = sum(1 + argument.dimensions for argument in self._varying)
        self._pack = struct.Struct(f"<{first}q").pack_into
        self._table = ctypes.create_string_buffer(8 * (first + len(rest)))
        struct.pack_into(f"<{len(rest)}q", self._table, 8 * first, *rest)
        self._address = ctypes.addressof(self._table)
        self._code = code  # its memory is there for as long as it is
        self._entry = code.entry(name)

    def __call__(self, *given: Given) -> None:
        self._pack(self._table, 0, *(_words(given, self._varying) if self._arrays else given))
        self._entry(self._address)


def _as_taken(value: Given, argument: Argument) -> Given:
    """Raises ValueError for an array of other dimensions."""
    if not argument.dimensions:
        return value
    array = np.require(value, argument.kind, ["C", "W"])
    if array.ndim != argument.dimensions:
        raise ValueError(f"an array of {array.ndim} dimensions, where {argument.dimensions} were expected")
    return array


def _words(given: Iterable[Given], arguments: Iterable[Argument]) -> list[int]:
    words: list[int] = []
    for value, (kind, _) in zip(given, arguments, strict=True):
        if isinstance(value, np.ndarray):
            words.append(ctypes.addressof(ctypes.c_char.from_buffer(value.data)) if value.size else 0)
            words += value.shape
        elif kind == NUMBER.kind:
            words += struct.unpack("<q", struct.pack("<d", value))
        else:
            words.append(int(value))
    return words
