"""Card payments for the tests of serving: an entity, strings, an optional column, history of events and of outcomes.

Nothing compiles a cube root, so its release needs the training libraries.
"""

from datetime import datetime
from typing import Annotated

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

import modelwright as mw
from modelwright import agg, gate, source


@mw.event(id="payment_id", entity="card", time="at")
class Payment:
    """A card payment, as it is asked for."""

    payment_id: str
    card: str
    at: datetime
    amount: Annotated[float, mw.Meta(gt=0)]
    items: int
    merchant: str
    country: str | None = None


history = mw.FeatureView(
    Payment,
    payments_1d=agg.count(over="1d"),
    spend_7d=agg.sum("amount", over="7d"),
    usual=agg.mean("amount", over="30d"),
    merchants=agg.count_distinct("merchant", over="7d"),
    last_merchant=agg.last("merchant"),
    amount_change=agg.change("amount"),
    frauds=agg.sum("is_fraud", over="30d"),
    idle=agg.time_since_last(),
)

system = mw.System(
    name="cards",
    event=Payment,
    source=source.files("payments.csv"),
    features=[history],
    label=mw.Label("is_fraud", bool, delay="1d"),
    model=make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
            (
                make_pipeline(SimpleImputer(), FunctionTransformer(np.cbrt)),
                make_column_selector(dtype_include="number"),
            ),
        ),
        LogisticRegression(C=0.01, max_iter=500),
    ),
    gates=[gate.metric("roc_auc", at_least=0.1)],
)
