"""How much does a shop sell in an hour? Amounts; no id in the file; missing numbers; demand doubles midway."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from lightgbm import LGBMRegressor

import modelwright as mw
from modelwright import agg, gate, retrain, rollout, source


@mw.event(entity="shop", time="at")
class Hour:
    """An hour of one shop, as it begins."""

    at: datetime
    shop: str
    warmth: float | None
    holiday: bool
    visitors: int


shop = mw.FeatureView(Hour, sold_1=agg.lag("sold", 1), sold_1d=agg.mean("sold", over="1d"), warmer=agg.change("warmth"))

system = mw.System(
    name="sales",
    event=Hour,
    source=source.files("sales.csv"),
    features=[shop],
    label=mw.Label("sold", float, delay="1h"),
    model=LGBMRegressor(n_estimators=20, num_leaves=7, n_jobs=1, verbose=-1),
    gates=[gate.better_than("baseline")],
    retrain=[retrain.every("7d")],
    rollout=rollout.shadow(pairs=40, margin=0.02, within="6d"),
    check="4h",
)


def write_history(folder: Path, rows: int = 1_200) -> None:
    """Seeded hours of three shops, all at the same instants."""
    random = np.random.default_rng(11)
    with (folder / "sales.csv").open("w", newline="") as out:
        write = csv.writer(out)
        write.writerow(["at", "shop", "warmth", "holiday", "visitors", "sold"])
        for i in range(rows):
            at = datetime(2024, 3, 1) + timedelta(hours=i // 3)
            warmth = round(15 + 10 * np.sin(i / 40) + float(random.normal()), 2)
            holiday = i // 3 % 50 < 8
            level = (1 if i < rows * 0.6 else 2) * (20 + (i % 3) * 5)
            visitors = int(random.integers(0, 60))
            sold = max(0.0, round(level + warmth + 25 * holiday + 2 * visitors + float(random.normal()) * 4, 2))
            shown = "" if i % 40 == 0 else warmth
            write.writerow([at.isoformat(), f"s{i % 3}", shown, str(holiday).lower(), visitors, sold])
