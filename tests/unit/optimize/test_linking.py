"""An object file becomes flat code that runs where it is put, or is refused with the reason."""

import ctypes
import math
import re
import struct

import pytest

from modelwright.core.machine_code import FUNCTIONS, Code, Header, fits_machine
from modelwright.optimize.linking import NotFlat, linked

llvm = pytest.importorskip("llvmlite.binding")

PURE = """
define void @run(ptr %table) {
  %x = load double, ptr %table
  %doubled = fmul double %x, 1.23456789e+10
  %said = call double @exp(double %doubled)
  %at = getelementptr double, ptr %table, i64 1
  store double %said, ptr %at
  ret void
}
declare double @exp(double)
"""
CHOOSING = """
@lengths = internal constant [5 x double] [double 2.5, double 3.5, double 7.25, double 1.0, double 9.0]
define void @run(ptr %table) {
  %x = load i64, ptr %table
  %said = call double @inner(i64 %x)
  %at = getelementptr double, ptr %table, i64 1
  store double %said, ptr %at
  ret void
}
define internal double @inner(i64 %x) noinline {
  switch i64 %x, label %other [ i64 0, label %a i64 1, label %b i64 2, label %c i64 3, label %d i64 4, label %e ]
a:
  %e0 = call double @exp(double 1.0)
  ret double %e0
b:
  %e1 = call double @log1p(double 1.0)
  ret double %e1
c:
  %e2 = call double @expm1(double 1.0)
  ret double %e2
d:
  %e3 = call double @log(double 3.0)
  ret double %e3
e:
  %length = getelementptr double, ptr @lengths, i64 2
  %found = load volatile double, ptr %length
  ret double %found
other:
  ret double -1.0
}
declare double @exp(double)
declare double @log(double)
declare double @log1p(double)
declare double @expm1(double)
"""


def object_of(text, model="small", reloc="pic"):
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple("x86_64-unknown-linux-gnu")
    module = llvm.parse_assembly(f'target triple = "x86_64-unknown-linux-gnu"\n{text}')
    return target.create_target_machine("x86-64", "", 0, reloc=reloc, codemodel=model).emit_object(module)


@pytest.fixture
def called():
    """Maps an object's code and calls its entry with a table of two words; gives the second as a number."""
    if not fits_machine():
        pytest.skip("images are made for Linux on x86-64")

    def call(data, first):
        flat = linked(data, ["run"], FUNCTIONS)
        header = Header(sources="", size=len(flat.code), entries=flat.entries, slots=flat.slots)
        image = Code(header, bytes(flat.code))
        table = ctypes.create_string_buffer(first + bytes(8))
        image.entry("run")(ctypes.addressof(table))
        return struct.unpack_from("<d", table, 8)[0]

    return call


def test_constants_and_outer_functions_are_found_from_wherever_it_is_put(called):
    assert called(object_of(PURE), struct.pack("<d", 1e-10)) == math.exp(1e-10 * 1.23456789e10)


def test_a_function_that_is_called_through_the_table_of_addresses_is_found(called):
    data = object_of(PURE.replace("declare double @exp(double)", "declare double @exp(double) nonlazybind"))
    assert called(data, struct.pack("<d", 0.0)) == 1.0


def test_jumps_by_a_table_and_inner_functions_are_resolved(called):
    wanted = [math.exp(1), math.log1p(1), math.expm1(1), math.log(3), 7.25, -1.0]
    assert [called(object_of(CHOOSING), struct.pack("<q", number)) for number in range(6)] == wanted


REFUSED = {
    "calls puts, which a release may not": PURE.replace("@exp(", "@puts("),
    "writes to a .data": PURE.replace("%x = load", "store i64 5, ptr @own\n  %x = load") + "@own = global i64 7",
    "writes to a .bss": PURE.replace("%x = load", "store i64 5, ptr @own\n  %x = load") + "@own = global i64 0",
    "writes to a .data.rel.ro": PURE + "@where = constant [1 x ptr] [ptr @run]",
    "without run": PURE.replace("@run(", "@walk("),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_has_no_flat_form_is_refused_with_the_reason(reason):
    with pytest.raises(NotFlat, match=re.escape(reason)):
        linked(object_of(REFUSED[reason]), ["run"], FUNCTIONS)


def test_code_for_a_fixed_place_is_refused():
    with pytest.raises(NotFlat, match="a relocation of type"):
        linked(object_of(PURE, "large", "static"), ["run"], FUNCTIONS)


def test_what_is_no_object_for_such_a_machine_is_refused():
    arm = bytearray(object_of(PURE))
    arm[18:20] = struct.pack("<H", 183)
    for data in (b"", b"MZ", bytes(arm)):
        with pytest.raises(NotFlat, match="an object file of ELF for x86-64 was expected"):
            linked(data, ["run"], FUNCTIONS)
