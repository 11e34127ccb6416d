"""The kernels of single reads as machine code in a file of a release, `history.img`: called without numba and LLVM in memory.

`optimize.image` makes it, `core.machine_code` maps it. It is used where the machine and the kernels' sources are those it was
made for, and not otherwise; then numba's are.

A kernel is called with a table: of each array the address of its object, of each number the number; the code reads an array's
place and shape where numpy keeps them (`PyArrayObject_fields`, part of numpy's ABI), and refuses one that is not of the expected
dimensions and contiguous. Behind them it writes of each array that it gives back who owns it, where it stands and how long it is.

https://numpy.org/doc/stable/reference/c-api/types-and-structures.html
"""

import ctypes
import struct
import sys
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from modelwright.core.machine_code import (
    FLOATS,
    INTS,
    MARKS,
    MASKS,
    MATRIX,
    TABLE,
    WHOLE,
    Argument,
    Code,
    digest_of,
    mapped,
)  # fmt: skip

DATA, DIMENSIONS, SHAPE, FLAGS = 16, 24, 32, 64
"""Where an array's object keeps its place, the number of its dimensions, the place of its shape, and its flags, in bytes."""
AS_TAKEN: Final = 0x0001 | 0x0100
"""The flags of an array that is C-contiguous and aligned."""
REFUSED: Final = 1_000
"""What a kernel says of an array that is not as it takes them."""
RELEASE: Final = "release"
"""The entry that gives the memory of an array back, by its owner."""
DONE: Final = (0, -2)
"""What a kernel says that came to its end, with a result or without."""
NEW: Final = -1


class Kernel(NamedTuple):
    """The arguments of a kernel in order, and of each array that it gives back its kind and which argument that is where it is
    not a new one (`NEW`: it always is)."""

    arguments: tuple[Argument, ...]
    results: tuple[tuple[Argument, int], ...]


KERNELS: Final[dict[str, Kernel]] = {
    "begun": Kernel((TABLE, FLOATS), ((INTS, NEW),)),
    "answer": Kernel(
        (
            TABLE, FLOATS, INTS, INTS, INTS, WHOLE, WHOLE, FLOATS,
            INTS, MATRIX, MASKS, WHOLE, WHOLE,
            INTS, MATRIX, MASKS, WHOLE, WHOLE,
            MASKS, INTS, INTS, INTS, WHOLE,
            FLOATS,
        ),
        ((INTS, 2),),
    ),
    "begin_anew": Kernel((TABLE, INTS, WHOLE), ()),
    "inserted": Kernel((TABLE, FLOATS, INTS, WHOLE, INTS, MATRIX, MASKS, WHOLE, WHOLE), ((INTS, 2),)),
    "settle": Kernel(
        (TABLE, FLOATS, INTS, INTS, WHOLE, INTS, MATRIX, MASKS, WHOLE, WHOLE, WHOLE), ((INTS, 2), (INTS, 3))
    ),
    "tile_of": Kernel((TABLE, FLOATS, INTS, MATRIX, MASKS, WHOLE, WHOLE, WHOLE), ((INTS, NEW),)),
    "too_late": Kernel((INTS, MARKS, INTS, WHOLE, INTS, WHOLE), ((MARKS, NEW),)),
}  # fmt: skip
"""What an image holds: the functions of those names in `kernel.single` and `kernel.visible`."""


@cache
def sources() -> str:
    """The digest of the kernels' sources as they are installed."""
    return digest_of([Path(__file__), *sorted(Path(__file__).with_name("kernel").glob("*.py"))])


def kernels(image: bytes | None) -> Any:
    """The kernels of single reads, one after the other to be called by one thread: those of an image where it is one for this
    machine and version, else numba's."""
    code = _code(image) if _arrays_are_as_expected() else None
    return CompiledHere() if code is None else FromImage(code)


@lru_cache(4)
def _code(image: bytes | None) -> Code | None:
    return mapped(image, {*KERNELS, RELEASE}, sources())


class CompiledHere:
    """numba's, compiled when first called and kept in the user's cache."""

    def __init__(self) -> None:
        from modelwright.features.kernel import single, visible

        for name in KERNELS:
            setattr(self, name, getattr(visible if name == "too_late" else single, name))


class FromImage:
    """An image's, with tables of their own."""

    def __init__(self, code: Code) -> None:
        for name in KERNELS:
            setattr(self, name, _Called(code, name))


class _Called:
    def __init__(self, code: Code, name: str) -> None:
        arguments, self._results = KERNELS[name]
        self._name = name
        self._numbers = [place for place, argument in enumerate(arguments) if not argument.dimensions]
        self._pack = struct.Struct(f"<{len(arguments)}q").pack_into
        self._given_back = struct.Struct(f"<{3 * len(self._results)}q").unpack_from
        self._behind = 8 * len(arguments)
        self._table = ctypes.create_string_buffer(self._behind + 24 * len(self._results))
        self._address = ctypes.addressof(self._table)
        self._code = code  # its memory is there for as long as it is
        self._entry = code.entry(name)
        self._release = code.entry(RELEASE)

    def __call__(self, *given: Any) -> Any:
        words = [*map(id, given)]
        for place in self._numbers:
            words[place] = given[place]
        self._pack(self._table, 0, *words)
        said = self._entry(self._address)
        if said not in DONE:
            if said == REFUSED:
                raise ValueError(f"{self._name}: an array of other dimensions, or not contiguous")
            raise MemoryError(f"{self._name}: no memory for what it keeps")
        back = self._given_back(self._table, self._behind)
        arrays = [self._array(place, back, given) for place in range(len(self._results))]
        return tuple(arrays) if len(arrays) > 1 else arrays[0] if arrays else None

    def _array(self, place: int, back: Sequence[int], given: Sequence[Any]) -> Any:
        owner, address, length = back[3 * place : 3 * place + 3]
        argument, is_argument = self._results[place]
        if not owner:
            return given[is_argument]
        array = np.empty(length, argument.kind)
        ctypes.memmove(array.ctypes.data, address, array.nbytes)
        self._release(ctypes.byref(ctypes.c_int64(owner)))
        return array


@cache
def _arrays_are_as_expected() -> bool:
    """Whether this interpreter and numpy keep arrays where the code looks for them."""
    array = np.zeros((2, 3))
    at = id(array)
    if sys.implementation.name != "cpython" or type(array).__basicsize__ < FLAGS + 4:
        return False
    place, shape = (ctypes.c_int64.from_address(at + offset).value for offset in (DATA, SHAPE))
    count, flags = (ctypes.c_int32.from_address(at + offset).value for offset in (DIMENSIONS, FLAGS))
    if (place, count, flags & AS_TAKEN) != (array.ctypes.data, 2, AS_TAKEN):
        return False
    return [ctypes.c_int64.from_address(shape + 8 * axis).value for axis in range(2)] == [2, 3]
