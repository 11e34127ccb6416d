"""Machine code in a file: a line of JSON and the code after it, flat. Mapped and called without a compiler in memory.

What the code calls of the C library it finds by addresses that are written into its slots when it is mapped. The bytes come from
whoever has checked them against a manifest; they are copied into memory that is written first and executed afterwards, never
both. `optimize` makes such files; `release.compiled.image` and `features.image` say what stands in theirs.
"""

import ctypes
import hashlib
import mmap
import os
import struct
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

LIBRARIES: Final = ("libm.so.6", "libc.so.6")
FUNCTIONS: Final = (
    "exp", "expf", "expm1", "floor", "free", "ldexp", "log", "log10", "log1p", "malloc", "memcpy", "memmove", "memset",
)  # fmt: skip
"""What such code may call, of these libraries."""


class Argument(NamedTuple):
    """An array's kind, as numpy writes it, and how many dimensions it has; a number has none."""

    kind: str
    dimensions: int


WHOLE, NUMBER = Argument("<i8", 0), Argument("<f8", 0)
INTS, FLOATS, TABLE, MATRIX = Argument("<i8", 1), Argument("<f8", 1), Argument("<i8", 2), Argument("<f8", 2)
SHORTS, MARKS, SETS, MASKS = Argument("<i4", 1), Argument("|u1", 1), Argument("<u4", 1), Argument("|u1", 2)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `sources`: the digest of what it was made of; `size`: bytes of code; `entries`: where each kernel begins
    in it; `slots`: where the address of each function that it calls is to be written."""

    sources: str
    size: int
    entries: dict[str, int]
    slots: dict[str, int]


def encoded(header: Header, code: bytes) -> bytes:
    """The file."""
    return msgspec.json.encode(header) + b"\n" + code


def digest_of(files: Iterable[Path]) -> str:
    """The digest of sources, to tell whether code was made of them."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def fits_machine() -> bool:
    """Whether code is made for a machine like this one: Linux on x86-64."""
    return sys.platform == "linux" and os.uname().machine == "x86_64" and sys.maxsize > 2**32


def parts(data: bytes, entries: Collection[str], sources: str) -> tuple[Header, bytes] | None:
    """Header and code of a file; None where it is not whole, has other entries, or was made of other sources."""
    line, _, code = data.partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=Header)
    except msgspec.DecodeError:
        return None
    whole = header.size == len(code) and header.entries.keys() == set(entries)
    return (header, code) if whole and header.sources == sources else None


class Code:
    """Code in memory, for as long as anything holds it. Raises OSError where the system does not let it be."""

    def __init__(self, header: Header, code: bytes) -> None:
        self._memory = mmap.mmap(-1, len(code), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
        self._memory[:] = code
        for name, place in header.slots.items():
            self._memory[place : place + 8] = struct.pack("<Q", _address_of(name))
        self._entries = header.entries
        self._first = ctypes.c_char.from_buffer(self._memory)  # memory stays where it is while this is held
        self._begin = ctypes.addressof(self._first)
        protect = ctypes.CDLL(LIBRARIES[-1], use_errno=True).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        if protect(self._begin, len(code), mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(ctypes.get_errno(), "memory may not become code")

    def entry(self, name: str) -> Any:
        """The C function `int32_t (*)(int64_t *table)` of a kernel, which is called without the interpreter's lock."""
        return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(self._begin + self._entries[name])


def mapped(data: bytes | None, entries: Collection[str], sources: str) -> Code | None:
    """The code of a file, ready to be called; None where there is none, or none for this machine and these sources."""
    found = parts(data, entries, sources) if data is not None and fits_machine() else None
    try:
        return None if found is None else Code(*found)
    except OSError:  # a system that lets no memory become code, or another C library
        return None


def _address_of(function: str) -> int:
    """Where a function of the C library stands. Raises OSError for one that it has not."""
    if function in FUNCTIONS:
        for library in LIBRARIES:
            found = getattr(ctypes.CDLL(library), function, None)
            if found is not None:
                address = ctypes.cast(found, ctypes.c_void_p).value
                assert address is not None
                return address
    raise OSError(f"no {function} in {' and '.join(LIBRARIES)}")
