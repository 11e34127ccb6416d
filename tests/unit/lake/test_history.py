import math
import subprocess
import sys

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from modelwright.core.errors import UsageError, WorkspaceError
from modelwright.lake import batches, chunks
from modelwright.lake.history import History
from modelwright.lake.log import Log

T0 = 1_700_000_000_000_000


def stored(log):
    """Every byte of the online state."""
    with log.store.read() as txn:
        return [(bytes(key), bytes(value)) for key, value in txn.cursor(db=log.store.db("history"))]


def test_a_key_has_its_rows_in_order_with_numbers_for_everything(log, pay):
    log.history.require([("card",), ()])
    with log.write() as writer:
        pay(writer, 3, card="a")
        pay(writer, 1, card="b", amount=None)
        pay(writer, 2, card="a")
        pay(writer, 4, card=None)
        writer.outcome("p3", True, T0 + 9)
    events, outcomes = log.history.load(("card",), ("a",))
    a = log.strings.find("card", "a")
    assert events["seq"].tolist() == [1, 3]
    assert events["at"].tolist() == [T0 + 3, T0 + 2]
    np.testing.assert_array_equal(events["values"][0], [1, a, T0 + 3, 1.5, 3, math.nan])
    assert outcomes[["known", "seq", "event_seq"]].tolist() == [(T0 + 9, 5, 1)]
    np.testing.assert_array_equal(outcomes["values"][0], [1, a, T0 + 3, 1.5, 3, math.nan, 1])
    assert math.isnan(log.history.load(("card",), ("b",))[0]["values"][0, 3])
    assert log.history.load((), ())[0]["seq"].tolist() == [1, 2, 3, 4]
    assert [len(rows) for rows in log.history.load(("card",), (None,))] == [0, 0]
    assert [len(rows) for rows in log.history.load(("card",), ("never",))] == [0, 0]


def test_a_transaction_sees_its_own_rows(log, pay):
    log.history.require([("card",)])
    with log.write() as writer:
        pay(writer, 1)
        assert log.history.load(("card",), ("c",))[0]["seq"].tolist() == [1]
        pay(writer, 2)
        assert log.history.load(("card",), ("c",))[0]["seq"].tolist() == [1, 2]
    assert log.history.load(("card",), ("c",))[0]["seq"].tolist() == [1, 2]


def test_history_asked_for_late_holds_what_was_written_before(log, pay):
    with log.write() as writer:
        pay(writer, 1)
        writer.outcome("p1", True, T0 + 3)
    log.drain()
    with log.write() as writer:
        pay(writer, 2)
    with pytest.raises(WorkspaceError, match="require"):
        log.history.load(("card",), ("c",))
    log.history.require([("card",)])
    events, outcomes = log.history.load(("card",), ("c",))
    assert (events["seq"].tolist(), outcomes["seq"].tolist()) == ([1, 3], [2])
    log.history.require([("card",), ("n",)])
    assert log.history.load(("n",), (2,))[0]["seq"].tolist() == [3]
    assert log.history.load(("card",), ("c",))[0]["seq"].tolist() == [1, 3]


