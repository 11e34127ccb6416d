"""What a data scientist writes: pandas, the pickled pipeline, `predict_proba` in chunks. `python -m benchmarks.predict.naive WORK OUT`."""

import pickle
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 100_000


def main(pickled: Path, given: Path, out: Path) -> None:
    """Score the file chunk by chunk; memory is that of a chunk."""
    estimator = pickle.loads(pickled.read_bytes())
    writer = None
    with pq.ParquetFile(given, pre_buffer=False) as file:
        for batch in file.iter_batches(CHUNK):
            frame = batch.to_pandas()
            texts = frame.select_dtypes(exclude=["number", "datetimetz"]).columns.drop("row_id")
            score = estimator.predict_proba(
                frame.drop(columns=["row_id", "at"]).astype(dict.fromkeys(texts, "category"))
            )
            answers = pd.DataFrame(
                {"id": frame["row_id"], "at": frame["at"], "prediction": score[:, 1] > 0.5, "score": score[:, 1]}
            )
            table = pa.Table.from_pandas(answers, preserve_index=False)
            writer = writer or pq.ParquetWriter(out, table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
