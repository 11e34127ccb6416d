"""From an object file to a flat piece of code: sections side by side, distances resolved, slots for what it calls.

Reads what LLVM writes for ELF on x86-64, position-independent and with nothing to write to. What is called of the C library goes
through a stub that jumps to the address in a slot of its own. Whatever else would need the address it is loaded to is refused:
then it would not be flat.

System V ABI, AMD64 supplement, chapter 4, https://gitlab.com/x86-psABIs/x86-64-ABI
"""

import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, NamedTuple

SYMBOLS, RELOCATIONS = 2, 4
WRITABLE, LOADED = 1, 2
TO_FUNCTION: Final = frozenset({2, 4})
"""R_X86_64_PC32 and PLT32: the distance to what it names."""
TO_SLOT: Final = frozenset({9, 41, 42})
"""R_X86_64_GOTPCREL and its relaxable forms: the distance to where the address of what it names stands."""
UNWINDING: Final = ".eh_frame"
"""For debuggers and C++: nothing throws here."""
JUMP: Final = b"\xff\x25"
"""jmp *distance(%rip)"""


class NotFlat(Exception):
    """Why machine code has no flat form."""


class _Section(NamedTuple):
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


class _Symbol(NamedTuple):
    name: str
    section: int
    value: int


@dataclass
class Linked:
    """Flat code. `entries`: where its functions begin; `slots`: where addresses of outer functions are to be written."""

    code: bytearray = field(default_factory=bytearray)
    entries: dict[str, int] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)


def linked(data: bytes, entries: Collection[str], functions: Collection[str]) -> Linked:
    """An object file's code, with the places of those entries; it may call those functions.

    Raises `NotFlat` for an object that cannot be made flat, or calls anything else.
    """
    sections = _sections(data)
    flat = Linked()
    begins: dict[int, int] = {}
    for number, section in enumerate(sections):
        if section.flags & LOADED and section.name != UNWINDING and section.size:
            if section.flags & WRITABLE:
                raise NotFlat(f"machine code that writes to a {section.name} of its own has no flat form")
            _align(flat.code, section.alignment)
            begins[number] = len(flat.code)
            flat.code += data[section.offset : section.offset + section.size]
    symbols = _symbols(data, sections)
    stubs = _stubs(flat, {one.name for one in symbols if one.name and not one.section}, functions)
    for section in sections:
        if section.kind == RELOCATIONS and section.info in begins:
            for offset, information, addend in struct.iter_unpack("<QQq", _bytes(data, section)):
                symbol, kind = symbols[information >> 32], information & 0xFFFFFFFF
                target = _target(symbol, kind, begins, stubs, flat.slots)
                place = begins[section.info] + offset
                struct.pack_into("<i", flat.code, place, target + addend - place)
    flat.entries = {one.name: begins[one.section] + one.value for one in symbols if one.name in entries}
    if missing := set(entries) - flat.entries.keys():
        raise NotFlat(f"machine code without {', '.join(sorted(missing))}")
    return flat


def _target(
    symbol: _Symbol, kind: int, begins: dict[int, int], stubs: dict[str, int], slots: dict[str, int]
) -> int:  # fmt: skip
    if symbol.section in begins and kind in TO_FUNCTION:
        return begins[symbol.section] + symbol.value
    if not symbol.section and kind in TO_FUNCTION:
        return stubs[symbol.name]
    if not symbol.section and kind in TO_SLOT:
        return slots[symbol.name]
    raise NotFlat(f"machine code with a relocation of type {kind} to {symbol.name!r} has no flat form")


def _stubs(flat: Linked, called: Collection[str], functions: Collection[str]) -> dict[str, int]:
    """Append a stub and a slot for every outer function; where the stubs are."""
    if others := set(called) - set(functions):
        raise NotFlat(f"machine code calls {', '.join(sorted(others))}, which a release may not")
    names = sorted(called)
    _align(flat.code, 8)
    begin = len(flat.code)
    slots = begin + 8 * len(names)
    for number in range(len(names)):
        stub, slot = begin + 8 * number, slots + 8 * number
        flat.code += JUMP + struct.pack("<i", slot - (stub + 6)) + bytes(2)
    flat.code += bytes(8 * len(names))
    flat.slots = {name: slots + 8 * number for number, name in enumerate(names)}
    return {name: begin + 8 * number for number, name in enumerate(names)}


def _align(code: bytearray, alignment: int) -> None:
    code += bytes(-len(code) % max(1, alignment))


def _sections(data: bytes) -> list[_Section]:
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", data, 16) != (1, 62):
        raise NotFlat("an object file of ELF for x86-64 was expected")
    (first,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    raw = [struct.unpack_from("<IIQQQQIIQQ", data, first + size * number) for number in range(count)]
    texts = raw[names][4]
    return [
        _Section(_text(data, texts + name), kind, flags, offset, length, link, info, alignment)
        for name, kind, flags, _, offset, length, link, info, alignment, _ in raw
    ]


def _symbols(data: bytes, sections: list[_Section]) -> list[_Symbol]:
    table = next(section for section in sections if section.kind == SYMBOLS)
    texts = sections[table.link].offset
    return [
        _Symbol(_text(data, texts + name), section, value)
        for name, _, _, section, value, _ in struct.iter_unpack("<IBBHQQ", _bytes(data, table))
    ]


def _bytes(data: bytes, section: _Section) -> bytes:
    return data[section.offset : section.offset + section.size]


def _text(data: bytes, begin: int) -> str:
    return data[begin : data.index(b"\0", begin)].decode()