def test_chunks_fill_a_page_and_then_begin_another(log, pay):
    log.history.require([()])
    capacity = (chunks.PAGE_BYTES - 8) // log.history.event_row.itemsize
    for start in range(0, 3 * capacity, 7):
        with log.write() as writer:
            for i in range(start, start + 7):
                pay(writer, i)
    sizes = [len(value) for _, value in stored(log)]
    assert max(sizes) <= chunks.PAGE_BYTES
    assert len(sizes) == -(-log.head() // capacity)
    assert log.history.load((), ())[0]["seq"].tolist() == list(range(1, log.head() + 1))


def test_bulk_and_single_rows_give_the_same_bytes(log, pay):
    log.history.require([("card",), (), ("amount", "ok")])
    n = 90
    at = pa.array([T0 + i for i in range(n)], pa.timestamp("us", "UTC"))
    names = [f"p{i}" for i in range(n)]
    cards = [None if i % 11 == 0 else f"c{i % 4}" for i in range(n)]
    amounts = [None if i % 7 == 0 else -0.0 if i % 7 == 1 else i % 5 - 1.0 for i in range(n)]
    oks = [[None, True, False][i % 3] for i in range(n)]
    table = pa.table({"_id": names, "pid": names, "card": cards, "at": at, "amount": amounts, "n": range(n), "ok": oks})
    log.append_events(table, [b"d"] * n)
    log.append_outcomes(pa.table({"_id": names, "fraud": [i % 2 == 0 for i in range(n)], "_known_at": at}))
    bulk = stored(log)
    log.history.drop()
    assert stored(log) == []
    log.history.require([("card",), (), ("amount", "ok")])
    assert stored(log) == bulk
    zero, minus_zero = (log.history.load(("amount", "ok"), (amount, True)) for amount in (0.0, -0.0))
    assert zero[0].tobytes() == minus_zero[0].tobytes()
    assert {math.copysign(1, amount) for amount in zero[0]["values"][:, 3]} == {1, -1}
    assert len(zero[1]) == len(zero[0])
    # The same rows one at a time, through the writer's own way of noting them.
    rows = log.tail(0)
    with log.store.alone() as transaction:
        transaction.txn.drop(log.store.db("history"), delete=False)
        for row in rows[:n]:
            log.history.add_event(transaction, row.seq, row.at_us, row.values, live=row.live)
        values = {row.seq: row.values for row in rows[:n]}
        for row in rows[n:]:
            log.history.add_outcome(transaction, row.seq, row.event_seq, row.known_us, row.value, values[row.event_seq])
        log.history.flush(transaction)
    assert stored(log) == bulk


def test_a_history_of_an_older_form_is_built_anew(log, pay):
    log.history.require([("card",)])
    with log.write() as writer:
        pay(writer, 1)
    new = stored(log)
    with log.store.alone() as transaction:  # as it was before rows said whether they are live
        meta, history = log.store.db("meta"), log.store.db("history")
        register = transaction.txn.pop(b"history, live rows marked", db=meta)
        transaction.txn.put(b"history", register, db=meta)
        transaction.txn.put(new[0][0], b"a chunk of another form", db=history)
    with log.write() as writer:
        pay(writer, 2)
    log.history.require([("card",)])
    assert log.history.load(("card",), ("c",))[0]["seq"].tolist() == [1, 2]
    assert log.history.load(("card",), ("c",))[0]["live"].tolist() == [True, True]


def test_integers_too_large_for_floats_stay_different_keys(log):
    log.history.require([("n",)])
    big = 2**60
    with log.write() as writer:
        for i in (1, 2):
            writer.event(f"p{i}", T0, [f"p{i}", "c", T0, 1.0, big + i, True], digest=b"")
    single = stored(log)
    assert len(log.history.load(("n",), (big + 1,))[0]) == 1
    log.history.rebuild()
    assert stored(log) == single


def test_keys_of_any_length_stay_apart(log):
    log.history.require([("card",)])
    cards = ["", "a", "aa", "x" * 600, "x" * 601, "\x00"]
    with log.write() as writer:
        for i, card in enumerate(cards):
            writer.event(f"p{i}", T0, [f"p{i}", card, T0, 1.0, 1, True], digest=b"")
    for i, card in enumerate(cards):
        assert log.history.load(("card",), (card,))[0]["seq"].tolist() == [i + 1]


def flip(value):
    return value[:-1] + bytes([value[-1] ^ 1])


DAMAGES = {
    "a bit flipped": flip,
    "a row lost": lambda value: value[:-64],
    "cut off": lambda value: value[:5],
    "a count wrong": lambda value: value[:4] + bytes([value[4] ^ 1]) + value[5:],
}


def damage(log, place: int, how) -> None:
    key, value = stored(log)[place]
    with log.store.alone() as transaction:
        transaction.txn.put(key, how(value), db=log.store.db("history"))


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("drained", [True, False])
def test_damage_is_named_and_a_reader_finds_it_repaired_and_told_of_once(log, pay, how, drained):
    log.history.require([("card",), ()])
    with log.write() as writer:
        for i in range(150):
            pay(writer, i, card="other" if i % 3 else "c")
        for i in range(0, 150, 3):
            writer.outcome(f"p{i}", i % 2 == 0, T0 + 1000)
    if drained:
        log.drain()
    whole = stored(log)
    places = [place for place, (key, _) in enumerate(whole) if key[0:1] + key[2:3] in (b"e\x00", b"o\x00")]
    assert log.history.verify() == []
    damage(log, places[0], how)
    damage(log, places[-1], how)
    first, *_, last = log.history.verify()
    assert first.startswith("events by ('card',), key ('c',), chunk 0")
    assert last.startswith("outcomes by")
    events, outcomes = log.history.load(("card",), ("c",))
    assert events["seq"].tolist() == list(range(1, 151, 3))
    assert len(outcomes) == 50
    assert stored(log) == whole, "the other damaged key was repaired with it"
    log.history.load((), ())
    (told,) = log.journal.rows()
    assert told.kind == "error"
    assert told.evidence == {"chunks": 2, "damaged": [first, last]}


def test_damage_met_in_the_middle_of_a_write_is_repaired_with_that_write(log, pay):
    log.history.require([("card",)])
    with log.write() as writer:
        pay(writer, 1)
        pay(writer, 2)
    damage(log, 0, flip)
    with log.write() as writer:
        pay(writer, 3)
        writer.outcome("p1", True, T0 + 9)
        events, outcomes = log.history.load(("card",), ("c",))
        assert (events["seq"].tolist(), outcomes["seq"].tolist()) == ([1, 2, 3], [4])
        pay(writer, 4)
    whole = stored(log)
    assert [len(rows) for rows in log.history.load(("card",), ("c",))] == [4, 1]
    log.history.rebuild()
    assert stored(log) == whole


def test_rows_added_to_a_damaged_chunk_do_not_hide_the_damage(log, pay):
    log.history.require([("card",)])
    for how in DAMAGES.values():
        with log.write() as writer:
            pay(writer, log.head())
        damage(log, 0, how)
        with log.write() as writer:
            pay(writer, log.head())
        assert log.history.verify() != []
        assert len(log.history.load(("card",), ("c",))[0]) == log.head()
        assert log.history.verify() == []


def test_a_missing_chunk_is_damage_too(log, pay):
    log.history.require([()])
    with log.write() as writer:
        for i in range(150):
            pay(writer, i)
    key = stored(log)[1][0]
    with log.store.alone() as transaction:
        transaction.txn.delete(key, db=log.store.db("history"))
    (named,) = log.history.verify()
    assert named.endswith("chunk 2")
    assert len(log.history.load((), ())[0]) == 150


def test_who_may_only_read_is_told_of_damage_and_leaves_it(log, workspace, schema, clock, pay):
    log.history.require([("card",)])
    with log.write() as writer:
        pay(writer, 1)
        pay(writer, 2, card="other")
    damage(log, 0, flip)
    before = stored(log)
    with Log.open(workspace, schema, clock, readonly=True) as reader:
        with pytest.raises(WorkspaceError, match=r"\('c',\) is damaged .chunk 0.*read only"):
            reader.history.load(("card",), ("c",))
        assert len(reader.history.load(("card",), ("other",))[0]) == 1
    assert stored(log) == before


def test_a_repair_that_cannot_be_made_changes_nothing(log, pay, monkeypatch):
    log.history.require([("card",)])
    with log.write() as writer:
        pay(writer, 1)
    damage(log, 0, flip)
    before = stored(log)

    def lost(*_):
        raise WorkspaceError("the table is damaged")

    with monkeypatch.context() as patch, log.write() as writer:
        patch.setattr(log, "batches", lost)
        with pytest.raises(WorkspaceError, match="the table"):
            log.history.load(("card",), ("c",))
        pay(writer, 2, card="other")
    assert [pair for pair in stored(log) if pair in before] == before
    assert len(log.history.load(("card",), ("c",))[0]) == 1


def test_a_history_built_in_parts_is_the_one_that_grew(log, pay, monkeypatch):
    monkeypatch.setattr(batches, "SPAN", 7)
    bys = [("card",), (), ("n",)]
    log.history.require(bys)
    for start in range(0, 60, 12):
        with log.write() as writer:
            for i in range(start, start + 12):
                pay(writer, i, card=f"c{i % 3}" if i % 5 else None)
                if i % 2:
                    writer.outcome(f"p{i // 2}", i % 3 == 0, T0 + 100 + i)
        if start < 36:
            log.drain()
    grown = stored(log)
    log.history.rebuild()
    assert stored(log) == grown
    names = [f"b{i}" for i in range(40)]
    columns = {"card": ["x"] * 40, "amount": [1.0] * 40, "n": range(40), "ok": [None] * 40}
    at = pa.array([T0] * 40, pa.timestamp("us", "UTC"))
    log.append_events(pa.table({"_id": names, "pid": names, "at": at} | columns), [b"d"] * 40)
    assert pa.concat_tables(log.batches("events")) == log.events()
    assert pa.concat_tables(log.batches("outcomes")) == log.outcomes()
    seqs = log.events().column("_seq").to_pylist()
    for after, upto in ((0, 10), (9, 9), (30, 45), (seqs[-30], seqs[-3]), (seqs[-1], None)):
        found = [seq for part in log.batches("events", after, upto) for seq in part.column("_seq").to_pylist()]
        assert found == [seq for seq in seqs if after < seq <= (upto or seqs[-1])]
    wanted = seqs[3::9]
    assert log.events_at(np.array(wanted * 2)).column("_seq").to_pylist() == wanted


def test_a_history_that_is_there_needs_no_table_library(log, workspace, schema, pay):
    """What a serving process holds in memory depends on it."""
    code = f"""
import sys
from pathlib import Path
from modelwright.core.clock import SimulatedClock
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
import msgspec
schema = msgspec.json.decode({msgspec.json.encode(schema)!r}, type=LogSchema)
with Log.open(Workspace(Path({str(workspace.root)!r})), schema, SimulatedClock(0)) as log:
    log.history.require([("card",)])
    assert len(log.history.load(("card",), ("c",))[0]) == {{rows}}
assert not {{"pyarrow", "pandas", "deltalake"}} & set(sys.modules)
"""

    def check(rows):
        subprocess.run([sys.executable, "-c", code.replace("{rows}", str(rows))], check=True)

    check(0)  # an empty log: nothing to build from
    with log.write() as writer:
        pay(writer, 1)
    check(1)


def test_a_column_that_is_not_the_events_is_refused(log):
    with pytest.raises(UsageError, match="'nope'"):
        log.history.require([("nope",)])


def test_what_two_processes_require_grows_in_both(log, workspace, schema, clock, pay):
    log.history.require([("card",)])
    other = History(log.store, schema, log.strings, log, readonly=False)
    other.require([("n",)])
    with log.write() as writer:
        pay(writer, 1)
    assert len(log.history.load(("n",), (1,))[0]) == 1


def test_a_key_too_long_to_be_a_name_is_repaired_like_any_other(log):
    log.history.require([("card",)])
    with log.write() as writer:
        for i, card in enumerate(["x" * 600, "x" * 601, "x" * 600]):
            writer.event(f"p{i}", T0, [f"p{i}", card, T0, 1.0, 1, True], digest=b"")
    whole = stored(log)
    for place in range(len(whole)):
        damage(log, place, flip)
    assert len(log.history.verify()) == 2
    assert log.history.load(("card",), ("x" * 600,))[0]["seq"].tolist() == [1, 3]
    assert stored(log) == whole
