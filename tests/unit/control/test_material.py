"""What a training works with is the log at one moment, whatever is written meanwhile."""

from datetime import datetime

import pytest

import modelwright as mw
from modelwright.control.material import read_material
from modelwright.core.clock import SimulatedClock
from modelwright.ingest.identity import row_digest
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace

HOUR = 3_600_000_000


@mw.event(id="id", time="at")
class Payment:
    id: str
    at: datetime
    amount: float


class Model:
    def fit(self, x, y): ...

    def predict(self, x): ...


@pytest.fixture
def system():
    return mw.System(name="s", event=Payment, label=mw.Label("fraud", bool, delay="1h"), model=Model())


@pytest.fixture
def log(tmp_path, system):
    with Log.open(Workspace(tmp_path), LogSchema(system.contract, "fraud", "bool"), SimulatedClock(0)) as log:
        yield log


def pay(log, id, hour):
    values = [id, hour * HOUR, 1.0]
    with log.write() as write:
        write.event(id, values[1], values, digest=row_digest(values))
        write.outcome(id, True, values[1] + HOUR)


@pytest.mark.parametrize("read", ["events", "outcomes"])
def test_what_is_written_while_the_log_is_read_is_left_out(log, system, monkeypatch, read):
    pay(log, "a", 1)
    reads = getattr(log, read)

    def beside(*given):
        rows = reads(*given)
        pay(log, "b", 2)
        return rows

    monkeypatch.setattr(log, read, beside)
    examples = read_material(log, system).examples
    assert (examples.ids.tolist(), examples.outcome_of.tolist()) == (["a"], [0])
    monkeypatch.undo()
    assert read_material(log, system).examples.ids.tolist() == ["a", "b"]
