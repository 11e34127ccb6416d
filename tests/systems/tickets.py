"""Which queue does a ticket go to? Classes that are texts, one of which ("security") is only seen late."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import modelwright as mw
from modelwright import agg, gate, retrain, rollout, source


@mw.event(id="ticket", time="at")
class Ticket:
    """A ticket, as it is opened."""

    ticket: str
    at: datetime
    topic: str
    words: int


desk = mw.FeatureView(Ticket, last_queue=agg.last("queue"), queues_2d=agg.count_distinct("queue", over="2d"))

system = mw.System(
    name="tickets",
    event=Ticket,
    source=source.files("tickets.csv"),
    features=[desk],
    label=mw.Label("queue", str, delay="2h"),
    model=make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
            (StandardScaler(), make_column_selector(dtype_include="number")),
        ),
        LGBMClassifier(n_estimators=10, num_leaves=7, n_jobs=1, verbose=-1),
    ),
    gates=[gate.metric("accuracy", at_least=0.5)],
    retrain=[retrain.every("10d")],
    rollout=rollout.shadow(pairs=30, margin=0.05, within="8d"),
    check="6h",
)


def write_history(folder: Path, rows: int = 1_000) -> None:
    """Seeded tickets, one an hour or so."""
    random = np.random.default_rng(3)
    at = datetime(2024, 6, 1)
    with (folder / "tickets.csv").open("w", newline="") as out:
        write = csv.writer(out)
        write.writerow(["ticket", "at", "topic", "words", "queue"])
        for i in range(rows):
            at += timedelta(minutes=int(random.integers(1, 120)))
            topic = str(random.choice(["bill", "login", "slow"]))
            words = int(random.integers(5, 200))
            queue = {"bill": "finance", "login": "access", "slow": "access" if words < 60 else "network"}[topic]
            if i > rows * 0.4 and topic == "login" and words > 90:
                queue = "security"
            if random.random() < 0.05:
                queue = "finance"
            write.writerow([f"t{i}", at.isoformat(), topic, words, queue])
