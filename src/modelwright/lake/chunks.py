"""Chunks: a key's rows of fixed size, a page's worth together under one LMDB key, each with its checksum.

`lake/history.py` says which rows belong to which key; this file packs, extends, reads and checks them. A chunk's head
is its CRC-32 and the number of its rows; the checksum is carried on as rows are added, never recomputed from what is
stored, so that damage done before stays visible.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from modelwright.core.canonical import sha256_hex
from modelwright.lake.store import KEY_BYTES

PAGE_BYTES = 4_080
"""A chunk with its head fills one overflow page of LMDB, whose own head takes 16 bytes."""

EVENTS, OUTCOMES = b"e", b"o"
_HEAD = struct.Struct("<II")
_PREFIX = struct.Struct(">cHH")
_NUMBER = struct.Struct(">I")
_HASHED = 0xFFFF
_ROOM = KEY_BYTES - _PREFIX.size - _NUMBER.size


class DamagedChunkError(Exception):
    """A chunk whose content does not give its checksum; `lake/history.py` says what to do about it."""


def prefix(series: bytes, number: int, key: bytes) -> bytes:
    """The beginning of the LMDB keys of one key's chunks in one view; no prefix is the beginning of another."""
    if len(key) > _ROOM:
        return _PREFIX.pack(series, number, _HASHED) + bytes.fromhex(sha256_hex(key))
    return _PREFIX.pack(series, number, len(key)) + key


def parts(start: bytes) -> tuple[bytes, int, bytes]:
    """What a prefix was made of: the series, the view's number, and the key or its hash."""
    series, number, _ = _PREFIX.unpack_from(start)
    return series, number, start[_PREFIX.size :]


def extend(cursor: Any, start: bytes, rows: bytes, row_bytes: int) -> None:
    """Add rows (a whole number of them) to the key's last chunk, and to new chunks when it is full."""
    capacity = max(1, (PAGE_BYTES - _HEAD.size) // row_bytes)
    number, held, crc, body = 0, 0, 0, b""
    last = start + b"\xff\xff\xff\xff"
    if (cursor.prev() if cursor.set_range(last) else cursor.last()) and cursor.key().startswith(start):
        number = _NUMBER.unpack(cursor.key()[len(start) :])[0]
        value = cursor.value()
        body = value[_HEAD.size :]
        if len(value) < _HEAD.size or len(body) != _HEAD.unpack_from(value)[1] * row_bytes:
            held = capacity  # damaged: what is added must not stand behind it in its own chunk
        else:
            crc, held = _HEAD.unpack_from(value)
    offset = 0
    while offset < len(rows):
        if held >= capacity:
            number, held, crc, body = number + 1, 0, 0, b""
        part = rows[offset : offset + (capacity - held) * row_bytes]
        offset += len(part)
        held += len(part) // row_bytes
        crc = zlib.crc32(part, crc)
        cursor.put(start + _NUMBER.pack(number), _HEAD.pack(crc, held) + body + part)


def read(cursor: Any, start: bytes, row_bytes: int) -> bytearray:
    """All rows of a key, in order of arrival. Raises `DamagedChunkError`."""
    rows = bytearray()
    more, number = cursor.set_range(start), 0
    while more and cursor.key()[: len(start)] == start:
        value = cursor.value()
        if not _sound(value, row_bytes) or cursor.key()[len(start) :] != _NUMBER.pack(number):
            raise DamagedChunkError(f"chunk {number}")
        rows += value[_HEAD.size :]
        more, number = cursor.next(), number + 1
    return rows


def delete(cursor: Any, start: bytes) -> None:
    """Delete a key's chunks."""
    more = cursor.set_range(start)
    while more and cursor.key()[: len(start)] == start:
        cursor.delete()
        more = bool(cursor.key())


def damaged(txn: Any, db: Any, row_bytes: Callable[[bytes], int]) -> Iterator[tuple[bytes, int]]:
    """Every damaged chunk, or one before which another is missing: the prefix of its key, and its number."""
    before, expected = b"", 0
    with txn.cursor(db=db) as cursor:
        for key, value in cursor:
            start, number = bytes(key[: -_NUMBER.size]), _NUMBER.unpack(key[-_NUMBER.size :])[0]
            expected = expected + 1 if start == before else 0
            if number != expected or not _sound(value, row_bytes(start)):
                yield start, number
            before, expected = start, number


def _sound(value: Any, row_bytes: int) -> bool:
    if len(value) < _HEAD.size:
        return False
    crc, held = _HEAD.unpack_from(value)
    body = value[_HEAD.size :]
    return bool(len(body) == held * row_bytes and zlib.crc32(body) == crc)
