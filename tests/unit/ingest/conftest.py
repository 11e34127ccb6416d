"""Files of payments and sales in a folder of the test, the contract they are read against, and a log to bring them into."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from modelwright.core.clock import SimulatedClock
from modelwright.ingest.files import Batch, checked_batches
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.spec.contract import Contract, Field
from modelwright.spec.label import LabelSpec

HOUR_US = 3_600_000_000


@pytest.fixture
def contract() -> Contract:
    return Contract(
        name="Payment",
        fields=(
            Field(name="pid", kind="str", column="pid"),
            Field(name="at", kind="time", column="at"),
            Field(name="amount", kind="float", column="amount"),
            Field(name="pieces", kind="int", column="pieces", nullable=True, has_default=True),
        ),
        id="pid",
        time="at",
    )


@pytest.fixture
def label() -> LabelSpec:
    return LabelSpec(name="fraud", kind="bool", delay_us=HOUR_US)


@pytest.fixture
def write(tmp_path: Path):
    """Puts text, bytes or a table into a file; gives its path."""

    def put(name: str, content: str | bytes | pa.Table) -> Path:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            import pyarrow.parquet as pq

            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


@pytest.fixture
def checked(write, contract, label):
    """All batches of a file as one: the events as rows, and the quarantine as (row, column, reason)."""

    def read(name: str, content: str | bytes | pa.Table, contract: Contract = contract) -> Read:
        return Read(list(checked_batches(write(name, content), contract, label)))

    return read


class Read:
    """What came of a file."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches
        self.events: list[dict[str, Any]] = [row for batch in batches for row in batch.events.to_pylist()]
        self.rows = sum(batch.rows for batch in batches)
        self.numbers = [number for batch in batches for number in batch.numbers]
        self.refused = [(row.row, row.column, row.reason) for batch in batches for row in batch.quarantine]
        self.raw = [row.raw for batch in batches for row in batch.quarantine]
        self.outcomes = [row for batch in batches if batch.outcomes is not None for row in batch.outcomes.to_pylist()]

    def column(self, name: str) -> list[Any]:
        return [event[name] for event in self.events]


@pytest.fixture
def open_log(tmp_path: Path, label) -> Iterator[Any]:
    """Opens the log of a contract, in a folder of its own."""
    logs: list[Log] = []

    def opened(contract: Contract) -> Log:
        schema = LogSchema(contract, label.name, label.kind)
        logs.append(Log.open(Workspace(tmp_path / "state"), schema, SimulatedClock(0)))
        return logs[-1]

    yield opened
    for log in logs:
        log.close()
