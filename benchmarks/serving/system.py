"""The system of the stateless contest: 20 numbers and 5 texts, prepared by a ColumnTransformer, 100 trees of LightGBM.

`python -m modelwright.app.cli train benchmarks/serving/system.py` reads `MODELWRIGHT_BENCH_EVENTS`, a Parquet file that
`benchmarks.serving.rows` makes.
"""

import os
from datetime import datetime

from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import modelwright as mw
from modelwright import source

NUMBERS = [f"n{i}" for i in range(20)]
TEXTS = [f"s{i}" for i in range(5)]


def pipeline() -> object:
    """The estimator, unfitted."""
    prepare = ColumnTransformer(
        [("numbers", StandardScaler(), NUMBERS), ("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS)]
    )
    return make_pipeline(prepare, LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1))


@mw.event(time="at")
class Row:
    """A row, at a time of its own."""

    at: datetime
    n0: float
    n1: float
    n2: float
    n3: float
    n4: float
    n5: float
    n6: float
    n7: float
    n8: float
    n9: float
    n10: float
    n11: float
    n12: float
    n13: float
    n14: float
    n15: float
    n16: float
    n17: float
    n18: float
    n19: float
    s0: str
    s1: str
    s2: str
    s3: str
    s4: str


system = mw.System(
    name="stateless",
    event=Row,
    source=source.files(os.environ["MODELWRIGHT_BENCH_EVENTS"]),
    label=mw.Label("good", bool, delay="1h"),
    model=pipeline(),
)
