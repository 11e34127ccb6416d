"""MurmurHash3, 32 bits, seed 0: the hash that scikit-learn's hashing vectorizer takes. Written from its author's definition.

Austin Appleby, MurmurHash3_x86_32, https://github.com/aappleby/smhasher (public domain).
"""

from typing import Final

_ALL: Final = 0xFFFFFFFF


def murmur32(data: bytes) -> int:
    """The hash as a signed number.

    >>> murmur32(b""), murmur32(b"the"), murmur32("größe".encode())
    (0, -1132748958, -472672705)
    """
    state = 0
    whole = len(data) & ~3
    for place in range(0, whole, 4):
        state ^= _mixed(int.from_bytes(data[place : place + 4], "little"))
        state = ((state << 13 | state >> 19) * 5 + 0xE6546B64) & _ALL
    if whole < len(data):
        state ^= _mixed(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & _ALL
    state = (state ^ state >> 13) * 0xC2B2AE35 & _ALL
    state ^= state >> 16
    return state - (1 << 32) if state >> 31 else state


def _mixed(block: int) -> int:
    block = block * 0xCC9E2D51 & _ALL
    return (block << 15 | block >> 17) * 0x1B873593 & _ALL
