"""DuckDB on the offline work, in the quickest SQL found: Parquet in, Parquet out. `python -m benchmarks.features.duck FOLDER`.

Running totals at each payment, and an ASOF join that finds them as of each edge of each window: a sum over a window is the
total at its end less that at its start. Amounts are summed in cents, as whole numbers, so that nothing cancels. A payment
is its merchant's last one in a window of width w from its own time until the merchant's next payment or w later, whichever
comes first: the distinct merchants are those that began less those that ended. There is no total for a maximum: a RANGE
frame over payments and requests together answers those, from DuckDB's segment trees.

What was slower on the same rows: an ASOF join for each edge, and payments and edges in one relation under one running frame.
"""

import json
import os
import sys
import time
from pathlib import Path

import duckdb

from benchmarks.features.workload import FEATURES, LONG, WINDOWS

EDGES = {"now": 0, **WINDOWS}

TOTALS = """
CREATE TABLE totals AS
SELECT card, t, amount,
       count(*) OVER past AS n, sum(cents) OVER past AS s, sum(cents * cents) OVER past AS q
FROM payments WINDOW past AS (PARTITION BY card ORDER BY t ROWS UNBOUNDED PRECEDING);
"""

FOLLOWED = """
CREATE TABLE followed AS
SELECT card, t, lead(t) OVER (PARTITION BY card, merchant ORDER BY t) AS next FROM payments;
"""


def edges() -> str:
    """One ASOF join for all edges of all requests, the edges of a request then put side by side; one for each `ended`."""
    asked = " UNION ALL ".join(
        f"SELECT card, request, '{edge}' AS edge, t - {us} AS t FROM requests" for edge, us in EDGES.items()
    )
    sides = ", ".join(
        f"max(CASE WHEN edge = '{edge}' THEN {what} END) AS {what}_{edge}" for edge in EDGES for what in ("n", "s", "q", "amount")
    )  # fmt: skip
    ended = "\n".join(
        f"""ASOF LEFT JOIN (
  SELECT card, until, row_number() OVER (PARTITION BY card ORDER BY until) AS n
  FROM (SELECT card, least(coalesce(next, t + {WINDOWS[over]}), t + {WINDOWS[over]}) AS until FROM followed)
) ended_{over} ON r.card = ended_{over}.card AND ended_{over}.until < r.t"""
        for over in LONG
    )
    return f"""
{TOTALS}
{FOLLOWED}
CREATE TABLE edges AS
SELECT request, {sides}
FROM (SELECT a.request, a.edge, b.n, b.s, b.q, b.amount FROM ({asked}) a
      ASOF LEFT JOIN totals b ON a.card = b.card AND b.t < a.t)
GROUP BY request;
CREATE TABLE ends AS
SELECT r.request, {", ".join(f"coalesce(ended_{over}.n, 0) AS ended_{over}" for over in LONG)}
FROM requests r
{ended};
"""


def peaks() -> str:
    """The maxima, over payments and requests together."""
    most = ", ".join(
        f"max(amount) OVER (PARTITION BY card ORDER BY t RANGE BETWEEN {WINDOWS[over]} PRECEDING AND 1 PRECEDING) AS max_{over}"
        for over in LONG
    )
    return f"""
CREATE TABLE peaks AS
SELECT request, {", ".join(f"max_{over}" for over in LONG)} FROM (
  SELECT request, {most}
  FROM (SELECT card, t, amount, NULL::BIGINT AS request FROM payments
        UNION ALL SELECT card, t, NULL, request FROM requests)
) WHERE request IS NOT NULL;
"""


def answers() -> str:
    """The features, from the totals at the edges."""
    columns = {}
    for over in WINDOWS:
        n, s, q = (f"(coalesce({what}_now, 0) - coalesce({what}_{over}, 0))" for what in ("n", "s", "q"))
        columns[f"count_{over}"] = n
        columns[f"sum_{over}"] = f"{s} / 100.0"
        columns[f"mean_{over}"] = f"{s} / 100.0 / nullif({n}, 0)"
        columns[f"std_{over}"] = f"CASE WHEN {n} > 1 THEN sqrt(({q} - {s} * ({s} / {n})) / ({n} - 1)) / 100 END"
        columns[f"distinct_{over}"] = f"coalesce(n_now, 0) - ended_{over}"
        columns[f"max_{over}"] = f"max_{over}"
        columns[f"last_{over}"] = f"CASE WHEN {n} > 0 THEN amount_now END"
    chosen = ", ".join(f"{columns[name]} AS {name}" for name in FEATURES)
    return f"SELECT request, {chosen} FROM edges JOIN ends USING (request) JOIN peaks USING (request)"


def main(folder: Path) -> None:
    """Write `duckdb.parquet`; print the seconds of each stage."""
    stages = {}
    db = duckdb.connect()
    db.execute(
        f"SET threads = {os.cpu_count()}; SET preserve_insertion_order = false; SET temp_directory = '{folder}/spill'"
    )
    for stage, statement in {
        "read": f"""
CREATE TABLE payments AS
SELECT card, epoch_us("at") AS t, amount, merchant, CAST(round(amount * 100) AS BIGINT) AS cents
FROM '{folder}/events.parquet';
CREATE TABLE requests AS SELECT card, epoch_us("at") AS t, request FROM '{folder}/requests.parquet';
""",
        "totals": edges(),
        "maxima": peaks(),
        "write": f"COPY ({answers()}) TO '{folder}/duckdb.parquet'",
    }.items():
        began = time.perf_counter()
        db.execute(statement)
        stages[stage] = time.perf_counter() - began
    print(json.dumps(stages))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
