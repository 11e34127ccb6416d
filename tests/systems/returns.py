"""How much will this guest spend in the next two days? Read from later visits; some guests are not known by name."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from lightgbm import LGBMRegressor

import modelwright as mw
from modelwright import agg, retrain, rollout, source


@mw.event(id="visit", entity="guest", time="at")
class Visit:
    """A visit, as it begins."""

    visit: str
    guest: str | None
    at: datetime
    house: str
    spent: float
    returned: bool


guest = mw.FeatureView(
    Visit,
    visits_2d=agg.count(over="2d", where="not returned"),
    usual=agg.mean("spent"),
    before=agg.last("spends"),  # what came of an earlier visit, as far as it is known
    before_10d=agg.mean("spends", over="10d"),
    idle=agg.time_since_last(),
)
house = mw.FeatureView(Visit, by="house", house_3d=agg.sum("spent", over="3d"))
everybody = mw.FeatureView(Visit, by=None, all_spend=agg.mean("spends", over="5d"))

system = mw.System(
    name="returns",
    event=Visit,
    source=source.files("returns.csv"),
    features=[guest, house, everybody],
    inputs=["spent", "returned", *guest.features, *house.features, *everybody.features],
    label=mw.Label.ahead(agg.sum("spent", over="2d", where="not returned"), by="guest", name="spends"),
    model=LGBMRegressor(n_estimators=20, num_leaves=7, min_child_samples=10, n_jobs=1, verbose=-1),
    retrain=[retrain.every("10d")],
    rollout=rollout.shadow(pairs=30, margin=0.05, within="8d"),
    check="6h",
)


def write_history(folder: Path, rows: int = 900) -> None:
    """Seeded visits over 60 days in order of time, some at one instant; every 9th of nobody known."""
    random = np.random.default_rng(11)
    at = datetime(2024, 1, 1)
    with (folder / "returns.csv").open("w", newline="") as out:
        write = csv.writer(out)
        write.writerow(["visit", "guest", "at", "house", "spent", "returned"])
        for i in range(rows):
            at += timedelta(seconds=0 if i % 25 == 0 else int(random.integers(0, 12_000)))
            number = int(random.integers(12))
            spent = round(float(random.lognormal(1 + number / 6 * (1 if i < rows / 2 else -1), 0.5)), 2)
            who = "" if i % 9 == 0 else f"g{number}"
            write.writerow([f"v{i}", who, at.isoformat(), f"h{random.integers(3)}", spent, str(i % 13 == 0).lower()])
