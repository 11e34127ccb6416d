"""Will a card payment be disputed? An id, an entity, texts, past outcomes; what disputes are made of changes midway."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import modelwright as mw
from modelwright import agg, gate, retrain, rollout, source


@mw.event(id="payment", entity="card", time="at")
class Payment:
    """A payment, as it is asked for."""

    payment: str
    card: str
    at: datetime
    amount: float
    country: str | None


card = mw.FeatureView(
    Payment,
    payments_1d=agg.count(over="1d"),
    usual_amount=agg.mean("amount", over="30d"),
    disputes_30d=agg.sum("disputed", over="30d"),
    last_country=agg.last("country"),
    idle=agg.time_since_last(),
)

system = mw.System(
    name="disputes",
    event=Payment,
    source=source.files("disputes.csv"),
    features=[card],
    label=mw.Label("disputed", bool, delay="1d"),
    model=make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
            remainder="passthrough",
        ),
        LGBMClassifier(n_estimators=20, num_leaves=7, n_jobs=1, verbose=-1),
    ),
    metric="accuracy",
    gates=[gate.metric("accuracy", at_least=0.6), gate.better_than("baseline")],
    retrain=[retrain.every("14d"), retrain.on_decay(drop=0.1, rows=60)],
    rollout=rollout.shadow(pairs=30, margin=0.05, within="10d"),
    check="6h",
)


def write_history(folder: Path, rows: int = 1_500) -> None:
    """Seeded payments over 100 days, in time order; every 50th has no country, every 70th no outcome."""
    random = np.random.default_rng(7)
    at = datetime(2024, 1, 1)
    with (folder / "disputes.csv").open("w", newline="") as out:
        write = csv.writer(out)
        write.writerow(["payment", "card", "at", "amount", "country", "disputed"])
        for i in range(rows):
            at += timedelta(seconds=int(random.integers(0, 11_520)))
            amount = round(float(random.lognormal(3, 1)), 2)
            country = str(random.choice(["DE", "FR", "IT"]))
            risky = amount > 30 if i < rows * 0.55 else country == "FR"
            disputed = bool(random.random() < (0.9 if risky else 0.08))
            write.writerow(
                [
                    f"p{i}",
                    f"c{random.integers(12)}",
                    at.isoformat(),
                    amount,
                    "" if i % 50 == 0 else country,
                    "" if i % 70 == 0 else str(disputed).lower(),
                ]
            )
