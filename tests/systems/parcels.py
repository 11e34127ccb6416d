"""Will a parcel be late? Every column matters and nothing drifts by itself: faults are put into it."""

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import modelwright as mw
from modelwright import gate, retrain, rollout, source


@mw.event(id="parcel", time="at")
class Parcel:
    """A parcel, as it is handed in."""

    parcel: str
    at: datetime
    weight: Annotated[float, mw.Meta(gt=0)]
    distance: float | None
    pieces: int
    depot: str | None


system = mw.System(
    name="parcels",
    event=Parcel,
    source=source.files("parcels.csv"),
    features=[],
    label=mw.Label("late", bool, delay="1d"),
    model=make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
            remainder="passthrough",
        ),
        LGBMClassifier(n_estimators=40, num_leaves=7, n_jobs=1, verbose=-1),
    ),
    metric="accuracy",
    gates=[gate.metric("accuracy", at_least=0.55)],
    retrain=[retrain.on_drift(cool_down="3d"), retrain.on_decay(drop=0.05, rows=100), retrain.every("12d")],
    rollout=rollout.shadow(pairs=40, margin=0.05, within="8d"),
    check="6h",
)


def write_history(folder: Path, rows: int = 3_000) -> None:
    """Seeded parcels over 40 days."""
    random = np.random.default_rng(29)
    at = datetime(2024, 3, 1)
    with (folder / "parcels.csv").open("w", newline="") as out:
        write = csv.writer(out)
        write.writerow(["parcel", "at", "weight", "distance", "pieces", "depot", "late"])
        for i in range(rows):
            at += timedelta(seconds=int(random.integers(300, 2_000)))
            weight = round(float(random.gamma(4, 2)) + 0.1, 2)
            distance = round(float(random.uniform(0, 10)), 2)
            pieces = int(random.integers(1, 40))
            depot = str(random.choice(["north", "south", "west"]))
            odds = 0.8 * (weight - 8) + 0.6 * (distance - 5) + 0.1 * (pieces - 20) + 3 * (depot == "north") - 1
            late = bool(random.random() < 1 / (1 + np.exp(-odds)))
            write.writerow([f"p{i}", at.isoformat(), weight, distance, pieces, depot, str(late).lower()])
