"""How a row without an id is known, and when two bodies are the same.

Both are answered by the canonical form of a row: the JSON of its values in the contract's order, times as
microseconds. Files and live requests share it, so that an event sent twice, by whatever way, counts once.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()


def row_digest(values: Sequence[Any]) -> bytes:
    """16 bytes that stand for the body of an event; `values` in the contract's order, times as integer microseconds.

    >>> row_digest(["a", 1.5]) == row_digest(("a", 1.5))
    True
    """
    return hashlib.sha256(_ENCODER.encode(values)).digest()[:16]


def occurrence_ids(digests: Iterable[bytes], seen: dict[bytes, int]) -> list[str]:
    """Ids of rows that bring none: the digest and, from the second equal row of a file on, its occurrence number.

    `seen` counts the occurrences so far and is updated; begin every file with an empty one.
    """
    ids = []
    for digest in digests:
        occurrence = seen.get(digest, 0)
        seen[digest] = occurrence + 1
        ids.append(digest.hex() if occurrence == 0 else f"{digest.hex()}-{occurrence + 1}")
    return ids
