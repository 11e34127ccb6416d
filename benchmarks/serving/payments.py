"""The system of the durable contest: card payments, ten windowed features of their history, the stateless contest's model.

Ten numbers and five texts of the payment, ten features: twenty numbers scaled and five texts one-hot encoded by a
ColumnTransformer, 100 trees of LightGBM. `benchmarks.serving.durable` makes the file and trains it.
"""

import os
from datetime import datetime

from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import modelwright as mw
from modelwright import agg, source


@mw.event(id="payment_id", entity="card", time="at")
class Payment:
    """A card payment, as it is asked for."""

    payment_id: str
    card: str
    at: datetime
    amount: float
    n1: float
    n2: float
    n3: float
    n4: float
    n5: float
    n6: float
    n7: float
    n8: float
    n9: float
    merchant: str
    country: str
    channel: str
    device: str
    currency: str


history = mw.FeatureView(
    Payment,
    payments_1h=agg.count(over="1h"),
    payments_24h=agg.count(over="24h"),
    spend_1h=agg.sum("amount", over="1h"),
    spend_7d=agg.sum("amount", over="7d"),
    usual_30d=agg.mean("amount", over="30d"),
    spread_30d=agg.std("amount", over="30d"),
    most_7d=agg.max("amount", over="7d"),
    merchants_7d=agg.count_distinct("merchant", over="7d"),
    abroad_7d=agg.count(over="7d", where="country != 'country-0'"),
    frauds_30d=agg.sum("is_fraud", over="30d"),
)

NUMBERS = ["amount", *(f"n{i}" for i in range(1, 10)), *history.features]
TEXTS = ["merchant", "country", "channel", "device", "currency"]


def pipeline() -> object:
    """The estimator, unfitted."""
    prepare = ColumnTransformer(
        [("numbers", StandardScaler(), NUMBERS), ("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS)]
    )
    return make_pipeline(prepare, LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1))


system = mw.System(
    name="payments",
    event=Payment,
    source=source.files(os.environ["MODELWRIGHT_BENCH_EVENTS"]),
    features=[history],
    label=mw.Label("is_fraud", bool, delay="1d"),
    model=pipeline(),
)
