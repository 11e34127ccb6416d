"""How many people take a taxi in New York in the next half hour? July 2014 to January 2015 (NAB's nyc_taxi)."""

from datetime import datetime
from typing import Annotated

from lightgbm import LGBMRegressor

import modelwright as mw
from modelwright import agg, gate, retrain, source


@mw.event(time="at")
class HalfHour:
    """Half an hour of the city, as it begins."""

    at: Annotated[datetime, mw.Meta(column="timestamp")]


city = mw.FeatureView(
    HalfHour,  # no entity: one city, one history
    **{f"passengers_{k}": agg.lag("value", k) for k in (1, 2, 3, 47, 48, 49, 335, 336, 337, 672)},
    passengers_2h=agg.mean("value", over="2h"),
    passengers_1d=agg.mean("value", over="1d"),
    passengers_7d=agg.mean("value", over="7d"),
)

system = mw.System(
    name="taxi",
    event=HalfHour,
    source=source.files("data/nyc_taxi.csv"),
    features=[city],
    label=mw.Label("value", float, delay="30m"),  # passengers of the half hour, counted when it is over
    model=LGBMRegressor(n_estimators=200, learning_rate=0.05, n_jobs=1, verbose=-1),
    metric="mae",
    gates=[gate.better_than("baseline")],
    retrain=[retrain.every("14d"), retrain.on_decay(drop=0.05)],
)
