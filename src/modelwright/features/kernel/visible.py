"""Which rows of a window a request does not see: those that came after it, and outcomes that were corrected; and which
came too late to count for any request.

A hidden row is one whose mask is 0, so the kernels need not know of any of this. Hosts call it only for keys that have
late rows or corrections.
"""

from typing import Final

import numpy as np

from modelwright.features.kernel.compiled import Ints, Marks, Places, compiled
from modelwright.features.kernel.operations import SEES_ALL

LONG_AGO: Final = -(2**62)


@compiled
def successors(event: Ints, following: Ints) -> Ints:
    """Indices, rising, of the rows that were corrected later; `following[i]` is the next row of i's event, or the end.

    `event` holds each row's event; rows are one key's outcomes by (known, sequence).
    """
    n = len(event)
    order = np.argsort(event, kind="mergesort")
    corrected = 0
    for i in range(n):
        following[order[i]] = n
        if i > 0 and event[order[i]] == event[order[i - 1]]:
            following[order[i - 1]] = order[i]
            corrected += 1
    indices = np.empty(corrected, np.int64)
    if corrected:
        found = 0
        for i in range(n):
            if following[i] < n:
                indices[found] = i
                found += 1
    return indices


@compiled
def too_late(times: Ints, live: Marks, key: Places, keys: int, order: Ints, lateness: int) -> Marks:
    """1 for each live row that is more than `lateness` older than the newest row of its key before it in `order`, the
    order of sequence numbers. Such a row is no row: nothing is measured against it.
    """
    late = np.zeros(len(times), np.uint8)
    newest = np.full(keys, LONG_AGO)
    for i in order:
        if key[i] < 0:
            continue
        if live[i] and times[i] < newest[key[i]] - lateness:
            late[i] = 1
        else:
            newest[key[i]] = max(newest[key[i]], times[i])
    return late


@compiled
def highest_so_far(seq: Ints) -> Ints:
    """The running maximum of the sequence numbers."""
    highest = seq.copy()
    for i in range(1, len(seq)):
        highest[i] = max(highest[i], highest[i - 1])
    return highest


@compiled
def hide(
    mask: Marks, seq: Ints, highest: Ints, following: Ints, corrected: Ints, start: int, end: int, limit: int,
    hidden: Ints,
) -> int:  # fmt: skip
    """Set the mask of the rows of `start <= i < end` that a request with this limit does not see to 0.

    Writes their indices to `hidden` and returns how many. Looks back only as far as `highest`, the running maximum of
    `seq`, says that rows of the limit or above may stand.
    """
    n = 0
    if limit != SEES_ALL:
        i = end - 1
        while i >= start and highest[i] >= limit:
            if seq[i] >= limit:
                hidden[n] = i
                n += 1
                mask[i] = 0
            i -= 1
    for c in range(np.searchsorted(corrected, start), len(corrected)):
        i = corrected[c]
        if i >= end:
            break
        later = following[i] if seq[i] < limit else end
        while later < end and seq[later] >= limit:
            later = following[later]
        if later < end:
            hidden[n] = i
            n += 1
            mask[i] = 0
    return n
