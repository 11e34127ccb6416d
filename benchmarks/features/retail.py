"""Feast beside us on real sales: the point-in-time join, and the online read of ten features.

The lines of Online Retail, one row for each article and minute it was sold in, and 20,000 moments at which an article's
newest row is asked for. Feast computes no windows, so this is what both can do: ten columns as of a moment.
Feast lives in an environment of its own in the user's cache, made when first wanted, and never in the project's.
"""

import json
import os
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.environments import environment
from modelwright.features.offline import compute
from modelwright.features.online import OnlineHost
from modelwright.features.strings import MemoryStrings
from modelwright.optimize.image import history_image
from modelwright.spec import agg
from modelwright.spec.event import contract_of, event
from modelwright.spec.view import FeatureView

FEAST = "feast==0.67.*"
PLACES = ("MODELWRIGHT_RETAIL", "examples/retail/data")
"""The environment variable that names the folder of the daily CSV files, and where they are looked for without it."""
REQUESTS = 20_000
READS = 10_000


@event(entity="stock", time="at")
class Sale:
    """What was sold of an article in a minute."""

    stock: str
    at: datetime
    quantity: int
    price: float
    amount: float
    lines: int
    largest: int
    smallest: int
    invoices: int
    customer: float
    description: str
    country: str


CONTRACT = contract_of(Sale)
COLUMNS = tuple(name for name in CONTRACT.names if name not in ("stock", "at"))
VIEW = FeatureView(Sale, **{f"last_{name}": agg.last(name) for name in COLUMNS}).spec()


def compare() -> dict[str, Any]:
    """Both contestants' figures, or the one line that says why there are none (`skipped`)."""
    folder = Path(os.environ.get(PLACES[0]) or PLACES[1])
    files = sorted(folder.glob("*.csv"))
    if not files:
        return {
            "skipped": f"no sales: no CSV file in {folder}; set {PLACES[0]} to the folder of Online Retail's daily files"
        }
    python = environment("feast-0.67", FEAST)
    if isinstance(python, str):
        return {"skipped": python}
    rows = sales(files)
    requests = _requests(rows)
    found: dict[str, Any] = {"rows": len(rows), "requests": len(requests), "features": len(COLUMNS)}
    ours, found["ours"] = _ours(rows, requests)
    with tempfile.TemporaryDirectory(prefix="modelwright-bench-") as name:
        for table, file in ((rows, "rows"), (requests, "requests")):
            table.to_parquet(Path(name, f"{file}.parquet"))
        said = subprocess.run(
            [python, str(Path(__file__).with_name("feast_peer.py")), name], capture_output=True, text=True, check=False
        )
        if said.returncode:
            return {**found, "skipped": f"Feast failed: {(said.stderr.strip().splitlines() or ['no message'])[-1]}"}
        line = next(line for line in said.stdout.splitlines() if line.startswith("FIGURES "))
        found["feast"] = json.loads(line.removeprefix("FIGURES "))
        theirs = pd.read_parquet(Path(name, "feast.parquet")).sort_values("request")
    # Feast leaves out the requests it has no row for.
    there = ours["last_price"].is_valid().to_numpy() & ~np.isnan(ours["last_price"].to_numpy())
    if theirs["request"].tolist() != np.flatnonzero(there).tolist():
        raise RuntimeError("Feast and we differ in which requests have a row")
    for column in COLUMNS:
        if ours[f"last_{column}"].filter(pa.array(there)).to_pylist() != theirs[column].tolist():
            raise RuntimeError(f"Feast and we differ in {column}")
    found["answered"] = int(there.sum())
    return found


def sales(files: list[Path]) -> pd.DataFrame:
    """One row for each article and minute."""
    lines = pd.concat([pd.read_csv(file, dtype={"InvoiceNo": str, "StockCode": str}) for file in files])
    lines["amount"] = lines["Quantity"] * lines["UnitPrice"]
    lines["at"] = pd.to_datetime(lines["InvoiceDate"], utc=True).astype("datetime64[us, UTC]")
    lines = lines.fillna({"CustomerID": -1.0, "Description": ""})
    grouped = lines.groupby(["StockCode", "at"], sort=False)
    rows = grouped.agg(
        quantity=("Quantity", "sum"), price=("UnitPrice", "max"), amount=("amount", "sum"), lines=("Quantity", "size"),
        largest=("Quantity", "max"), smallest=("Quantity", "min"), invoices=("InvoiceNo", "nunique"),
        customer=("CustomerID", "first"), description=("Description", "first"), country=("Country", "first"),
    )  # fmt: skip
    return rows.reset_index().rename(columns={"StockCode": "stock"})[["stock", "at", *COLUMNS]]


def _requests(rows: pd.DataFrame) -> pd.DataFrame:
    """Articles as often as they are sold, at moments of which none is a sale's: Feast's row may be of the moment itself."""
    random = np.random.default_rng(7)
    first, last = (int(instant.timestamp()) for instant in (rows["at"].min(), rows["at"].max()))
    at = random.integers(first // 60, last // 60, REQUESTS) * 60 + 30
    stock = rows["stock"].to_numpy()[random.integers(0, len(rows), REQUESTS)]
    asked = pd.DataFrame({"stock": stock, "at": pd.to_datetime(at, unit="s", utc=True).astype("datetime64[us, UTC]")})
    asked = asked.drop_duplicates(ignore_index=True)  # Feast would answer one of them
    return asked.assign(request=np.arange(len(asked)))


def _ours(rows: pd.DataFrame, requests: pd.DataFrame) -> tuple[pa.Table, dict[str, float]]:
    events, asked = (pa.Table.from_pandas(table, preserve_index=False) for table in (rows, requests))
    compute([VIEW], CONTRACT, None, events.slice(0, 1_000), asked.slice(0, 1_000))  # what is compiled is compiled
    began = time.perf_counter()
    answers = compute([VIEW], CONTRACT, None, events, asked)
    joined = time.perf_counter() - began
    host = OnlineHost([VIEW], CONTRACT, None, MemoryStrings(), image=history_image())
    values = list(zip(*(events[name].to_pylist() for name in CONTRACT.names), strict=True))
    at = events["at"].cast(pa.int64()).to_pylist()
    told = [(seq, at[row], values[row]) for seq, row in enumerate(np.argsort(np.array(at), kind="stable").tolist())]
    began = time.perf_counter()
    host.append_events(told)
    built = time.perf_counter() - began
    now = max(at) + 1
    taken = []
    for stock in requests["stock"].tolist()[:READS]:
        request = (stock, now, *(None for _ in COLUMNS))
        began = time.perf_counter()
        host.read(request, now)
        taken.append(time.perf_counter() - began)
    p50, p99 = np.percentile(np.array(taken) * 1e6, (50, 99))
    return answers, {
        "join_s": joined, "materialise_s": built, "read_p50_us": float(p50), "read_p99_us": float(p99)
    }  # fmt: skip
