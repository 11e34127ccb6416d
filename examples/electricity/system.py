"""Will the electricity price in New South Wales go up or down? Half-hourly market data, 1996-1998 (Elec2)."""

from datetime import datetime

from lightgbm import LGBMClassifier

import modelwright as mw
from modelwright import agg, gate, retrain, source


@mw.event(time="at")
class HalfHour:
    """Half an hour of the market, as it begins."""

    at: datetime
    day: int
    period: float
    nswdemand: float
    vicprice: float
    vicdemand: float
    transfer: float


market = mw.FeatureView(
    HalfHour,  # no entity: one market, one history
    **{f"up_{k}": agg.lag("up", k) for k in (1, 2, 3, 48, 336)},
    up_2h=agg.mean("up", over="2h"),
    up_6h=agg.mean("up", over="6h"),
    up_1d=agg.mean("up", over="1d"),
    up_7d=agg.mean("up", over="7d"),
    **{
        f"{column}_{k}": agg.lag(column, k)
        for column in ("nswdemand", "vicprice", "vicdemand", "transfer")
        for k in (1, 2, 48, 336)
    },
    **{f"{column}_change": agg.change(column) for column in ("nswdemand", "vicprice", "vicdemand", "transfer")},
    **{f"{column}_1d": agg.mean(column, over="1d") for column in ("nswdemand", "vicprice", "vicdemand", "transfer")},
)

system = mw.System(
    name="electricity",
    event=HalfHour,
    source=source.files("data/elec2.parquet"),
    features=[market],
    label=mw.Label("up", bool, delay="30m"),  # up or down against the last day's mean, known half an hour later
    model=LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1),
    metric="accuracy",
    gates=[gate.metric("accuracy", at_least=0.7)],
    retrain=[retrain.every("30d"), retrain.on_decay(drop=0.05)],
)
