"""Processes that work on one log until they are killed: `python workers.py ROLE NUMBER FIRST ROOT`.

Row `i` of worker `n` is the same in every life of it, so that a worker which is started again at its first row that was
not acknowledged repeats what it may have committed already. A worker prints how many of its rows are safe, after they are.
"""

import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from modelwright.core.clock import SystemClock
from modelwright.core.errors import ModelwrightError
from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow, LogSchema, OutcomeRow
from modelwright.lake.workspace import Workspace
from modelwright.spec import agg
from modelwright.spec.contract import Contract, Field
from modelwright.spec.view import ViewSpec

T0 = 1_700_000_000_000_000
SECOND = 1_000_000
KINDS = {"pid": "str", "card": "str", "at": "time", "amount": "float", "country": "str"}
CONTRACT = Contract(
    name="Pay",
    fields=tuple(Field(name=name, kind=kind, column=name, nullable=name not in ("pid", "at")) for name, kind in KINDS.items()),
    id="pid", entity="card", time="at",
)  # fmt: skip
SCHEMA = LogSchema(CONTRACT, "fraud", "str")
VIEWS = (
    ViewSpec(event="Pay", by=("card",), features={
        "count_1h": agg.count(over="1h"), "sum_10m": agg.sum("amount", over="10m"), "mean": agg.mean("amount", over="1d"),
        "std": agg.std("amount", over="10m"), "countries": agg.count_distinct("country", over="10m"),
        "dear": agg.count(over="10m", where="amount > 20"), "said": agg.last("fraud"),
        "said_1h": agg.count_distinct("fraud", over="1h"),
    }),
    ViewSpec(event="Pay", by=(), features={"all_1m": agg.count(over="1m"), "most_1m": agg.max("amount", over="1m")}),
    ViewSpec(event="Pay", by=("card", "country"), features={"usual": agg.mean("amount", over="1h")}),
)  # fmt: skip
BYS = [view.by for view in VIEWS]
BATCH = 4
PAUSE_S = 0.02
"""Between two writes: a machine of two cores runs all of them, and the tests beside them."""
FILE = 30
"""Rows that one call of the worker that ingests brings."""


def open_log(root: Path, *, readonly: bool = False) -> Log:
    return Log.open(Workspace(root), SCHEMA, SystemClock(), readonly=readonly)


def event(worker: int, i: int) -> tuple[str, int, list[Any]]:
    """Row `i` of a worker: its id, its time and its values. One in ten comes up to two minutes late."""
    chance = random.Random(f"{worker}/{i}")
    at_us = (
        T0 + i * SECOND + chance.randrange(SECOND) - (chance.randrange(120 * SECOND) if chance.random() < 0.1 else 0)
    )
    id = f"w{worker}-{i}" if i % 10 else f"w{worker}-{i}-" + "long" * 200
    card = None if chance.random() < 0.05 else f"c{chance.randrange(6)}" if chance.random() < 0.9 else "card" * 150
    amount = None if chance.random() < 0.1 else chance.choice([1e12, 1e-6, 0.1, chance.lognormvariate(3, 1)])
    return id, at_us, [id, card, at_us, amount, chance.choice(["DE", "FR", None])]


def outcome(worker: int, i: int) -> str | None:
    """What becomes of row `i`; nothing of one in three."""
    return (None, "yes", "no")[random.Random(f"{worker}/{i}/outcome").randrange(3)]


def digest(worker: int, i: int) -> bytes:
    return b"%d/%d" % (worker, i)


def told(worker: int, i: int) -> tuple[str, str, int] | None:
    """The outcome that is told together with row `i`: that of an earlier row, with the instant it is known."""
    value = outcome(worker, i - 3) if i >= 3 else None
    return None if value is None else (event(worker, i - 3)[0], value, T0 + i * SECOND)


