"""Which team does a complaint go to? Free text beside a number and a category; what is written never repeats."""

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import modelwright as mw
from modelwright import gate, source


@mw.event(id="complaint", time="at")
class Complaint:
    """A complaint, as it is written."""

    complaint: str
    at: datetime
    body: Annotated[str | None, mw.Meta(text=True)]
    channel: str
    orders: int


system = mw.System(
    name="complaints",
    event=Complaint,
    source=source.files("complaints.csv"),
    label=mw.Label("team", str, delay="2h"),
    model=make_pipeline(
        make_column_transformer(
            (TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), "body"),
            (OneHotEncoder(handle_unknown="ignore"), ["channel"]),
            (StandardScaler(), ["orders"]),
        ),
        LogisticRegression(),
    ),
    gates=[gate.metric("accuracy", at_least=0.7)],
)

SAID = {
    "parcels": [
        "The parcel never arrived",
        "Paket ist beschädigt angekommen",
        "Where is my parcel?",
        "The driver left it outside",
    ],
    "money": ["I was charged twice", "Please refund 20.50 €", "The refund never came", "Rechnung ist falsch"],
    "access": [
        "I cannot log in",
        "The password reset mail never came",
        "Login fails since monday",
        "My account is locked",
    ],
}
ASIDES = [
    "since",
    "again",
    "really",
    "on monday",
    "for order",
    "please",
    "never",
    "my",
    "Grüße",
    "the",
    "twice",
    "🙂",
    "app",
]


def write_history(folder: Path, rows: int = 600) -> None:
    """Seeded complaints, one an hour or so, one in thirty without a word."""
    random = np.random.default_rng(5)
    at = datetime(2024, 3, 1)
    with (folder / "complaints.csv").open("w", newline="") as out:
        write = csv.writer(out)
        write.writerow(["complaint", "at", "body", "channel", "orders", "team"])
        for number in range(rows):
            at += timedelta(minutes=int(random.integers(1, 120)))
            team = str(random.choice(list(SAID)))
            said = [
                str(random.choice(SAID[team])),
                *map(str, random.choice(ASIDES, int(random.integers(0, 6)))),
                f"#{number}",
            ]
            body = "" if random.random() < 1 / 30 else " ".join(said)
            channel = str(random.choice(["mail", "app", "letter"]))
            write.writerow([f"c{number}", at.isoformat(), body, channel, int(random.integers(1, 40)), team])
