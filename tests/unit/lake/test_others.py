"""Rows of another event than the system's: in the same order, under ids, in tables and in histories of their own."""

import subprocess
import sys

import pyarrow as pa
import pytest
from msgspec.structs import replace

from modelwright.core.errors import ConflictError, ContractError, DataError, UsageError, WorkspaceError
from modelwright.lake import drain
from modelwright.lake.log import Log
from modelwright.lake.rows import Appended, EventRow, OtherRow
from modelwright.spec.contract import Contract, Field

T0 = 1_700_000_000_000_000
UTC = pa.timestamp("us", "UTC")
BYS = [("card",), (), ("device", "tries")]


def contract(name="Login", **changed):
    kinds = {"lid": "str", "card": "str", "when": "time", "device": "str", "tries": "int"}
    fields = tuple(
        Field(name=field, kind=kind, column=field, nullable=field == "device") for field, kind in kinds.items()
    )
    return replace(Contract(name=name, fields=fields, id="lid", entity="card", time="when"), **changed)


@pytest.fixture
def schema(schema):
    return replace(schema, others=(contract(),))


def login(writer, i, id=None, **more):
    id = f"l{i}" if id is None else id
    return writer.other(
        "Login",
        id,
        T0 + i,
        [id, f"c{i % 2}", T0 + i, None if i % 5 == 0 else f"d{i % 3}", i],
        digest=b"l%d" % i,
        **more,
    )


def logins(numbers, **changed):
    numbers = list(numbers)
    columns = {
        "_id": [f"l{i}" for i in numbers],
        "lid": [f"l{i}" for i in numbers],
        "card": [f"c{i % 2}" for i in numbers],
        "when": pa.array([T0 + i for i in numbers], UTC),
        "device": pa.array([None if i % 5 == 0 else f"d{i % 3}" for i in numbers], pa.string()),
        "tries": pa.array(numbers, pa.int64()),
    }
    return pa.table(columns | changed), [b"l%d" % i for i in numbers]


def state(log):
    with log.store.read() as txn:
        return [(bytes(key), bytes(value)) for key, value in txn.cursor(db=log.store.db("history"))]


def test_all_rows_have_one_order(log, pay):
    with log.write() as writer:
        assert [pay(writer, 1), login(writer, 2), pay(writer, 3)] == [1, 2, 3]
        assert writer.known("l2") is None
        assert writer.known("l2", "Login").seq == 2
    log.append_events(*logins(range(4, 6)), "Login")
    before = log.tail(0)
    assert [row.seq for row in before] == [1, 2, 3, 4, 5]
    assert [type(row) for row in before] == [EventRow, OtherRow, EventRow, OtherRow, OtherRow]
    assert before[1] == OtherRow("Login", 2, "l2", T0 + 2, True, T0, ["l2", "c0", T0 + 2, "d2", 2])
    assert before[3] == OtherRow("Login", 4, "l4", T0 + 4, False, T0, ["l4", "c0", T0 + 4, "d1", 4])
    assert log.counts() == {"events": 2, "predictions": 0, "outcomes": 0, "others": 3}
    tables = log.events(), log.events("Login")
    assert tables[1]["_seq"].to_pylist() == [2, 4, 5]
    assert tables[1].schema == log.schema.events("Login")
    assert log.drain() == 5
    assert log.buffered() == 0
    assert (log.tail(0), (log.events(), log.events("Login"))) == (before, tables)
    assert [row.seq for row in log.tail(1, 2)] == [2, 3]
    assert (log.workspace.tables / "events.Login").is_dir()
    log.maintain()
    assert log.tail(0) == before


def test_an_id_of_one_event_is_no_id_of_another(log, pay):
    with log.write() as writer:
        pay(writer, 1)
        login(writer, 1, id="p1")
        with pytest.raises(ConflictError):
            login(writer, 2, id="p1")
    assert log.append_events(*logins([1]), "Login") == Appended(added=1)
    same, other = logins([1]), logins([1], tries=pa.array([9], pa.int64()))
    assert log.append_events(*same, "Login") == Appended(duplicates=1)
    assert log.append_events(other[0], [b"x"], "Login") == Appended(conflicts=1, conflict_rows=(0,))
    assert [row.id for row in log.tail(0)] == ["p1", "p1", "l1"]