class Asking:
    """Writes events, what became of earlier ones and, where it holds a host, predictions: as serving does."""

    def __init__(self, log: Log, number: int, *, hosts: bool) -> None:
        self._log = log
        self._number = number
        self._cursor = log.head()
        self._host: Any = None
        if hosts:
            from modelwright.features.online import OnlineHost
            from modelwright.features.plan import LabelColumn

            label = LabelColumn("fraud", "str")
            self._host = OnlineHost(VIEWS, CONTRACT, label, log.strings, log.history, few=8, most_keys=5)

    def write(self, first: int, rows: int) -> None:
        with self._log.write() as writer:
            if self._host is not None:
                self._catch_up(writer)
            for i in range(first, first + rows):
                self._row(writer, i)
        if writer.last is not None:
            self._cursor = writer.last

    def _catch_up(self, writer: Any) -> None:
        for row in writer.rows_since(self._cursor):
            if isinstance(row, EventRow):
                self._host.append_event(row.seq, row.at_us, row.values)
            elif isinstance(row, OutcomeRow):
                values = writer.event_values(row.id)[2]
                self._host.append_outcome(row.seq, row.event_seq, row.known_us, row.value, values)
        self._cursor = writer.head

    def _row(self, writer: Any, i: int) -> None:
        id, at_us, values = event(self._number, i)
        known = writer.known(id)
        if known is not None:
            assert (known.digest, known.answer) == (digest(self._number, i), b"a%d" % i)
            return
        if (news := told(self._number, i)) is not None:
            row = writer.outcome(*news)
            assert row is not None
            if self._host is not None:
                values_of = writer.event_values(news[0])[2]
                self._host.append_outcome(row.seq, row.event_seq, row.known_us, row.value, values_of)
        features: dict[str, Any] = {}
        if self._host is not None:
            features = dict(zip(self._host.names, self._host.read(values, at_us), strict=True))
        seq = writer.event(id, at_us, values, digest=digest(self._number, i), answer=b"a%d" % i)
        if self._host is not None:
            self._host.append_event(seq, at_us, values)
            text = msgspec.json.encode(features).decode()
            writer.prediction(seq, id, at_us, at_us, "r1", "champion", "yes", features=text)


def ingest(log: Log, number: int, first: int) -> None:
    """Rows of a file and their outcomes, many at once."""
    import pyarrow as pa

    numbers = range(first, first + FILE)
    rows = [event(number, i) for i in numbers]
    columns = dict(zip(CONTRACT.names, zip(*(values for _, _, values in rows), strict=True), strict=True))
    types = SCHEMA.events()
    arrays = {name: pa.array(column, types.field(name).type) for name, column in columns.items()}
    log.append_events(pa.table({"_id": arrays["pid"]} | arrays), [digest(number, i) for i in numbers])
    news = [told(number, i) for i in numbers]
    ids, values, known = zip(*(one for one in news if one is not None), strict=True)
    instants = pa.array(known, pa.timestamp("us", "UTC"))
    log.append_outcomes(pa.table({"_id": ids, "fraud": values, "_known_at": instants}))


def work(role: str, number: int, first: int, root: Path) -> Iterator[int]:
    """Work for ever; yields how many of the worker's rows are safe."""
    log = open_log(root)
    log.history.require(BYS)
    if role == "drain":
        # Small steps, so that many a kill falls between two of them.
        from modelwright.lake import drain, tables

        drain.BATCH_ROWS, drain.DELETED_AT_ONCE, tables.SMALL_FILES = 200, 50, 5
        while True:
            log.drain(at_least=20)
            first += 1
            if first % 5 == 0:
                log.maintain()
            time.sleep(PAUSE_S)
            yield first
    elif role == "ingest":
        from modelwright.lake import bulk

        bulk.SLICE_ROWS = 10
        while True:
            ingest(log, number, first)
            first += FILE
            yield first
            time.sleep(5 * PAUSE_S)
    asking = Asking(log, number, hosts=role == "ask")
    while True:
        rows = 1 + random.randrange(BATCH)
        asking.write(first, rows)
        first += rows
        yield first
        time.sleep(PAUSE_S)


def same(served: Any, recomputed: Any) -> bool:
    """Whether a feature as written in the log is the one computed, to the bit."""
    if isinstance(recomputed, float) and math.isnan(recomputed):
        return served is None
    return type(served)(recomputed) == served if served is not None else recomputed is None


if __name__ == "__main__":
    try:
        for safe in work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])):
            print(safe, flush=True)
    except ModelwrightError as error:
        sys.exit(f"{error}")
