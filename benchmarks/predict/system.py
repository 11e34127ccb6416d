"""The system of the batch benchmark: 20 numbers and 5 texts, no history, gradient boosting of 100 trees."""

from datetime import datetime

from lightgbm import LGBMClassifier
from sklearn.compose import make_column_selector as columns
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import modelwright as mw
from modelwright import source


@mw.event(id="row_id", time="at")
class Row:
    """A row of a plain table."""

    row_id: str
    at: datetime
    x0: float
    x1: float
    x2: float
    x3: float
    x4: float
    x5: float
    x6: float
    x7: float
    x8: float
    x9: float
    x10: float
    x11: float
    x12: float
    x13: float
    x14: float
    x15: float
    x16: float
    x17: float
    x18: float
    x19: float
    c0: str
    c1: str
    c2: str
    c3: str
    c4: str


system = mw.System(
    name="batch",
    event=Row,
    source=source.files("history.parquet"),
    label=mw.Label("target", bool, delay="1h"),
    model=make_pipeline(
        make_column_transformer(
            (StandardScaler(), columns(dtype_include="number")),
            (OneHotEncoder(handle_unknown="ignore"), columns(dtype_include="category")),
        ),
        LGBMClassifier(n_estimators=100, num_leaves=31, verbose=-1),
    ),
)
