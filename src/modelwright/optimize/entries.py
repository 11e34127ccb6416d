"""The entry of a kernel in LLVM's words: `int32_t name(int64_t *table)`, which takes the arguments from a table and calls what
numba made.

numba's functions are called with where to put a result and an error, then the arguments; an array is owner, parent, number of
items, size of one, address, shape and strides.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from modelwright.core.machine_code import Argument
from modelwright.features.image import AS_TAKEN, DATA, DIMENSIONS, DONE, FLAGS, REFUSED, SHAPE

ARRAY: Final = "{ ptr, ptr, i64, i64, ptr, [1 x i64], [1 x i64] }"
"""An array of one dimension as numba gives it back."""
OWNER, ADDRESS, LENGTH = (0,), (4,), (5, 0)
"""Where its parts stand."""


def by_address(name: str, called: str, arguments: Sequence[Argument]) -> Iterator[str]:
    """The table holds of each array its address and shape; nothing is given back."""
    yield from _begun(name, 0)
    word = 0
    given: list[str] = []
    for argument in arguments:
        if not argument.dimensions:
            yield from _loaded(_kind(argument), "%table", 8 * word, f"word{word}")
            given.append(f"{_kind(argument)} %word{word}")
            word += 1
            continue
        yield from _loaded("ptr", "%table", 8 * word, f"word{word}")
        shape = [f"%word{word + 1 + axis}" for axis in range(argument.dimensions)]
        for axis in range(argument.dimensions):
            yield from _loaded("i64", "%table", 8 * (word + 1 + axis), f"word{word + 1 + axis}")
        yield from _array(given, argument, f"word{word}", shape)
        word += 1 + argument.dimensions
    yield from _called(called, given)
    yield "  ret i32 %status"
    yield "}"


def by_object(name: str, called: str, arguments: Sequence[Argument], results: int) -> Iterator[str]:
    """The table holds of each array the address of its object, and behind all arguments room for the arrays that are given
    back: owner, address and length of each. An array that is not as the kernel takes it is refused."""
    yield from _begun(name, results)
    fits = "true"
    for place, argument in enumerate(arguments):
        word = f"word{place}"
        if not argument.dimensions:
            yield from _loaded(_kind(argument), "%table", 8 * place, word)
            continue
        yield from _loaded("ptr", "%table", 8 * place, f"{word}.object")
        yield from _loaded("ptr", f"%{word}.object", DATA, word)
        yield from _loaded("i32", f"%{word}.object", DIMENSIONS, f"{word}.dimensions")
        yield from _loaded("i32", f"%{word}.object", FLAGS, f"{word}.flags")
        yield from _loaded("ptr", f"%{word}.object", SHAPE, f"{word}.shape")
        yield f"  %{word}.same = icmp eq i32 %{word}.dimensions, {argument.dimensions}"
        yield f"  %{word}.needed = and i32 %{word}.flags, {AS_TAKEN}"
        yield f"  %{word}.whole = icmp eq i32 %{word}.needed, {AS_TAKEN}"
        yield f"  %{word}.fits = and i1 %{word}.same, %{word}.whole"
        yield f"  %{word}.all = and i1 {fits}, %{word}.fits"
        fits = f"%{word}.all"
    yield f"  br i1 {fits}, label %taken, label %refused"
    yield "refused:"
    yield f"  ret i32 {REFUSED}"
    yield "taken:"
    given: list[str] = []
    for place, argument in enumerate(arguments):
        if not argument.dimensions:
            given.append(f"{_kind(argument)} %word{place}")
            continue
        shape = [f"%word{place}.length{axis}" for axis in range(argument.dimensions)]
        for axis in range(argument.dimensions):
            yield from _loaded("i64", f"%word{place}.shape", 8 * axis, f"word{place}.length{axis}")
        yield from _array(given, argument, f"word{place}", shape)
    yield from _called(called, given)
    for number, done in enumerate(DONE):
        yield f"  %done{number} = icmp eq i32 %status, {done}"
    yield "  %done = or i1 %done0, %done1"
    yield "  br i1 %done, label %back, label %failed"
    yield "failed:"
    yield "  ret i32 %status"
    yield "back:"
    for result in range(results):
        for number, (kind, part) in enumerate((("ptr", OWNER), ("ptr", ADDRESS), ("i64", LENGTH))):
            path = ", ".join(f"i32 {index}" for index in part)
            one = f"back{result}.{number}"
            yield f"  %{one}.in = getelementptr {ARRAY}, ptr %result, i64 {result}, {path}"
            yield f"  %{one} = load {kind}, ptr %{one}.in"
            yield f"  %{one}.out = getelementptr i64, ptr %table, i64 {len(arguments) + 3 * result + number}"
            yield f"  store {kind} %{one}, ptr %{one}.out"
    yield "  ret i32 %status"
    yield "}"


def _begun(name: str, results: int) -> Iterator[str]:
    kind = f"[{results} x {ARRAY}]" if results else "ptr"
    yield f"define i32 @{name}(ptr %table) {{"
    yield f"  %result = alloca {kind}"
    yield f"  store {kind} zeroinitializer, ptr %result"
    yield "  %error = alloca ptr"


def _called(called: str, given: Sequence[str]) -> Iterator[str]:
    yield f'  %status = call i32 @"{called}"({", ".join(["ptr %result", "ptr %error", *given])})'


def _kind(argument: Argument) -> str:
    return "double" if argument.kind == "<f8" else "i64"


def _loaded(kind: str, base: str, offset: int, name: str) -> Iterator[str]:
    yield f"  %{name}.at = getelementptr i8, ptr {base}, i64 {offset}"
    yield f"  %{name} = load {kind}, ptr %{name}.at"


def _array(given: list[str], argument: Argument, address: str, shape: Sequence[str]) -> Iterator[str]:
    """What stands for an array; it is added to what is given."""
    size = np.dtype(argument.kind).itemsize
    strides, items = [str(size)], shape[-1]
    for axis in reversed(range(argument.dimensions - 1)):
        yield f"  %{address}.stride{axis} = mul i64 {shape[axis + 1]}, {strides[0]}"
        yield f"  %{address}.items{axis} = mul i64 {items}, {shape[axis]}"
        strides, items = [f"%{address}.stride{axis}", *strides], f"%{address}.items{axis}"
    given += ["ptr null", "ptr null", f"i64 {items}", f"i64 {size}", f"ptr %{address}"]
    given += [f"i64 {number}" for number in (*shape, *strides)]
