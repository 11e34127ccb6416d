"""Evidently by chunks of 1,000 events: its Kolmogorov-Smirnov test of each chunk against the reference.

A p-value falls below the threshold as often as the threshold says, so it is one of all chunks and columns that STATIONARY
events bring. Prints JSON, with the seconds that one comparison of 100 k x 25 with 100 k x 25 takes.
"""

import json
import sys
import time

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from evidently.presets import DataDriftPreset

from benchmarks.loop import streams

CHUNK = 1_000
THRESHOLD = CHUNK / (streams.STATIONARY * streams.COLUMNS)


def dataset(values: np.ndarray) -> Dataset:
    frame = pd.DataFrame(values, columns=[f"c{place}" for place in range(values.shape[1])])
    return Dataset.from_pandas(frame, data_definition=DataDefinition(numerical_columns=list(frame)))


def delay(seed: int) -> int:
    values, begins = streams.column(seed)
    known = dataset(streams.reference(seed)[:, [streams.SHIFTED]])
    for chunk in range(begins // CHUNK, len(values) // CHUNK):
        end = (chunk + 1) * CHUNK
        report = Report([ValueDrift(column="c0", method="ks", threshold=THRESHOLD)])
        said = report.run(dataset(values[end - CHUNK : end, None]), known).dict()
        if float(said["metrics"][0]["value"]) < THRESHOLD:
            return end - begins
    return streams.AFTER


def main():
    seeds = int(sys.argv[1])
    began = time.perf_counter()
    report = Report([DataDriftPreset()])
    report.run(dataset(streams.stationary(0, rows=100_000)), dataset(streams.reference(0))).dict()
    whole = time.perf_counter() - began
    delays = [delay(seed) for seed in range(seeds)]
    print(json.dumps({"Evidently": {"threshold": THRESHOLD, "chunk": CHUNK, "delays": delays, "whole_s": whole}}))


if __name__ == "__main__":
    main()
