"""The offline work by hand: what a performance engineer writes for this one job, on input that suits it.

Given `presorted_*.parquet`, so no strings, no sorting, no missing values and sums of integers; two pointers a window,
the cards shared out to two threads by their number of rows. `python -m benchmarks.features.kernel FOLDER`.
"""

import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WINDOWS = {"1h": 3_600_000_000, "24h": 86_400_000_000, "7d": 604_800_000_000, "30d": 2_592_000_000_000}
SHORTEST = "1h"
"""Of this window no maximum, deviation or distinct count is asked for."""
MERCHANTS = 2_000
THREADS = 2


@numba.njit(nogil=True, cache=True)
def sweep(
    at, cents, merchant, starts, asked, asked_starts, cards, over, more, count, sums, mean, most, std, distinct, last
):
    """One window over a share of the cards; with `more`, its maximum, deviation and distinct count."""
    seen = np.zeros(MERCHANTS, np.int64)
    queue = np.empty(int((starts[1:] - starts[:-1]).max()), np.int64)
    for card in cards:
        end = starts[card + 1]
        left = right = starts[card]
        total = squares = different = 0
        first = held = 0
        for r in range(asked_starts[card], asked_starts[card + 1]):
            until, since = asked[r], asked[r] - over
            while right < end and at[right] < until:
                x = cents[right]
                total += x
                if more:
                    squares += x * x
                    different += seen[merchant[right]] == 0
                    seen[merchant[right]] += 1
                    while held > first and cents[queue[held - 1]] <= x:
                        held -= 1
                    queue[held] = right
                    held += 1
                right += 1
            while left < right and at[left] < since:
                x = cents[left]
                total -= x
                if more:
                    squares -= x * x
                    seen[merchant[left]] -= 1
                    different -= seen[merchant[left]] == 0
                    if first < held and queue[first] == left:
                        first += 1
                left += 1
            n = right - left
            count[r] = n
            sums[r] = total / 100
            mean[r] = total / 100 / n if n else math.nan
            last[r] = cents[right - 1] / 100 if n else math.nan
            if more:
                most[r] = cents[queue[first]] / 100 if n else math.nan
                std[r] = math.sqrt((squares - total * (total / n)) / (n - 1)) / 100 if n > 1 else math.nan
                distinct[r] = different
        if more:
            for i in range(left, right):
                seen[merchant[i]] = 0


def main(folder: Path) -> None:
    """Write `kernel.parquet`; print the seconds of each stage."""
    began = time.perf_counter()
    events, requests = (pq.read_table(folder / f"presorted_{name}.parquet") for name in ("events", "requests"))
    card, at, cents, merchant = (events[name].to_numpy() for name in ("card", "at", "cents", "merchant"))
    asked_card, asked = requests["card"].to_numpy(), requests["at"].to_numpy()
    read = time.perf_counter()
    cards = np.arange(1 + max(card[-1], asked_card[-1]))
    starts = np.append(np.searchsorted(card, cards), len(card))
    asked_starts = np.append(np.searchsorted(asked_card, cards), len(asked_card))
    half = np.cumsum((starts[1:] - starts[:-1])[::-1])[::-1] > len(card) // 2
    shares = [cards[half], cards[~half]]
    columns: dict[str, np.ndarray] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        running = []
        for over, us in WINDOWS.items():
            ints = [np.empty(len(asked), np.int64) for _ in range(2)]
            floats = [np.empty(len(asked)) for _ in range(5)]
            count, distinct = ints
            sums, mean, most, std, last = floats
            columns |= {f"count_{over}": count, f"sum_{over}": sums, f"mean_{over}": mean}
            if over != SHORTEST:
                columns |= {f"max_{over}": most, f"std_{over}": std, f"distinct_{over}": distinct}
            if over == "30d":
                columns["last_30d"] = last
            running += [
                pool.submit(
                    sweep, at, cents, merchant, starts, asked, asked_starts, share, us, over != SHORTEST,
                    count, sums, mean, most, std, distinct, last,
                )
                for share in shares
            ]  # fmt: skip
        for one in running:
            one.result()
    computed = time.perf_counter()
    pq.write_table(pa.table({**columns, "request": requests["request"]}), folder / "kernel.parquet")
    print(json.dumps({"read": read - began, "compute": computed - read, "write": time.perf_counter() - computed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
