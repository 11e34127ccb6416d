import subprocess
import sys

import pyarrow as pa
import pytest
from msgspec.structs import replace

from modelwright.core.errors import UsageError, WorkspaceError
from modelwright.lake import drain, tables
from modelwright.lake.log import Log
from modelwright.lake.rows import QuarantineRow

T0 = 1_700_000_000_000_000


def fill(log, pay, numbers):
    with log.write() as writer:
        for i in numbers:
            seq = pay(writer, i)
            writer.prediction(seq, f"p{i}", T0 + i, T0 + i, "r1", "challenger", i % 2 == 0)
            writer.outcome(f"p{i}", i % 3 == 0, T0 + 100 + i)


def test_readers_see_tables_and_buffer_as_one(log, pay):
    fill(log, pay, range(5))
    before = log.events(), log.predictions(), log.outcomes(), log.tail(0)
    assert log.drain(at_least=16) == 0
    assert log.drain(at_least=15) == 15
    assert log.buffered() == 0
    assert (log.events(), log.predictions(), log.outcomes(), log.tail(0)) == before
    assert log.drain() == 0
    fill(log, pay, range(5, 8))
    assert log.events().column("pid").to_pylist() == [f"p{i}" for i in range(8)]
    assert log.events().column("_seq").to_pylist() == list(range(1, 24, 3))
    assert log.tail(0)[:15] == before[3]
    assert [row.seq for row in log.tail(0)] == list(range(1, 25))
    for after in (0, 3, 14, 15, 20, 24):
        for limit in (1, 2, 7, 100):
            assert [row.seq for row in log.tail(after, limit)] == list(range(after + 1, min(24, after + limit) + 1))
    with pytest.raises(UsageError, match="limit"):
        log.tail(0, 0)
    seqs = list(range(2, 24, 3))
    for after in (0, 1, 2, 14, 17, 23, 24):
        for upto in (None, 0, 2, 3, 14, 17, 23, 99):
            wanted = [seq for seq in seqs if after < seq and (upto is None or seq <= upto)]
            assert log.predictions(after, upto).column("seq").to_pylist() == wanted


def test_the_tables_have_the_declared_schema(log, schema, pay):
    fill(log, pay, range(3))
    log.drain()
    for table, want in ((log.events(), schema.events()), (log.predictions(), schema.predictions())):
        assert table.schema == want
    assert log.outcomes().schema == schema.outcomes()
    assert schema.outcomes().names == ["_seq", "_event_seq", "_id", "fraud", "_known_at", "_live"]
    assert log.events().schema.field("at").type == pa.timestamp("us", "UTC")
    assert log.outcomes().column("_event_seq").to_pylist() == [1, 4, 7]


def test_maintenance_keeps_every_row_and_the_place_of_the_drain(log, pay):
    for i in range(tables.SMALL_FILES):
        fill(log, pay, [i])
        log.drain()
    before = log.events(), log.tail(0)
    path = str(log.workspace.tables / "events")
    log.maintain()
    from deltalake import DeltaTable

    assert len(DeltaTable(path).file_uris()) == 1
    assert DeltaTable(path).transaction_version(tables.APP) == log.head()
    assert list((log.workspace.tables / "events" / "_delta_log").glob("*.checkpoint.parquet"))
    assert (log.events(), log.tail(0)) == before
    fill(log, pay, [99])
    log.drain()
    assert log.events().num_rows == tables.SMALL_FILES + 1


def test_only_one_drains_at_a_time(log, pay):
    fill(log, pay, range(2))
    with log.workspace.exclusive("drain"):
        assert log.drain() == 0
        log.maintain()
    assert log.drain() == 6


def test_a_damaged_table_is_one_clear_line(log, pay):
    fill(log, pay, range(2))
    log.drain()
    for file in (log.workspace.tables / "events").glob("*.parquet"):
        file.unlink()
    with pytest.raises(WorkspaceError, match=r"events: the table could not be read"):
        log.events()


def test_quarantined_rows_are_kept_through_a_drain(log, clock):
    rows = [QuarantineRow("a.csv", i, "amount", "not a number", f"x,{i}") for i in range(3)]
    log.quarantine(rows[:2])
    log.drain()
    log.drain()
    log.quarantine(rows[2:])
    table = log.quarantined()
    assert table.column("row").to_pylist() == [0, 1, 2]
    assert table.column("raw").to_pylist() == ["x,0", "x,1", "x,2"]
    assert table.column("at").cast("int64").to_pylist() == [clock.now_us()] * 3


