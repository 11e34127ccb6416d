"""What no model is needed for: the same invoices, the same label, scored by what a shopkeeper would look at.

    python examples/retail/naive.py 2011-02-11T16:59:00Z

The moment is where the rehearsal begins; its report says when. Nothing of modelwright is used here.
"""

import sys
from pathlib import Path

import pandas as pd
from sklearn.metrics import accuracy_score, roc_auc_score

MONTH = pd.Timedelta(days=30)

invoices = pd.read_parquet(Path(__file__).parent / "data/invoices.parquet")
bought = {name: rows["at"].to_numpy() for name, rows in invoices[~invoices["cancelled"]].groupby("customer_id")}
known = invoices[invoices["customer_id"].notna() & (invoices["at"] + MONTH < invoices["at"].max())]


def purchases(row: pd.Series, after: pd.Timestamp, upto: pd.Timestamp) -> int:
    """How many invoices of this row's customer have `after <= at < upto`."""
    times = bought.get(row["customer_id"], [])
    return sum(1 for at in times if after <= pd.Timestamp(at) < upto)


scored = known[known["at"] >= pd.Timestamp(sys.argv[1])]
instant = pd.Timedelta("1us")
table = pd.DataFrame(
    {
        "again": [purchases(row, row["at"] + instant, row["at"] + MONTH + instant) > 0 for _, row in scored.iterrows()],
        "lately": [purchases(row, row["at"] - MONTH, row["at"]) > 0 for _, row in scored.iterrows()],
        "ever": [purchases(row, pd.Timestamp.min.tz_localize("UTC"), row["at"]) for _, row in scored.iterrows()],
    }
)
again = table["again"]
print(f"{len(again):,} invoices with a known outcome; {again.mean():.1%} bought again")
print(f"nobody does          roc_auc 0.5000  accuracy {1 - again.mean():.4f}")
print(
    f"who bought lately    roc_auc {roc_auc_score(again, table['lately']):.4f}  "
    f"accuracy {accuracy_score(again, table['lately']):.4f}"
)
print(f"how often they ever  roc_auc {roc_auc_score(again, table['ever']):.4f}")
