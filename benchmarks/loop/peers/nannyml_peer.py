"""NannyML by chunks of 1,000 events: the best of its distances, at the quantile of stationary chunks that gives the stated rate.

Prints JSON, with the seconds that one comparison of 100 k x 25 with 100 k x 25 takes.
"""

import json
import sys
import time

import nannyml
import numpy as np
import pandas as pd

from benchmarks.loop import streams

CHUNK = 1_000
METHODS = ("kolmogorov_smirnov", "jensen_shannon", "wasserstein")


def distances(known: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    """[chunks, columns] of each method."""
    names = [f"c{place}" for place in range(values.shape[1])]
    watch = nannyml.UnivariateDriftCalculator(column_names=names, continuous_methods=list(METHODS), chunk_size=CHUNK)
    watch.fit(pd.DataFrame(known, columns=names))
    found = watch.calculate(pd.DataFrame(values, columns=names)).filter(period="analysis").to_df()
    return {method: np.column_stack([found[name, method, "value"] for name in names]) for method in METHODS}


def main():
    seeds = int(sys.argv[1])
    began = time.perf_counter()
    usual = distances(streams.reference(0), streams.stationary(0, rows=100_000))
    whole = time.perf_counter() - began
    more = [distances(streams.reference(seed), streams.stationary(seed)) for seed in range(1, 4)]
    rate = CHUNK / (streams.STATIONARY * streams.COLUMNS)
    found = {}
    for method in METHODS:
        seen = np.concatenate([usual[method].ravel(), *(one[method].ravel() for one in more)])
        threshold = float(np.quantile(seen, 1 - rate))
        delays = []
        for seed in range(seeds):
            values, begins = streams.column(seed)
            first = begins // CHUNK * CHUNK
            found_here = distances(
                streams.reference(seed)[:, [streams.SHIFTED]], values[first : first + 20 * CHUNK, None]
            )
            above = np.flatnonzero(found_here[method][:, 0] > threshold)
            delays.append(int(first + (above[0] + 1) * CHUNK - begins) if len(above) else streams.AFTER)
        found[f"NannyML, {method}"] = {"threshold": threshold, "chunk": CHUNK, "delays": delays, "whole_s": whole}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