@pytest.mark.parametrize("id", ["", "x" * 600, "Login\0l1", "ü" * 250])
def test_any_text_is_an_id(log, id):
    with log.write() as writer:
        login(writer, 1, id=id)
    with log.write() as writer:
        assert (writer.known(id), writer.known(id, "Login").seq) == (None, 1)


def test_what_is_not_of_the_contract_is_refused(log):
    with log.write() as writer:
        with pytest.raises(ContractError, match="tries: the log cannot hold it"):
            writer.other("Login", "l1", T0, ["l1", "c", T0, None, "one"], digest=b"")
        with pytest.raises(ContractError, match="when: the event's time is"):
            writer.other("Login", "l1", T0, ["l1", "c", T0 + 1, None, 1], digest=b"")
    with pytest.raises(DataError, match="no column 'when'"):
        log.append_events(logins([1])[0].drop_columns("when"), [b""], "Login")
    with pytest.raises(UsageError, match="Refund is no event of this log; it knows Login"):
        log.events("Refund")
    assert log.head() == 0


def test_each_event_has_histories_of_its_own(log, pay):
    log.history.require([("card",)])
    with log.write() as writer:
        pay(writer, 1, card="c0")
        login(writer, 2)
        login(writer, 5)
    log.append_events(*logins(range(6, 40)), "Login")
    log.history.require(BYS, "Login")
    with log.write() as writer:
        login(writer, 40)
        pay(writer, 41, card="c0")
        assert len(log.history.of("Login").load(("card",), ("c0",))[0]) == 19
    log.append_events(*logins([42]), "Login")
    assert log.history.load(("card",), ("c0",))[0]["seq"].tolist() == [1, 39]
    rows, outcomes = log.history.of("Login").load(("card",), ("c0",))
    assert rows["at"].tolist() == [T0 + i for i in (2, *range(6, 42, 2), 42)]
    assert len(outcomes) == 0
    assert rows["values"][:, 4].tolist() == [2, *range(6, 42, 2), 42]
    assert {log.strings.text_of("Login.device", int(n)) for n in rows["values"][:, 3] if n == n} == {"d0", "d1", "d2"}
    assert rows["values"][0, 0] == 2 == log.strings.find("Login.lid", "l2")  # its own id is its number in the log
    assert log.strings.text_of("Login.lid", 2) == "l2"
    assert len(log.history.of("Login").load((), ())[0]) == 38
    assert log.history.of("Login").load(("device", "tries"), ("d2", 2))[0]["seq"].tolist() == [2]
    kept = state(log)
    for _ in range(2):
        log.history.rebuild()
        assert state(log) == kept
        assert log.history.verify() == []
        log.drain()
    with log.store.alone() as transaction, transaction.txn.cursor(db=log.store.db("history")) as cursor:
        key, value = next((key, value) for key, value in kept if key[:3] == b"e\0\1")
        cursor.put(key, value[:-1] + bytes([value[-1] ^ 1]))
    (damaged,) = log.history.verify()
    assert damaged.startswith("Login by ('card',), key ('c")


def test_texts_of_one_name_are_numbered_apart(log, pay):
    log.history.require([("card",)])
    log.history.require([("card",)], "Login")
    with log.write() as writer:
        for i, card in enumerate(("x", "y", "c1")):
            pay(writer, i, card=card)
        login(writer, 1)
    assert log.strings.find("card", "c1") == 2
    assert log.strings.find("Login.card", "c1") == 0
    assert log.strings.find("Login.card", "x") is None


