"""Will a card payment be disputed? What decides it is the card's logins: another event, with files of its own.

Some logins have the id of a payment, some come twice, one has another's id, some fall on the instant of a payment.
"""

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


@mw.event(id="payment_id", entity="card", time="at")
class Payment:
    """A payment, as it is asked for."""

    payment_id: str
    card: str
    at: datetime
    amount: float
    country: str | None


@mw.event(id="login_id", entity="card", time="when")
class Login:
    """Somebody logs in with a card."""

    login_id: str
    card: str
    when: datetime
    country: str
    device: str
    amount: float | None = None


system = mw.System(
    name="logins",
    event=Payment,
    source=source.files("payments.csv"),
    history={Login: source.files("logins/*.csv")},
    features=[
        mw.FeatureView(Payment, payments_1d=agg.count(over="1d"), disputes_30d=agg.sum("disputed", over="30d")),
        mw.FeatureView(
            Login,
            logins_1d=agg.count(over="1d"),
            devices_7d=agg.count_distinct("device", over="7d"),
            abroad_7d=agg.count(over="7d", where="country != 'DE'"),
            last_login_country=agg.last("country"),
            since_login=agg.time_since_last(),
            above_login=agg.change("amount"),
        ),
        mw.FeatureView(Login, by=None, all_logins_1h=agg.count(over="1h")),
    ],
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
    check="10m",
)


def write_history(folder: Path, rows: int = 1_200) -> None:
    """Seeded payments over 80 days and the logins of their cards, in two files, not in time order."""
    random = np.random.default_rng(7)
    at = datetime(2024, 1, 1)
    payments, logins = [], []
    for i in range(rows):
        at += timedelta(seconds=int(random.integers(0, 11_520)))
        card = f"c{random.integers(12)}"
        stolen = random.random() < 0.3
        for _ in range(int(random.integers(2, 5)) if stolen else int(random.integers(0, 2))):
            country = str(random.choice(["RO", "FR"])) if stolen else "DE"
            when = at - timedelta(seconds=int(random.integers(0, 40_000)))
            logins.append([f"l{len(logins)}", card, when.isoformat(), country, f"d{random.integers(9)}", ""])
        if i % 40 == 0:  # at the same instant: it does not count
            logins.append([f"p{i}", card, at.isoformat(), "IT", "d1", "5.0"])
        disputed = bool(random.random() < (0.9 if stolen else 0.08))
        amount = round(float(random.lognormal(3, 1)), 2)
        country = "" if i % 50 == 0 else str(random.choice(["DE", "FR"]))
        payments.append([f"p{i}", card, at.isoformat(), amount, country, "" if i % 70 == 0 else str(disputed).lower()])
    write(folder / "payments.csv", ["payment_id", "card", "at", "amount", "country", "disputed"], payments)
    half = len(logins) // 2
    (folder / "logins").mkdir(exist_ok=True)
    names = ["login_id", "card", "when", "country", "device", "amount"]
    write(folder / "logins/1.csv", names, logins[half:])
    write(folder / "logins/2.csv", names, [*logins[: half + 20], [f"l{half + 30}", "c1", "2024-02-25", "XX", "", ""]])


def write(file: Path, names: list[str], rows: list[list[object]]) -> None:
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(names)
        writer.writerows(rows)
