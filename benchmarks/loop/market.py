"""The system of the rehearsal that is timed: card payments, ten windowed features of their history, a small model.

`modelwright rehearse benchmarks/loop/market.py` reads `MODELWRIGHT_BENCH_EVENTS`, a Parquet file that
`benchmarks.loop.rehearsal` makes.
"""

import os
from datetime import datetime

from lightgbm import LGBMClassifier

import modelwright as mw
from modelwright import agg, retrain, source


@mw.event(id="payment_id", entity="card", time="at")
class Payment:
    """A card payment, as it is asked for."""

    payment_id: str
    card: str
    at: datetime
    amount: float
    merchant: str


history = mw.FeatureView(
    Payment,
    payments_1h=agg.count(over="1h"),
    payments_24h=agg.count(over="24h"),
    spend_1h=agg.sum("amount", over="1h"),
    spend_7d=agg.sum("amount", over="7d"),
    usual_30d=agg.mean("amount", over="30d"),
    spread_30d=agg.std("amount", over="30d"),
    most_7d=agg.max("amount", over="7d"),
    least_7d=agg.min("amount", over="7d"),
    merchants_7d=agg.count_distinct("merchant", over="7d"),
    frauds_30d=agg.sum("is_fraud", over="30d"),
)

system = mw.System(
    name="market",
    event=Payment,
    source=source.files(os.environ["MODELWRIGHT_BENCH_EVENTS"]),
    features=[history],
    inputs=["amount", *history.features],
    label=mw.Label("is_fraud", bool, delay="1d"),
    model=LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1),
    retrain=[retrain.every("20d")],
)
