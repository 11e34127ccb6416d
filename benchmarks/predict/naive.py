"""What a data scientist writes: pandas, the pickled pipeline and `predict_proba`, chunk by chunk.

`python -m benchmarks.predict.naive PICKLE IN OUT`.
"""

import pickle
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 100_000


def main(pickled: Path, given: Path, out: Path) -> None:
    """Score the file in chunks, so that memory is that of a chunk."""
    estimator = pickle.loads(pickled.read_bytes())
    writer = None
    with pq.ParquetFile(given, pre_buffer=False) as file:
        for batch in file.iter_batches(CHUNK):
            frame = batch.to_pandas()
            score = estimator.predict_proba(frame.drop(columns=["row_id", "at"]))[:, 1]
            answers = pd.DataFrame(
                {"id": frame["row_id"], "at": frame["at"], "prediction": score > 0.5, "score": score}
            )
            table = pa.Table.from_pandas(answers, preserve_index=False)
            writer = writer or pq.ParquetWriter(out, table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
