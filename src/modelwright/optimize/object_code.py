"""Kernels as an object file for any x86-64 processor: `python -m modelwright.optimize.object_code machine|history` writes those
that a compiled release calls, or those of single reads of history, to its output.

numba is told a processor when it is imported, and keeps what it has compiled; so this runs in a process of its own, which
`image.py` starts. Beside each kernel stands an entry of its name, which reads the arguments from a table.

A release's kernels are compiled without numba's run time: they allocate nothing and raise nothing. Those of history keep states
that grow: `RUN_TIME` gives them memory of the C library's. Of what they could raise they say only that they did.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core.callconv import CPUCallConv

from modelwright.core.machine_code import Argument
from modelwright.features import image as history
from modelwright.features.image import RELEASE
from modelwright.optimize.entries import by_address, by_object
from modelwright.release.compiled import kernels as release

PROCESSOR: Final = "x86-64"
OPTIMISED: Final = 3
RUN_TIME: Final = f"""
@PyExc_RuntimeError = constant ptr null
declare noalias ptr @malloc(i64)
declare void @free(ptr)
declare double @ldexp(double, i32)
declare void @NRT_decref(ptr)
define noalias ptr @NRT_Allocate(i64 %size) {{
  %memory = call ptr @malloc(i64 %size)
  ret ptr %memory
}}
define void @NRT_Free(ptr %memory) {{
  call void @free(ptr %memory)
  ret void
}}
define noalias ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %alignment) {{
  %wide = zext i32 %alignment to i64
  %mask = sub i64 %wide, 1
  %head = add i64 %mask, 48
  %whole = add i64 %head, %size
  %owner = call ptr @malloc(i64 %whole)
  %none = icmp eq ptr %owner, null
  br i1 %none, label %done, label %filled
filled:
  %address = ptrtoint ptr %owner to i64
  %above = add i64 %address, %head
  %not = xor i64 %mask, -1
  %aligned = and i64 %above, %not
  %data = inttoptr i64 %aligned to ptr
  call void @llvm.memset.p0.i64(ptr %owner, i8 0, i64 48, i1 false)
  store i64 1, ptr %owner
  %at = getelementptr i8, ptr %owner, i64 24
  store ptr %data, ptr %at
  %behind = getelementptr i8, ptr %owner, i64 32
  store i64 %size, ptr %behind
  br label %done
done:
  ret ptr %owner
}}
define noalias ptr @NRT_MemInfo_alloc(i64 %size) {{
  %owner = call ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 16)
  ret ptr %owner
}}
define void @NRT_MemInfo_call_dtor(ptr %owner) {{
  call void @free(ptr %owner)
  ret void
}}
define double @numba_ldexp(double %x, i32 %power) {{
  %said = call double @ldexp(double %x, i32 %power)
  ret double %said
}}
define void @PyErr_SetString(ptr %kind, ptr %text) {{
  ret void
}}
define i32 @{RELEASE}(ptr %table) {{
  %owner = load ptr, ptr %table
  call void @NRT_decref(ptr %owner)
  ret i32 0
}}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""
"""numba's run time as far as these kernels need it: an owner is a count, no destructor, and where the memory is and how much
(`MemInfo` in numba's nrt_external.h)."""
RAISED: Final = re.compile(r"(@\.const\.picklebuf\.\S+ = internal constant )(\{ ptr, i32, ptr, ptr, i32 \}) \{.*\}")
NOTHING: Final = r"\1\2 zeroinitializer"
"""What numba would make an exception of holds addresses, which flat code cannot; instead of it there is nothing."""


def object_code(what: str) -> bytes:
    """An ELF object with one entry a kernel."""
    with _placeless():
        module, *others = _of_release() if what == "machine" else _of_history()
    for other in others:
        module.link_in(other)
    entries = {*release.KERNELS, *history.KERNELS, RELEASE}
    for one in (*module.functions, *module.global_variables):
        if not one.is_declaration:
            one.linkage = "external" if one.name in entries else "internal"
    machine = llvm.Target.from_triple(module.triple).create_target_machine(
        PROCESSOR, "", OPTIMISED, reloc="pic", codemodel="small"
    )
    options = llvm.create_pipeline_tuning_options(OPTIMISED)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


@contextmanager
def _placeless() -> Iterator[None]:
    """What numba raises says in which file: code would differ by the path of the environment that it was made in, and tell it."""
    build = CPUCallConv.build_excinfo_struct

    def without_place(self: CPUCallConv, kind: type, arguments: Any, place: Any, name: Any) -> Any:
        return build(self, kind, arguments, None, name)

    CPUCallConv.build_excinfo_struct = without_place
    try:
        yield
    finally:
        CPUCallConv.build_excinfo_struct = build


def _of_release() -> Iterator[llvm.ModuleRef]:
    for name, arguments in release.KERNELS.items():
        called, text = _compiled(release.function(name), arguments, _nrt=False)
        yield _part(text, by_address(name, called, arguments))


def _of_history() -> Iterator[llvm.ModuleRef]:
    here = history.CompiledHere()
    for name, (arguments, results) in history.KERNELS.items():
        given_back = [_type(argument) for argument, _ in results]
        called, text = _compiled(getattr(here, name), arguments, given_back)
        yield _part(text, by_object(name, called, arguments, len(results)))
    yield llvm.parse_assembly(RUN_TIME)


def _compiled(
    kernel: Any, arguments: Sequence[Argument], results: Sequence[Any] = (), **options: bool
) -> tuple[str, str]:
    """What LLVM calls it, and it and what it calls in LLVM's words."""
    one = results[0] if results else numba.void
    signature = (numba.types.UniTuple(one, len(results)) if len(results) > 1 else one)(*map(_type, arguments))
    (compiled,) = numba.njit(signature, nogil=True, error_model="numpy", **options)(kernel.py_func).overloads.values()
    return compiled.fndesc.llvm_func_name, compiled.library.get_llvm_str()


def _part(text: str, entry: Iterable[str]) -> llvm.ModuleRef:
    lines = "\n".join(entry)
    return llvm.parse_assembly(f"{RAISED.sub(NOTHING, text)}\n{lines}\n")


def _type(argument: Argument) -> numba.types.Type:
    kind = numba.from_dtype(np.dtype(argument.kind))
    return numba.types.Array(kind, argument.dimensions, "C") if argument.dimensions else kind


if __name__ == "__main__":
    sys.stdout.buffer.write(object_code(sys.argv[1]))
