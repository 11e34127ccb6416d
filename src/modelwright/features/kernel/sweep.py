"""The offline host's loop: one aggregate over every key's sorted rows and sorted requests, on one thread."""

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.dispatch import RATE, apply, made, take_from
from modelwright.features.kernel.operations import SEES_ALL
from modelwright.features.kernel.state import restart
from modelwright.features.kernel.visible import hide, highest_so_far, successors
from modelwright.features.kernel.window import newest, per_second, windows


@compiled
def sweep(
    op: int, parameter: float, over: int, step: int, most: int, minus: bool, inclusive: bool, times: Ints,
    values: Floats, mask: Marks, seq: Ints, event: Ints, starts: Ints, at: Ints, limit: Ints, own: Floats,
    request_starts: Ints, out: Floats,
) -> None:  # fmt: skip
    """Answer all requests of all keys.

    Rows of key g are `starts[g] : starts[g + 1]`, sorted by (time, sequence); its requests likewise, by time. `event`
    is an outcome's event, or empty; `step` and `most` are 0 for none; `limit` is the sequence number a live
    request was served at, else `SEES_ALL`. With `minus` an answer is the request's own value less the aggregate.
    """
    nothing = np.empty(0, np.int64)
    first = len(nothing)  # 0; as a literal it would be a type of its own, and everything compiled twice
    state = made(op, parameter)
    for g in range(len(starts) - 1):
        a, b = starts[g], starts[g + 1]
        c, d = request_starts[g], request_starts[g + 1]
        if c == d:
            continue
        lo = np.empty(d - c, np.int64)
        hi = np.empty(d - c, np.int64)
        windows(times[a:b], at[c:d], over, step, inclusive, lo, hi)
        values_of_key = values[a:b] if len(values) > 0 else values
        following = corrected = nothing
        if len(event) > 0:
            following = np.empty(b - a, np.int64)
            corrected = successors(event[a:b], following)
        if len(corrected) == 0 and _all_seen(seq[a:b], hi, limit[c:d]):
            _cut(lo, hi, most)
            restart(state)
            state = apply(op, state, times[a:b], values_of_key, mask[a:b], first, lo, hi, at[c:d], parameter, out[c:d])
        else:
            state = _part_seen(
                op, state, first, times[a:b], values_of_key, mask[a:b], seq[a:b], following, corrected, lo, hi, at[c:d],
                parameter, most, limit[c:d], out[c:d],
            )  # fmt: skip
        if op == RATE:
            per_second(at[c:d], over, step, out[c:d])
    if minus:
        take_from(own, out)


@compiled
def _cut(lo: Ints, hi: Ints, most: int) -> None:
    """Let windows all of whose rows are seen begin at their newest `most`."""
    if most > 0:
        for r in range(len(lo)):
            lo[r] = max(lo[r], hi[r] - most)


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


@compiled
def place_by_key(key: Ints, order: Ints, keys: int) -> tuple[Ints, Ints]:
    """Stable counting sort of `order` by key; rows of key -1 are left out. Returns (rows, start of each key)."""
    starts = np.zeros(keys + 1, np.int64)
    for i in order:
        if key[i] >= 0:
            starts[key[i] + 1] += 1
    for g in range(keys):
        starts[g + 1] += starts[g]
    rows = np.empty(starts[keys], np.int64)
    free = starts.copy()
    for i in order:
        if key[i] >= 0:
            rows[free[key[i]]] = i
            free[key[i]] += 1
    return rows, starts
