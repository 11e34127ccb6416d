"""Rows placed by key and, within each key, by (time, sequence): the offline host's sort, once a plan.

A counting sort by key, then each key alone, which its rows mostly fit a cache for: by insertion where they are few, else
by the bytes of their times. Keys whose rows come in order, as a log's do, are only looked at. Every step is stable.
"""

from typing import Final

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, Places, compiled

FEW: Final = 40
"""Rows of a key up to which insertion is quicker than counting bytes."""
BYTE: Final = 256


@compiled
def starts_of(key: Places, keys: int) -> Ints:
    """Where each key's rows start, and the end; rows of key -1 are left out."""
    starts = np.zeros(keys + 1, np.int64)
    for i in range(len(key)):
        if key[i] >= 0:
            starts[key[i] + 1] += 1
    for g in range(keys):
        starts[g + 1] += starts[g]
    return starts


@compiled
def place(key: Places, at: Ints, order: Ints, starts: Ints, first: int, end: int, rows: Places, times: Ints) -> None:
    """Write the row numbers and the times of the keys `first <= key < end`, sorted.

    `order` holds all row numbers by sequence, or nothing where they stand so already.
    """
    free = starts[first:end].copy()
    largest = 0
    for g in range(first, end):
        largest = max(largest, starts[g + 1] - starts[g])
    for j in range(len(key)):
        i = order[j] if len(order) > 0 else j
        if first <= key[i] < end:
            to = free[key[i] - first]
            rows[to] = i
            times[to] = at[i]
            free[key[i] - first] = to + 1
    other_rows = np.empty(largest, np.int32)
    other_times = np.empty(largest, np.int64)
    for g in range(first, end):
        a, b = starts[g], starts[g + 1]
        _sort(times[a:b], rows[a:b], other_times, other_rows)


@compiled
def _sort(times: Ints, rows: Places, other_times: Ints, other_rows: Places) -> None:
    """Sort one key's rows by time; the others are room to work in."""
    n = len(times)
    lowest = highest = times[0] if n > 0 else 0
    falls = False
    for i in range(1, n):
        falls |= times[i] < times[i - 1]
        lowest, highest = min(lowest, times[i]), max(highest, times[i])
    if not falls:
        return
    if n <= FEW:
        for i in range(1, n):
            time, row, j = times[i], rows[i], i
            while j > 0 and times[j - 1] > time:
                times[j], rows[j] = times[j - 1], rows[j - 1]
                j -= 1
            times[j], rows[j] = time, row
        return
    here_times, here_rows, there_times, there_rows = times, rows, other_times[:n], other_rows[:n]
    moved = False
    shift = 0
    free = np.empty(BYTE, np.int64)
    while shift < 64 and ((highest - lowest) >> shift) > 0:
        free[:] = 0
        for i in range(n):
            free[((here_times[i] - lowest) >> shift) & (BYTE - 1)] += 1
        before = 0
        for byte in range(BYTE):
            free[byte], before = before, before + free[byte]
        for i in range(n):
            byte = ((here_times[i] - lowest) >> shift) & (BYTE - 1)
            to = free[byte]
            there_times[to], there_rows[to] = here_times[i], here_rows[i]
            free[byte] = to + 1
        here_times, there_times = there_times, here_times
        here_rows, there_rows = there_rows, here_rows
        moved = not moved
        shift += 8
    if moved:
        times[:] = here_times
        rows[:] = here_rows


@compiled
def gather(values: Floats, rows: Places, sorted_values: Floats) -> None:
    """The values of the rows, in their order."""
    for i in range(len(rows)):
        sorted_values[i] = values[rows[i]]


@compiled
def gather_marks(values: Marks, rows: Places, sorted_values: Marks) -> None:
    """The same of a mask."""
    for i in range(len(rows)):
        sorted_values[i] = values[rows[i]]


@compiled
def scatter(answers: Floats, rows: Places, out: Floats) -> None:
    """Give each row its answer; the others keep theirs."""
    for i in range(len(rows)):
        out[rows[i]] = answers[i]
