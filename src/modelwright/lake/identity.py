"""What the log knows of an event by its id: the duplicate check, the answer that was sent, the event's values.

One LMDB value an id, so that a request costs one put. The values stay here after the event itself has moved to the
tables, because an outcome that comes months later must be joined with them.
"""

import struct
from typing import Any, NamedTuple

import msgspec

from modelwright.lake.rows import unpack
from modelwright.lake.store import KEY_BYTES, text_key

_HEAD = struct.Struct("<qqB?I")


class Known(NamedTuple):
    """An id that is in the log: its sequence number, the digest of its body and the answer sent, if any."""

    seq: int
    digest: bytes
    answer: bytes | None


class Identity(msgspec.Struct, gc=False):
    """All that is stored under an id. `packed` are the values, as msgpack; `live` events see only what came before them.

    Mutable: a writer owns those of its block, and sets the answer.
    """

    seq: int
    at_us: int
    digest: bytes
    answer: bytes | None
    packed: bytes
    live: bool

    def stored(self) -> bytes:
        """The value to put under the id's key."""
        answer = b"" if self.answer is None else b"=" + self.answer
        head = _HEAD.pack(self.seq, self.at_us, len(self.digest), self.live, len(answer))
        return head + self.digest + answer + self.packed

    def values(self) -> list[Any]:
        """The event's values in the contract's order."""
        values: list[Any] = unpack(self.packed)
        return values


def identity_of(data: Any) -> Identity:
    """What a stored value says."""
    data = bytes(data)
    seq, at_us, digest_bytes, live, answer_bytes = _HEAD.unpack_from(data)
    answer_at = _HEAD.size + digest_bytes
    values_at = answer_at + answer_bytes
    answer = data[answer_at + 1 : values_at] if answer_bytes else None
    return Identity(seq, at_us, data[_HEAD.size : answer_at], answer, data[values_at:], live)


def sequence_of(data: Any) -> int:
    """The sequence number alone."""
    seq: int = _HEAD.unpack_from(data)[0]
    return seq


def place_of(data: Any) -> tuple[int, int]:
    """The sequence number and the time alone, in microseconds."""
    seq, at_us = _HEAD.unpack_from(data)[:2]
    return seq, at_us


def id_key(id: str, event: str | None = None) -> bytes:
    """The key of an id; another event's ids have a name space of their own, behind a byte that no text begins with."""
    if event is None:
        return text_key(id)
    return b"\xfe" + text_key(f"{event}\0{id}", KEY_BYTES - 1)
