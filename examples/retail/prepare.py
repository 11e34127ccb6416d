"""Line files of the UCI data set Online Retail, one CSV a day, into one Parquet of invoices: the events of this example.

    python examples/retail/prepare.py FOLDER_OF_CSV_FILES examples/retail/data/invoices.parquet

An invoice is what its lines say: when the last was written, whose it is (`14620.0` becomes `14620`, no customer stays
missing), how many lines and units, what it comes to. An invoice whose number begins with C takes goods back.
"""

import sys
from pathlib import Path

import pandas as pd


def invoices(folder: Path) -> pd.DataFrame:
    """One row an invoice, in order of time."""
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise SystemExit(f"{folder} holds no CSV files; give the folder of the line files")
    lines = pd.concat([pd.read_csv(file, dtype=str, keep_default_na=False) for file in files], ignore_index=True)
    lines = lines.assign(
        at=pd.to_datetime(lines["InvoiceDate"], utc=True),
        units=lines["Quantity"].astype("int64"),
        price=lines["UnitPrice"].astype("float64"),
    )
    lines["amount"] = lines["units"] * lines["price"]
    by_invoice = lines.groupby("InvoiceNo")
    made = by_invoice.agg(
        customer_id=("CustomerID", "first"),
        at=("at", "max"),
        country=("Country", "first"),
        lines=("StockCode", "size"),
        products=("StockCode", "nunique"),
        units=("units", "sum"),
        amount=("amount", "sum"),
        dearest=("price", "max"),
    ).reset_index(names="invoice")
    customer = made["customer_id"].str.removesuffix(".0")
    made["customer_id"] = customer.where(customer != "", None)
    made["amount"] = made["amount"].round(2)
    made["cancelled"] = made["invoice"].str.startswith("C")
    return made.sort_values(["at", "invoice"], ignore_index=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: prepare.py FOLDER_OF_CSV_FILES OUT.parquet")
    found = invoices(Path(sys.argv[1]))
    found.to_parquet(sys.argv[2], index=False, compression="zstd")
    known = found["customer_id"].notna()
    print(
        f"{len(found):,} invoices of {found['customer_id'].nunique():,} customers, {(~known).sum():,} of nobody known"
    )
