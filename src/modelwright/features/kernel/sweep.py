"""The offline host's loop: one aggregate over the sorted rows and sorted requests of a share of the keys, on one thread.

Windows are found once for all aggregates that share them. Aggregates that several windows can be read from at once have
kernels of their own (`prefix`, `links`, `peaks`); what comes here is every other, and each key some of whose
requests do not see all rows.
"""

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.dispatch import apply, made
from modelwright.features.kernel.operations import SEES_ALL
from modelwright.features.kernel.state import restart
from modelwright.features.kernel.visible import hide, highest_so_far, successors
from modelwright.features.kernel.window import newest, windows


@compiled
def frame(
    times: Ints, starts: Ints, at: Ints, request_starts: Ints, over: int, step: int, inclusive: bool, first: int,
    end: int, lo: Ints, hi: Ints,
) -> None:  # fmt: skip
    """The windows of the requests of the keys `first <= g < end`, counted from their key's first row; `step` 0 is none."""
    for g in range(first, end):
        c, d = request_starts[g], request_starts[g + 1]
        if c < d:
            windows(times[starts[g] : starts[g + 1]], at[c:d], over, step, inclusive, lo[c:d], hi[c:d])


@compiled
def seen_whole(
    seq: Ints, event: Ints, starts: Ints, limit: Ints, request_starts: Ints, hi: Ints, first: int, end: int,
    whole: Marks,
) -> None:  # fmt: skip
    """Set `whole` to 0 for each key some of whose requests do not see all rows of their windows."""
    for g in range(first, end):
        a, b, c, d = starts[g], starts[g + 1], request_starts[g], request_starts[g + 1]
        if c == d:
            continue
        corrected = len(event) > 0 and len(successors(event[a:b], np.empty(b - a, np.int64))) > 0
        whole[g] = not corrected and _all_seen(seq[a:b], hi[c:d], limit[c:d])


@compiled
def cut(request_starts: Ints, most: int, first: int, end: int, whole: Marks, lo: Ints, hi: Ints) -> None:
    """Let the windows of keys that are `whole` begin at their newest `most` rows."""
    for g in range(first, end):
        if whole[g]:
            c, d = request_starts[g], request_starts[g + 1]
            _cut(lo[c:d], hi[c:d], most)


@compiled
def _cut(lo: Ints, hi: Ints, most: int) -> None:
    if most > 0:
        for r in range(len(lo)):
            lo[r] = max(lo[r], hi[r] - most)


@compiled
def sweep(
    op: int, parameter: float, most: int, parts_only: bool, times: Ints, values: Floats, mask: Marks, seq: Ints, event: Ints,
    starts: Ints, at: Ints, limit: Ints, request_starts: Ints, first: int, end: int, whole: Marks, lo: Ints, hi: Ints,
    out: Floats,
) -> None:  # fmt: skip
    """Answer all requests of the keys `first <= g < end`, or with `parts_only` of those that are not `whole`.

    Rows of key g are `starts[g] : starts[g + 1]`, sorted by (time, sequence); its requests likewise, by time. `event`
    is an outcome's event, or empty; `limit` is the sequence number a live request was served at, else `SEES_ALL`. `lo`
    and `hi` are each request's window, counted from its key's first row, and cut to `most` rows (0: not) where the key is
    whole. `seq` is not read of keys that are whole.
    """
    nothing = np.empty(0, np.int64)
    begin = len(nothing)  # 0; as a literal it would be a type of its own, and everything compiled twice
    state = made(op, parameter)
    for g in range(first, end):
        a, b = starts[g], starts[g + 1]
        c, d = request_starts[g], request_starts[g + 1]
        if c == d or (parts_only and whole[g]):
            continue
        values_of_key = values[a:b] if len(values) > 0 else values
        if whole[g]:
            restart(state)
            state = apply(
                op, state, times[a:b], values_of_key, mask[a:b], begin, lo[c:d], hi[c:d], at[c:d], parameter, out[c:d]
            )
        else:
            following = corrected = nothing
            if len(event) > 0:
                following = np.empty(b - a, np.int64)
                corrected = successors(event[a:b], following)
            state = _part_seen(
                op, state, begin, times[a:b], values_of_key, mask[a:b], seq[a:b], following, corrected, lo[c:d], hi[c:d],
                at[c:d], parameter, most, limit[c:d], out[c:d],
            )  # fmt: skip


@compiled
def _all_seen(seq: Ints, hi: Ints, limit: Ints) -> bool:
    highest = np.int64(np.iinfo(np.int64).min)
    i = 0
    for r in range(len(hi)):
        while i < hi[r]:
            highest = max(highest, seq[i])
            i += 1
        if i > 0 and highest >= limit[r]:
            return False
    return True


@compiled
def _part_seen(
    op: int, state: Ints, first: int, times: Ints, values: Floats, mask: Marks, seq: Ints, following: Ints,
    corrected: Ints, lo: Ints, hi: Ints, at: Ints, parameter: float, most: int, limit: Ints, out: Floats,
) -> Ints:  # fmt: skip
    """One key some of whose requests do not see every row.

    Requests that see all of their window are answered together, as for any key. Of the others, those that are not live
    are answered together for as long as no further correction comes, live ones one by one.
    """
    n = len(times)
    corrections = np.zeros(n + 1, np.int64)
    for i in corrected:
        corrections[following[i] + 1] = 1
    for i in range(n):
        corrections[i + 1] += corrections[i]
    highest = highest_so_far(seq)
    seen = mask.copy()
    hidden = np.empty(n, np.int64)
    shown = np.ones(n, np.uint8)
    requests = len(lo)
    whole = np.empty(requests, np.int64)
    wholes = 0
    r = 0
    while r < requests:
        hiding = hide(seen, seq, highest, following, corrected, lo[r], hi[r], limit[r], hidden)
        e = r + 1
        if hiding == 0:
            whole[wholes] = r
            wholes += 1
        else:
            while (
                limit[r] == SEES_ALL and e < requests and limit[e] == SEES_ALL
                and corrections[hi[e]] == corrections[hi[r]]
            ):  # fmt: skip
                e += 1
            if most > 0:
                shown[hidden[:hiding]] = 0
                for q in range(r, e):
                    lo[q] = newest(shown, lo[q], hi[q], most)
                shown[hidden[:hiding]] = 1
            restart(state)
            state = apply(op, state, times, values, seen, first, lo[r:e], hi[r:e], at[r:e], parameter, out[r:e])
            for i in hidden[:hiding]:
                seen[i] = mask[i]
        r = e
    if wholes > 0:
        chosen = whole[:wholes]
        answers = np.empty(wholes, np.float64)
        whole_lo, whole_hi = lo[chosen], hi[chosen]
        _cut(whole_lo, whole_hi, most)
        restart(state)
        state = apply(op, state, times, values, mask, first, whole_lo, whole_hi, at[chosen], parameter, answers)
        out[chosen] = answers
    return state
