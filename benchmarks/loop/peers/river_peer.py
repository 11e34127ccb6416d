"""river's ADWIN, KSWIN and Page-Hinkley, one detector a column, at the threshold that gives the stated rate of false alarms.

The rate of one column is measured at thresholds where alarms are frequent enough to count, and followed down its line on a
logarithmic scale: river states no rate over time. Prints JSON.
"""

import json
import math
import sys

import numpy as np
from river.drift import ADWIN, KSWIN, PageHinkley

from benchmarks.loop import streams

DETECTORS = {
    # how it is made from a threshold; thresholds to measure at; rows to measure on; whether the rate is linear in log(threshold)
    "ADWIN": (lambda t: ADWIN(delta=t), (0.5, 0.2, 0.05), 2_000_000, True),
    "KSWIN": (lambda t: KSWIN(alpha=t, seed=1), (0.02, 0.005, 0.001), 40_000, True),
    "Page-Hinkley": (lambda t: PageHinkley(threshold=t), (200.0, 250.0, 300.0), 4_000_000, False),
    "Page-Hinkley told the shift": (
        # Half the shift to come, and nothing forgotten: Page's CUSUM test, which is optimal for exactly this shift.
        lambda t: PageHinkley(delta=streams.SHIFT / 2, alpha=1.0, threshold=t), (20.0, 25.0, 30.0), 4_000_000, False,
    ),
}  # fmt: skip


def alarms(make, threshold, rows):
    """Alarms of one detector in so many stationary values."""
    found = 0
    for values in streams.singles(rows):
        detector = make(threshold)
        for value in values.tolist():
            detector.update(value)
            found += detector.drift_detected
    return found


def calibrated(make, thresholds, rows, logarithmic):
    """The threshold at which one column alarms once in STATIONARY * COLUMNS values, and the measured rates."""
    counted = [(threshold, alarms(make, threshold, rows)) for threshold in thresholds]
    counted = [(threshold, count) for threshold, count in counted if count > 0]
    x = np.array([math.log(threshold) if logarithmic else threshold for threshold, _ in counted])
    y = np.log([count / rows for _, count in counted])
    wanted = -math.log(streams.STATIONARY * streams.COLUMNS)
    if len(counted) < 2:
        return None, counted
    slope, offset = np.polyfit(x, y, 1, w=np.sqrt([count for _, count in counted]))
    found = (wanted - offset) / slope
    return float(math.exp(found) if logarithmic else found), counted


def delay(make, threshold, seed):
    values, begins = streams.column(seed)
    detector = make(threshold)
    for place, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected and place >= begins:
            return place + 1 - begins
        if place - begins >= streams.AFTER - 5_000:
            break
    return streams.AFTER


def main():
    seeds, wanted = int(sys.argv[1]), sys.argv[2:] or list(DETECTORS)
    found = {}
    for name in wanted:
        make, thresholds, rows, logarithmic = DETECTORS[name]
        threshold, counted = calibrated(make, thresholds, rows, logarithmic)
        slow = name == "KSWIN"
        delays = (
            []
            if threshold is None
            else [delay(make, threshold, seed) for seed in range(min(seeds, 5) if slow else seeds)]
        )
        found[name] = {"threshold": threshold, "measured": counted, "rows": rows, "delays": delays}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
