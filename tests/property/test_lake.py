"""The promises of the log: nothing acknowledged is lost, nothing counts twice, and every view can be built again."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.core.clock import SimulatedClock
from modelwright.lake import drain
from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow, LogSchema, OutcomeRow, PredictionRow, QuarantineRow
from modelwright.lake.tables import Tables
from modelwright.lake.workspace import Workspace
from modelwright.spec.contract import Contract, Field

KILL_TRIALS = int(os.environ.get("MODELWRIGHT_KILL_TRIALS", "6"))
EXAMPLES = int(os.environ.get("MODELWRIGHT_LAKE_EXAMPLES", "25"))
T0 = 1_700_000_000_000_000
BYS = [("card",), (), ("card", "country")]


def schema() -> LogSchema:
    kinds = {"pid": "str", "card": "str", "at": "time", "amount": "float", "country": "str"}
    fields = tuple(
        Field(name=name, kind=kind, column=name, nullable=name not in ("pid", "at")) for name, kind in kinds.items()
    )
    return LogSchema(Contract(name="Pay", fields=fields, id="pid", entity="card", time="at"), "fraud", "str")


def open_log(root: Path) -> Log:
    return Log.open(Workspace(root), schema(), SimulatedClock(T0))


def values(i: int) -> list:
    card = None if i % 7 == 0 else f"c{i % 3}"
    return [f"p{i}", card, T0 + i * 3, None if i % 5 == 0 else i / 3, "DE" if i % 2 else "FR"]


def write(writer, i: int) -> int:
    return writer.event(f"p{i}", T0 + i * 3, values(i), digest=b"d%d" % i, answer=b"a%d" % i)


def history_file(numbers: list[int]) -> tuple[pa.Table, list[bytes]]:
    rows = [values(i) for i in numbers]
    columns = dict(zip(schema().contract.names, zip(*rows, strict=True), strict=True))
    types = schema().events()
    arrays = {name: pa.array(column, types.field(name).type) for name, column in columns.items()}
    return pa.table({"_id": arrays["pid"]} | arrays), [b"d%d" % i for i in numbers]


def online_state(log: Log) -> list[tuple[bytes, bytes]]:
    with log.store.read() as txn:
        return [(bytes(key), bytes(value)) for key, value in txn.cursor(db=log.store.db("history"))]


def check_whole(log: Log) -> list:
    """The log is one gapless sequence in which every event counts once, however it is read; gives its rows."""
    rows = log.tail(0, 10**9)
    assert [row.seq for row in rows] == list(range(1, log.head() + 1))
    kinds = {"events": EventRow, "predictions": PredictionRow, "outcomes": OutcomeRow}
    counts = {name: sum(isinstance(row, kind) for row in rows) for name, kind in kinds.items()}
    assert counts == log.counts()
    for name, column in (("events", "_seq"), ("predictions", "seq"), ("outcomes", "_seq")):
        seqs = getattr(log, name)().column(column).to_pylist()
        assert seqs == [row.seq for row in rows if isinstance(row, kinds[name])]
    ids = [row.id for row in rows if isinstance(row, EventRow)]
    assert len(set(ids)) == len(ids)
    state = online_state(log)
    log.history.rebuild()
    assert online_state(log) == state
    assert log.history.verify() == []
    return rows


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_lake import BYS, T0, open_log, write
log = open_log(Path(sys.argv[1]))
log.history.require(BYS)
start, tick = log.counts()["events"], 0
while True:
    tick += 1
    numbers = range(start, start + 1 + tick % 5)
    start = numbers.stop
    with log.write() as writer:
        for i in numbers:
            seq = write(writer, i)
            writer.prediction(seq, f"p{i}", T0, T0, "r1", "champion", "yes")
            writer.outcome(f"p{i}", "no", T0 + 10**9 + i)
    print(start, flush=True)
    if tick % 4 == 0:
        log.drain()
"""


