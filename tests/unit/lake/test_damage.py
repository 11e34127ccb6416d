"""What a damaged file of a table, a damaged journal row and a damaged schema say, and what goes on beside them."""

import random

import pytest

from modelwright.core.errors import WorkspaceError
from modelwright.lake import tables
from modelwright.lake.log import Log
from modelwright.lake.store import seq_key

T0 = 1_700_000_000_000_000


def files_of(workspace, table):
    return sorted((workspace.tables / table).glob("*.parquet"), key=lambda file: file.stat().st_mtime_ns)


def flip(file, place):
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


@pytest.fixture
def twice_drained(log, pay):
    """A log of two files of events, with outcomes and a few rows in the buffer."""
    log.history.require([("card",)])
    for start in (0, 100):
        with log.write() as writer:
            for i in range(start, start + 100):
                pay(writer, i, card=f"c{i % 3}", amount=i / 7)
            for i in range(start, start + 50):
                writer.outcome(f"p{i}", i % 2 == 0, T0 + 1_000)
        log.drain()
    with log.write() as writer:
        pay(writer, 200)
    return log


def test_any_bit_flipped_in_a_file_of_a_table_is_an_error_that_names_it(twice_drained, workspace):
    whole = twice_drained.events()
    first, _ = files_of(workspace, "events")
    data = first.read_bytes()
    chance = random.Random(5)
    for place in [0, len(data) - 1, *(chance.randrange(len(data)) for _ in range(40))]:
        flip(first, place)
        with pytest.raises(WorkspaceError, match=f"{first.name}.*damaged.*backup"):
            twice_drained.events()
        first.write_bytes(data)
    assert twice_drained.events() == whole


def test_what_lies_beside_a_damaged_file_is_read_and_written(twice_drained, workspace, schema, clock, pay):
    first, _ = files_of(workspace, "events")
    flip(first, 1000)
    with Log.open(workspace, schema, clock) as log:
        with pytest.raises(WorkspaceError, match=first.name):
            log.tail(0)
        assert [row.id for row in log.tail(150)][-1] == "p200"
        assert len(log.tail(150)) == log.head() - 150
        assert log.outcomes().num_rows == 100
        assert len(log.history.load(("card",), ("c1",))[0]) == 67
        with log.write() as writer:
            pay(writer, 201)
            assert writer.known("p3") is not None
        assert log.drain() > 0
        assert [part.num_rows for part in log.batches("events", after=150)] == [102]
    first.unlink()
    with Log.open(workspace, schema, clock) as log, pytest.raises(WorkspaceError, match=first.name):
        log.events()


def test_damage_is_not_compacted_into_a_whole_file(twice_drained, workspace, monkeypatch):
    monkeypatch.setattr(tables, "SMALL_FILES", 2)
    first, _ = files_of(workspace, "events")
    data = first.read_bytes()
    flip(first, 1000)
    with pytest.raises(WorkspaceError, match=first.name):
        twice_drained.maintain()
    first.write_bytes(data)
    whole = twice_drained.events()
    twice_drained.maintain()
    assert len(twice_drained.tables.pin("events", schema_of(twice_drained))._table.file_uris()) == 1
    assert twice_drained.events() == whole
    compacted = files_of(workspace, "events")[-1]
    flip(compacted, 1000)
    with pytest.raises(WorkspaceError, match=compacted.name):
        twice_drained.events()


def schema_of(log):
    return log.schema.events()


def test_a_file_that_a_crash_left_without_a_checksum_is_read_and_given_one(twice_drained, workspace):
    with (
        twice_drained.store.alone() as transaction,
        transaction.txn.cursor(db=twice_drained.store.db("meta")) as cursor,
    ):
        assert cursor.set_range(b"file ")
        while cursor.key().startswith(b"file "):
            cursor.delete()
    whole = twice_drained.events()
    twice_drained.maintain()
    first, _ = files_of(workspace, "events")
    flip(first, 1000)
    with pytest.raises(WorkspaceError, match=first.name):
        twice_drained.events()
    flip(first, 1000)
    assert twice_drained.events() == whole


def test_many_drains_leave_few_files_without_being_asked(log, pay, monkeypatch):
    monkeypatch.setattr(tables, "UPKEEP_COMMITS", 5)
    monkeypatch.setattr(tables, "SMALL_FILES", 3)
    for i in range(23):
        with log.write() as writer:
            pay(writer, i)
        log.drain()
    table = log.tables.pin("events", log.schema.events())._table
    assert len(table.file_uris()) < 8
    assert log.events().column("_seq").to_pylist() == list(range(1, 24))


def test_a_journal_row_that_was_altered_is_named_and_the_log_goes_on(log, pay):
    for number in range(3):
        log.journal.append("alert", T0 + number, summary=f"row {number}")
    with log.store.alone() as transaction:
        data = bytes(transaction.txn.get(seq_key(2), db=log.store.db("journal")))
        transaction.txn.put(seq_key(2), data.replace(b"row 1", b"row 7"), db=log.store.db("journal"))
    with pytest.raises(WorkspaceError, match=r"row 2 of the journal was altered.*backup"):
        log.journal.verify()
    with log.store.alone() as transaction:
        transaction.txn.put(seq_key(2), data[: len(data) // 2], db=log.store.db("journal"))
    with pytest.raises(WorkspaceError, match=r"row after 1 is damaged.*backup"):
        list(log.journal.rows())
    assert [row.seq for row in log.journal.rows(after=2)] == [3]
    log.journal.append("alert", T0, summary="goes on")
    with log.write() as writer:
        pay(writer, 1)
    assert log.head() == 1


def test_a_schema_that_cannot_be_read_is_said(log, workspace, schema, clock):
    with log.store.alone() as transaction:
        data = bytes(transaction.txn.get(b"schema", db=log.store.db("meta")))
        transaction.txn.put(b"schema", data[:-3], db=log.store.db("meta"))
    with pytest.raises(WorkspaceError, match="schema is not readable"):
        Log.open(workspace, schema, clock)
