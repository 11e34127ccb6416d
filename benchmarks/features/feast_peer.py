"""Feast on its part of the work; runs in Feast's own environment: `python feast_peer.py FOLDER`.

Reads `rows.parquet` and `requests.parquet`, writes `feast.parquet` and prints its figures. Imports nothing of this project.
"""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

KINDS = {"int64": Int64, "float64": Float64}
READS = 2_000


def main(folder: Path) -> None:
    """Join, materialise, read online."""
    rows = pd.read_parquet(folder / "rows.parquet")
    requests = pd.read_parquet(folder / "requests.parquet")
    columns = [name for name in rows.columns if name not in ("stock", "at")]
    entity = Entity(name="stock", join_keys=["stock"], value_type=ValueType.STRING)
    view = FeatureView(
        name="sales",
        entities=[entity],
        ttl=timedelta(0),
        schema=[
            Field(name="stock", dtype=String),
            *(Field(name=name, dtype=KINDS.get(str(rows[name].dtype), String)) for name in columns),
        ],
        source=FileSource(path=str(folder / "rows.parquet"), timestamp_field="at"),
    )
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    store.apply([entity, view])
    features = [f"sales:{name}" for name in columns]
    asked = requests.rename(columns={"at": "event_timestamp"})
    began = time.perf_counter()
    answers = store.get_historical_features(entity_df=asked, features=features).to_df()
    joined = time.perf_counter() - began
    answers[["request", *columns]].to_parquet(folder / "feast.parquet")
    began = time.perf_counter()
    end = rows["at"].max().to_pydatetime() + timedelta(days=1)
    store.materialize(start_date=rows["at"].min().to_pydatetime() - timedelta(days=1), end_date=end)
    materialised = time.perf_counter() - began
    stocks = requests["stock"].tolist()[:READS]
    taken = []
    for stock in stocks:
        began = time.perf_counter()
        store.get_online_features(features=features, entity_rows=[{"stock": stock}]).to_dict()
        taken.append(time.perf_counter() - began)
    taken.sort()
    figures = {
        "join_s": joined,
        "materialise_s": materialised,
        "read_p50_us": 1e6 * taken[len(taken) // 2],
        "read_p99_us": 1e6 * taken[len(taken) * 99 // 100],
    }
    print("FIGURES " + json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