@pytest.mark.timeout(120)
def test_kill_9_at_any_moment_loses_nothing_acknowledged_and_doubles_nothing(tmp_path):
    moments = random.Random(20261120)
    root = tmp_path / "state"
    for _ in range(KILL_TRIALS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), str(Path(__file__).parent)], stdout=subprocess.PIPE
        )
        first = writer.stdout.readline()
        time.sleep(moments.random() * 0.2)
        writer.send_signal(signal.SIGKILL)
        acknowledged = int((first + writer.communicate()[0]).split(b"\n")[-2])
        with open_log(root) as log:
            rows = check_whole(log)
            for kind in (EventRow, PredictionRow, OutcomeRow):
                assert {f"p{i}" for i in range(acknowledged)} <= {row.id for row in rows if isinstance(row, kind)}
            with log.write() as again:
                assert all(again.known(f"p{i}").answer == b"a%d" % i for i in range(acknowledged))
                assert all(again.outcome(f"p{i}", "no", T0) is None for i in range(acknowledged))
            assert len(check_whole(log)) == len(rows)


class CrashError(Exception):
    """Stands for the process ending at that moment."""


class Boundaries:
    """Raises before or after the n-th step of a drain."""

    def __init__(self, monkeypatch, crash_at: int) -> None:
        self.passed, self.crash_at = 0, crash_at
        for owner, name in ((Tables, "append"), (drain, "mark"), (drain.buffer, "delete_upto")):
            monkeypatch.setattr(owner, name, self.step(getattr(owner, name)))

    def step(self, function):
        def stepped(*given, **named):
            self.boundary()
            result = function(*given, **named)
            self.boundary()
            return result

        return stepped

    def boundary(self) -> None:
        self.passed += 1
        if self.passed == self.crash_at:
            raise CrashError


@pytest.mark.timeout(120)
def test_a_crash_between_any_two_steps_of_a_drain_loses_and_doubles_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(drain, "DELETED_AT_ONCE", 5)
    monkeypatch.setattr(drain, "BATCH_ROWS", 10)
    crashes = 0
    while True:
        crashes += 1
        with open_log(tmp_path / str(crashes)) as log:
            log.history.require(BYS)
            with log.write() as writer:
                for i in range(3):
                    seq = write(writer, i)
                    writer.prediction(seq, f"p{i}", T0, T0, "r1", "champion", "yes")
                    writer.outcome(f"p{i}", "no", T0 + 10**9)
            log.append_events(*history_file(list(range(3, 9))))
            before = log.tail(0)
            with monkeypatch.context() as patch:
                steps = Boundaries(patch, crashes)
                try:
                    log.drain()
                    finished = True
                except CrashError:
                    finished = False
            assert check_whole(log) == before
            with log.write() as writer:
                write(writer, 99)
            log.drain()
            assert log.buffered() == 0
            rows = check_whole(log)
            assert rows[:-1] == before
            assert rows[-1].id == "p99"
            with log.store.read() as txn:
                assert txn.stat(log.store.db("buffer"))["entries"] == 0
        if finished:
            assert steps.passed >= 14, "every step of a drain was reached"
            return