def test_a_crash_while_quarantined_rows_are_drained_doubles_none(log, monkeypatch):
    log.quarantine([QuarantineRow("a.csv", i, "", "", "") for i in range(3)])
    with monkeypatch.context() as patch:
        append = log.tables.append

        def append_and_crash(*given):
            append(*given)
            raise MemoryError

        patch.setattr(log.tables, "append", append_and_crash)
        with pytest.raises(MemoryError):
            log.drain()
    for _ in range(2):
        assert log.quarantined().column("row").to_pylist() == [0, 1, 2]
        log.drain()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: replace(c, fields=c.fields[:-1]), "no field 'ok' any more"),
        (lambda c: replace(c, fields=(*c.fields, replace(c.fields[0], name="extra"))), "extra is new"),
        (lambda c: replace(c, fields=(replace(c.fields[0], kind="int"), *c.fields[1:])), "pid was str and is int"),
        (lambda c: replace(c, fields=c.fields[::-1]), "in the order pid, card"),
        (lambda c: replace(c, id=None), "id='pid'"),
    ],
)
def test_another_contract_is_refused_with_the_field_and_the_remedy(log, schema, workspace, clock, change, says):
    with pytest.raises(WorkspaceError, match=rf"{says}.*MODELWRIGHT_HOME"):
        Log.open(workspace, replace(schema, contract=change(schema.contract)), clock)


def test_limits_may_change_and_a_label_until_rows_carry_it(log, schema, workspace, clock, pay):
    limited = replace(schema.contract.fields[3], gt=0.0)
    contract = replace(schema.contract, fields=(*schema.contract.fields[:3], limited, *schema.contract.fields[4:]))
    Log.open(workspace, replace(schema, contract=contract), clock).close()
    Log.open(workspace, replace(schema, label="other", label_kind="str"), clock).close()
    Log.open(workspace, schema, clock).close()
    fill(log, pay, [1])
    with pytest.raises(WorkspaceError, match=r"label was fraud \(bool\) and is other \(str\)"):
        Log.open(workspace, replace(schema, label="other", label_kind="str"), clock)
    with Log.open(workspace, replace(schema, label=None, label_kind=None), clock) as unlabelled:
        assert unlabelled.outcomes().num_rows == 1


def test_reading_wants_a_log(workspace, schema, clock):
    with pytest.raises(WorkspaceError, match="no log yet"):
        Log.open(workspace, schema, clock, readonly=True)
    assert not workspace.root.exists()


def test_an_event_without_a_time_has_the_time_of_its_arrival(workspace, schema, clock):
    contract = replace(schema.contract, time=None)
    with Log.open(workspace, replace(schema, contract=contract), clock) as log:
        with log.write() as writer:
            writer.event("p1", T0 + 7, ["p1", "c", None, 1.0, 1, True], digest=b"")
        before = log.tail(0)
        log.drain()
        assert log.tail(0) == before
        assert before[0].at_us == before[0].arrived_us == T0 + 7


def test_opening_and_writing_import_no_table_library():
    code = "import sys, modelwright.lake.log; print([m for m in ('pyarrow', 'deltalake') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


def test_a_row_refused_twice_is_kept_once(log):
    refused = QuarantineRow("a.csv", 3, "amount", "is not a number", "{}")
    other = QuarantineRow("a.csv", 4, "amount", "is not a number", "{}")
    log.quarantine([refused])
    log.drain()
    log.quarantine([refused, other])
    assert log.quarantined()["row"].to_pylist() == [3, 4]


def left(log, name):
    with log.store.read() as txn:
        return txn.stat(log.store.db(name))["entries"]


def test_a_drain_with_nothing_to_move_clears_what_one_before_left_over(log, pay, monkeypatch):
    with log.write() as writer:
        pay(writer, 1)
    with monkeypatch.context() as patch:
        patch.setattr(drain, "clear", lambda log: None)
        assert log.drain() == 1
    assert (log.buffered(), left(log, "buffer")) == (0, 1)
    assert log.drain(at_least=100) == 0
    assert left(log, "buffer") == 0


def test_a_drain_with_nothing_else_to_move_takes_the_quarantine(log):
    log.quarantine([QuarantineRow("f.csv", 1, "at", "no time", "{}")])
    log.drain(at_least=100)
    assert left(log, "quarantine") == 0
    assert log.quarantined().num_rows == 1