def test_a_log_of_before_takes_a_new_event(workspace, schema, clock, pay):
    old = replace(schema, others=())
    with Log.open(workspace, old, clock) as log:
        log.history.require([("card",)])
        with log.write() as writer:
            pay(writer, 1)
        log.drain()
        before, kept = log.tail(0), state(log)
        with log.store.alone() as transaction:  # the counters as they were written before there were others
            meta = log.store.db("meta")
            transaction.txn.put(b"counters", bytes(transaction.txn.get(b"counters", db=meta))[:40], db=meta)
    with Log.open(workspace, schema, clock) as log:
        assert (log.tail(0), state(log)) == (before, kept)
        log.history.require([("card",)], "Login")
        with log.write() as writer:
            assert (login(writer, 2), pay(writer, 3)) == (2, 3)
        assert log.counts() == {"events": 2, "predictions": 0, "outcomes": 0, "others": 1}
    with Log.open(workspace, old, clock) as log:  # no longer declared: its rows are in the log all the same
        assert log.schema.others == schema.others
        assert log.drain() == 2
        assert [row.seq for row in log.tail(0)] == [1, 2, 3]
    both = replace(schema, others=(contract("Refund"), *schema.others))
    with Log.open(workspace, both, clock) as log:
        assert [other.name for other in log.schema.others] == ["Login", "Refund"]
        assert log.strings.find("Login.card", "c0") == 0
    with Log.open(workspace, both, clock, readonly=True) as log:
        assert log.events("Refund").num_rows == 0


def test_another_contract_of_another_event_is_refused(log, schema, workspace, clock):
    changed = replace(schema, others=(contract(id=None),))
    with pytest.raises(WorkspaceError, match=r"Login had id='lid', time='when' and has id=None.*MODELWRIGHT_HOME"):
        Log.open(workspace, changed, clock)


HOLD = "import sys, time\nfrom pathlib import Path\nfrom modelwright.lake.workspace import Workspace\n"
HOLD += "with Workspace(Path(sys.argv[1])).exclusive('run'):\n    print('held', flush=True)\n    sys.stdin.read()\n"


def test_a_new_event_waits_for_a_run_that_does_not_know_it(log, schema, workspace, clock):
    more = replace(schema, others=(*schema.others, contract("Refund")))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdout.readline() == b"held\n"
        with pytest.raises(WorkspaceError, match=rf"Refund is new to this log.*\(process {run.pid}\)"):
            Log.open(workspace, more, clock)
        Log.open(workspace, schema, clock).close()
        run.stdin.close()
    with workspace.exclusive("run"):  # the run itself
        Log.open(workspace, more, clock).close()


class CrashError(Exception):
    """Stands for the process ending at that moment."""


def test_a_crash_between_any_two_steps_of_a_drain_loses_and_doubles_nothing(log, pay, monkeypatch):
    monkeypatch.setattr(drain, "BATCH_ROWS", 4)
    log.append_events(*logins(range(3)), "Login")
    with log.write() as writer:
        for i in range(3, 8):
            (pay if i % 2 else login)(writer, i)
    log.append_events(*logins(range(8, 10)), "Login")
    before = log.tail(0)
    steps = [(log.tables, "append"), (drain, "mark"), (drain.buffer, "delete_upto")]
    for crash_at in range(1, 40):
        passed = 0
        with monkeypatch.context() as patch:

            def step(function):
                def stepped(*given, **named):
                    nonlocal passed
                    passed += 1
                    if passed == crash_at:
                        raise CrashError
                    result = function(*given, **named)
                    passed += 1
                    if passed == crash_at:
                        raise CrashError
                    return result

                return stepped

            for owner, name in steps:
                patch.setattr(owner, name, step(getattr(owner, name)))
            try:
                log.drain()
                done = True
            except CrashError:
                done = False
        assert log.tail(0) == before
        assert log.events("Login")["_seq"].to_pylist() == [row.seq for row in before if isinstance(row, OtherRow)]
        if done:
            return
        with log.write() as writer:
            login(writer, 100 + crash_at)
        before = log.tail(0)
    raise AssertionError("the drain was never done")


def test_a_damaged_history_of_another_event_is_repaired_from_its_own_table(log, pay):
    log.history.require([("card",)])
    log.history.require([("card",)], "Login")
    with log.write() as writer:
        for i in range(6):
            pay(writer, i, card="c0")
            login(writer, i)
    log.drain()
    whole = state(log)
    with log.store.alone() as transaction:
        for key, value in whole:
            transaction.txn.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=log.store.db("history"))
    assert [name.partition(" ")[0] for name in log.history.verify()] == ["events", "Login", "Login"]
    assert log.history.load(("card",), ("c0",), "Login")[0]["at"].tolist() == [T0, T0 + 2, T0 + 4]
    assert state(log) == whole