DRAINER = """
import os, sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import deltalake
from test_lake import Boundaries, CrashError, open_log
from modelwright.lake import drain, tables

drain.DELETED_AT_ONCE, drain.BATCH_ROWS = 5, 5
log = open_log(Path(sys.argv[1]))

def dies(owner, name, after):
    function, calls = getattr(owner, name), []
    def step(*given, **named):
        calls.append(name)
        result = function(*given, **named) if after else None
        if len(calls) == int(sys.argv[4]):
            os._exit(7)
        return result if after else function(*given, **named)
    setattr(owner, name, step)

def dies_while_it_writes(*given, **named):
    # A file of rows is there before the commit that names it is.
    def watch():
        while not list(Path(sys.argv[1]).glob("tables/*/*.parquet")):
            pass
        os._exit(7)
    threading.Thread(target=watch, daemon=True).start()
    time.sleep(0.01)
    write(*given, **named)
    time.sleep(5)

write = deltalake.write_deltalake
if sys.argv[3] == "writing":
    deltalake.write_deltalake = dies_while_it_writes
else:
    owners = {"read": (tables.Tables, "pin", True), "committed": (deltalake, "write_deltalake", True),
              "flushed": (tables, "_make_durable", True), "summed": (tables.Sums, "keep", True),
              "unmarked": (drain, "mark", False), "marked": (drain, "mark", True),
              "deleted": (drain.buffer, "delete_upto", True), "refused rows": (drain, "_drain_quarantine", True)}
    dies(*owners[sys.argv[3]])
log.drain()
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("step", "time"),
    [
        ("read", 1), ("writing", 1), ("committed", 1), ("committed", 2), ("flushed", 1), ("flushed", 3), ("summed", 2),
        ("unmarked", 1), ("marked", 1), ("deleted", 2), ("marked", 2), ("refused rows", 1),
    ],
)  # fmt: skip
def test_a_process_that_ends_at_a_step_of_a_drain_loses_and_doubles_nothing(tmp_path, step, time):
    with open_log(tmp_path / "state") as log:
        log.history.require(BYS)
        with log.write() as writer:
            for i in range(3):
                seq = write(writer, i)
                writer.prediction(seq, f"p{i}", T0, T0, "r1", "champion", "yes")
                writer.outcome(f"p{i}", "no", T0 + 10**9)
        log.append_events(*history_file(list(range(3, 20))))
        log.quarantine([QuarantineRow("f.csv", 1, "at", "no time", "{}")])
        before = log.tail(0)
    given = [str(tmp_path / "state"), str(Path(__file__).parent), step, str(time)]
    ended = subprocess.run([sys.executable, "-c", DRAINER, *given], check=False, capture_output=True, text=True)
    assert ended.returncode == 7, ended.stderr
    with open_log(tmp_path / "state") as log:
        assert check_whole(log) == before
        assert log.quarantined().num_rows == 1
        log.drain()
        with log.store.read() as txn:
            assert [txn.stat(log.store.db(name))["entries"] for name in ("buffer", "quarantine")] == [0, 0]
        with log.write() as writer:
            write(writer, 99)
        log.drain()
        assert log.buffered() == 0
        assert check_whole(log)[:-1] == before
        assert log.quarantined().num_rows == 1
        log.maintain()
        assert check_whole(log)[:-1] == before


def test_a_drain_beside_readers_and_writers_shows_every_row_once(tmp_path):
    """Reads between the steps: what is in the table already and in the buffer still must not be seen twice."""
    with open_log(tmp_path) as log, pytest.MonkeyPatch.context() as patch:
        with log.write() as writer:
            for i in range(6):
                write(writer, i)
        seen, step = [], drain.mark

        def read_then_mark(*given):
            with log.write() as writer:
                write(writer, 50)
            seen.append((log.events().column("_seq").to_pylist(), [row.seq for row in log.tail(0)]))
            step(*given)
            seen.append((log.events().column("_seq").to_pylist(), [row.seq for row in log.tail(0)]))
            patch.setattr(drain, "mark", step)

        patch.setattr(drain, "mark", read_then_mark)
        log.drain()
        assert seen == [(list(range(1, 8)), list(range(1, 8)))] * 2


def test_a_drain_ends_though_writers_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(drain, "BATCH_ROWS", 4)
    mark, marks = drain.mark, []
    with open_log(tmp_path) as log:
        with log.write() as writer:
            for i in range(10):
                write(writer, i)

        def write_and_mark(*given):
            marks.append(given)
            assert len(marks) < 10, "it does not end"
            with log.write() as writer:
                write(writer, log.head())
            mark(*given)

        monkeypatch.setattr(drain, "mark", write_and_mark)
        assert log.drain() >= 10
        assert log.buffered() > 0
        check_whole(log)


def test_a_drain_between_a_readers_two_looks_takes_nothing_from_it(tmp_path, monkeypatch):
    with open_log(tmp_path) as log:
        pin, draining = Tables.pin, []

        def pin_then_drain(tables, *given):
            pinned = pin(tables, *given)
            if not draining:
                draining.append(True)
                log.drain()
            return pinned

        monkeypatch.setattr(Tables, "pin", pin_then_drain)
        for read in (log.events, lambda: log.tail(0)):
            with log.write() as writer:
                write(writer, log.head())
            draining.clear()
            assert len(read()) == log.head()


step = st.one_of(
    st.tuples(st.just("events"), st.lists(st.integers(0, 40), min_size=1, max_size=4)),
    st.tuples(st.just("file"), st.lists(st.integers(0, 40), min_size=1, max_size=8)),
    st.tuples(st.just("outcome"), st.tuples(st.integers(0, 40), st.sampled_from(["yes", "no", ""]))),
    st.tuples(st.just("outcomes"), st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["yes", "no"])), max_size=6)),
    st.tuples(st.just("abort"), st.integers(0, 40)),
    st.tuples(st.just("drain"), st.none()),
    st.tuples(st.just("maintain"), st.none()),
    st.tuples(st.just("rebuild"), st.none()),
)


class Model:
    """What the log must hold, in plain Python."""

    def __init__(self) -> None:
        self.rows: list[tuple] = []
        self.at: dict[str, int] = {}
        self.value: dict[str, str] = {}

    def event(self, i: int) -> None:
        if f"p{i}" not in self.at:
            self.rows.append(("event", f"p{i}", values(i)))
            self.at[f"p{i}"] = len(self.rows)

    def outcome(self, i: int, value: str) -> None:
        if f"p{i}" in self.at and self.value.get(f"p{i}") != value:
            self.value[f"p{i}"] = value
            self.rows.append(("outcome", f"p{i}", value))


def perform(log: Log, model: Model, action: str, given) -> None:
    if action == "events":
        with log.write() as writer:
            for i in given:
                if writer.known(f"p{i}") is None:
                    write(writer, i)
                model.event(i)
    elif action == "file":
        log.append_events(*history_file(given))
        for i in given:
            model.event(i)
    elif action == "outcome":
        i, value = given
        with log.write() as writer:
            if writer.known(f"p{i}"):
                writer.outcome(f"p{i}", value, T0 + 10**6)
        model.outcome(i, value)
    elif action == "outcomes":
        known = pa.array([T0 + 10**6] * len(given), pa.timestamp("us", "UTC"))
        ids, labels = [f"p{i}" for i, _ in given], [value for _, value in given]
        log.append_outcomes(
            pa.table({"_id": pa.array(ids, pa.string()), "fraud": pa.array(labels, pa.string()), "_known_at": known})
        )
        for i, value in given:
            model.outcome(i, value)
    elif action == "abort":
        with pytest.raises(CrashError), log.write() as writer:
            if writer.known(f"p{given}") is None:
                write(writer, given)
            raise CrashError
    else:
        {"drain": log.drain, "maintain": log.maintain, "rebuild": log.history.rebuild}[action]()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, max_size=14))
def test_any_course_of_events_reads_as_the_plain_model_says(steps):
    with tempfile.TemporaryDirectory() as folder, open_log(Path(folder)) as log:
        log.history.require(BYS)
        model = Model()
        for action, given_ in steps:
            perform(log, model, action, given_)
        got = [
            ("event", row.id, row.values) if isinstance(row, EventRow) else ("outcome", row.id, row.value)
            for row in check_whole(log)
        ]
        assert got == model.rows
        for row in log.tail(0, 10**9):
            if isinstance(row, OutcomeRow):
                assert row.event_seq == model.at[row.id]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["gated", "alert"]),
            st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        ),
        max_size=4,
    )
)
@settings(max_examples=min(EXAMPLES, 10), deadline=None)
def test_the_same_decisions_give_the_same_hash(decisions):
    hashes = []
    for took in (1.0, 2.0):
        with tempfile.TemporaryDirectory() as folder, open_log(Path(folder)) as log:
            for kind, figures in decisions:
                reordered = dict(reversed(figures.items())) if took > 1 else figures
                log.journal.append(kind, T0, summary="s", evidence=reordered, observed={"seconds": took})
            log.journal.verify()
            hashes.append(log.journal.head_hash())
    assert hashes[0] == hashes[1]
