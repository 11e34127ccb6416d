"""modelwright on the offline work: Parquet in, `offline.compute`, Parquet out. `python -m benchmarks.features.ours FOLDER`."""

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.features.workload import CONTRACT, VIEW
from modelwright.features.offline import compute


def main(folder: Path) -> None:
    """Write `ours.parquet`; print the seconds of each stage."""
    began = time.perf_counter()
    events, requests = (
        pq.read_table(folder / f"{name}.parquet", read_dictionary=["card", "merchant"])
        for name in ("events", "requests")
    )
    read = time.perf_counter()
    answers = compute([VIEW], CONTRACT, None, events, requests)
    computed = time.perf_counter()
    pq.write_table(answers.append_column("request", requests["request"]), folder / "ours.parquet")
    print(json.dumps({"read": read - began, "compute": computed - read, "write": time.perf_counter() - computed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
