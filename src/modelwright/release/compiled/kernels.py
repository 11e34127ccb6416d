"""The kernels that a compiled release calls, and what each is given: numba's, or those of an image (`image.py`).

Of a kernel's arguments the first ones differ from call to call; the rest stays and is bound once. Nothing is allocated in a
kernel: what it works in is bound with the rest, once a thread.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol

from modelwright.core.machine_code import (
    FLOATS,
    INTS,
    MARKS,
    MATRIX,
    NUMBER,
    SETS,
    SHORTS,
    TABLE,
    WHOLE,
    Argument,
)  # fmt: skip
from modelwright.stats.predictions import Array

Name = Literal["lay_out", "features_of", "run", "weigh"]
Given = Array | int | float
Bound = Callable[..., None]
"""A kernel that is still to be given what differs from call to call."""
BLOCK: Final = 64
"""Rows that `run` and `features_of` take at a time."""


KERNELS: Final[dict[Name, tuple[Argument, ...]]] = {
    "lay_out": (INTS, SHORTS, FLOATS, SHORTS, SHORTS, MARKS, INTS, INTS, FLOATS, INTS, INTS),
    "features_of": (WHOLE, MATRIX, MATRIX, MATRIX, FLOATS, TABLE, FLOATS, INTS, WHOLE),
    "run": (
        WHOLE, MATRIX, MATRIX, MATRIX, FLOATS, MATRIX, MATRIX, TABLE, FLOATS, INTS, WHOLE, WHOLE, MATRIX, FLOATS, INTS, INTS,
        INTS, FLOATS, FLOATS, SETS, NUMBER, NUMBER, WHOLE,
    ),
    "weigh": (INTS, INTS, FLOATS, MATRIX, FLOATS, WHOLE, INTS, MATRIX),
}  # fmt: skip
"""The arguments of each, in order; arrays are C-contiguous."""


class Kernels(Protocol):
    """Where kernels come from. Safe to share between threads; so is what is bound."""

    def bound(self, name: Name, fixed: Callable[[], Sequence[Given]]) -> Bound:
        """The kernel with its last arguments fixed: `fixed` gives them, and is called once in every thread that calls.

        The call takes the arguments before them and gives nothing. Arrays that it takes are C-contiguous, of the kernel's kinds
        and may be written to.
        """
        ...


class CompiledHere:
    """numba's kernels, compiled when first called and kept in the user's cache."""

    def bound(self, name: Name, fixed: Callable[[], Sequence[Given]]) -> Bound:
        return _Called(function(name), fixed)


def function(name: Name) -> Any:
    """A kernel as numba has it."""
    from modelwright.release.compiled import machine, weighing

    return weighing.weigh if name == "weigh" else getattr(machine, name)


class _Called(threading.local):
    def __init__(self, kernel: Bound, fixed: Callable[[], Sequence[Given]]) -> None:
        self._kernel = kernel
        self._fixed = tuple(fixed())

    def __call__(self, *given: Given) -> None:
        self._kernel(*given, *self._fixed)
