"""Is there someone in the room? Its temperature, humidity, light and carbon dioxide, once a minute (February 2015)."""

from datetime import datetime

from lightgbm import LGBMClassifier

import modelwright as mw
from modelwright import agg, gate, retrain, source


@mw.event(time="at")
class Reading:
    """What the sensors say at a minute."""

    at: datetime
    temperature: float
    humidity: float
    light: float
    co2: float
    humidity_ratio: float


room = mw.FeatureView(
    Reading,
    **{f"{column}_10m": agg.mean(column, over="10m") for column in ("temperature", "humidity", "light", "co2")},
    **{f"{column}_1h": agg.mean(column, over="1h") for column in ("temperature", "humidity", "light", "co2")},
    **{f"{column}_{k}": agg.lag(column, k) for column in ("temperature", "humidity", "light", "co2") for k in (5, 30)},
)

system = mw.System(
    name="occupancy",
    event=Reading,
    source=source.files("data/readings.parquet"),
    features=[room],
    label=mw.Label("occupied", bool, delay="1d"),  # read off the camera's pictures on the next day
    model=LGBMClassifier(n_estimators=100, n_jobs=1, verbose=-1),
    metric="accuracy",
    gates=[gate.metric("accuracy", at_least=0.7)],
    retrain=[retrain.every("1d"), retrain.on_decay(drop=0.05)],
)
