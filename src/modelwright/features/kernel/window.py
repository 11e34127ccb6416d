"""Where a window begins and ends, for every host: its far edge in time, its rows, and at most so many of them.

A window of a request at *t* holds the rows from `far_edge` up to *t*. With `step` the edge stands at a whole step from
the epoch, so that rows leave the window a step at a time; with `most` the window is its newest rows, so many of those
that the request sees, whatever any condition says of them.
"""

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled


@compiled
def far_edge(at: int, over: int, step: int) -> int:
    """The first instant of the window; `step` 0 is none."""
    edge = at - over
    return edge - edge % step if step > 0 else edge


@compiled
def windows(times: Ints, at: Ints, over: int, step: int, inclusive: bool, lo: Ints, hi: Ints) -> None:
    """Windows of one key: `far_edge <= time < at`, or `<= at` if inclusive; over 0 is all history."""
    left = right = 0
    n = len(times)
    for r in range(len(at)):
        while right < n and (times[right] < at[r] or (inclusive and times[right] == at[r])):
            right += 1
        if over > 0:
            edge = far_edge(at[r], over, step)
            while left < n and times[left] < edge:
                left += 1
        lo[r] = left
        hi[r] = right


@compiled
def newest(shown: Marks, lo: int, hi: int, most: int) -> int:
    """Where the newest `most` rows of `lo <= i < hi` begin, of those that are shown."""
    i = hi
    while i > lo and most > 0:
        i -= 1
        most -= shown[i]
    return i


@compiled
def per_second(at: Ints, over: int, step: int, out: Floats) -> None:
    """Turn counts into rates over the length of each window."""
    for r in range(len(out)):
        out[r] /= (at[r] - far_edge(at[r], over, step)) / 1e6
