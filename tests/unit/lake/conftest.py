"""A small log of payments in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwright.core.clock import SimulatedClock
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.spec.contract import Contract, Field

T0 = 1_700_000_000_000_000


def field(name: str, kind: str) -> Field:
    return Field(name=name, kind=kind, column=name, nullable=name not in ("pid", "at"))


@pytest.fixture
def schema() -> LogSchema:
    fields = [("pid", "str"), ("card", "str"), ("at", "time"), ("amount", "float"), ("n", "int"), ("ok", "bool")]
    contract = Contract(name="Pay", fields=tuple(field(*f) for f in fields), id="pid", entity="card", time="at")
    return LogSchema(contract, "fraud", "bool")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "state")


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(T0)


@pytest.fixture
def log(workspace: Workspace, schema: LogSchema, clock: SimulatedClock) -> Iterator[Log]:
    with Log.open(workspace, schema, clock) as opened:
        yield opened


@pytest.fixture
def pay():
    """Writes the i-th payment, for a card, and gives its sequence number."""

    def write(writer, i: int, card: str | None = "c", amount: float | None = 1.5, **more):
        values = [f"p{i}", card, T0 + i, amount, i, None]
        return writer.event(f"p{i}", T0 + i, values, digest=b"d%d" % i, **more)

    return write
