import math

import numpy as np
import pyarrow as pa
import pytest

from modelwright.core.errors import UsageError, WorkspaceError
from modelwright.lake import chunks
from modelwright.lake.history import History

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


def test_damage_is_found_named_and_repaired(log, pay):
    log.history.require([("card",)])
    with log.write() as writer:
        pay(writer, 1)
        pay(writer, 2, card="other")
    whole = stored(log)
    assert log.history.verify() == []
    key, value = whole[0]
    with log.store.alone() as transaction:
        transaction.txn.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=log.store.db("history"))
    (named,) = log.history.verify()
    assert "card" in named and "'c'" in named and "chunk 0" in named
    with pytest.raises(WorkspaceError, match=r"damaged.*rebuild"):
        log.history.load(("card",), ("c",))
    assert len(log.history.load(("card",), ("other",))[0]) == 1
    with log.write() as writer:
        pay(writer, 3)
    assert len(log.history.verify()) == 1, "rows added to a damaged chunk must not hide the damage"
    log.history.rebuild()
    assert log.history.verify() == []
    assert log.history.load(("card",), ("c",))[0]["seq"].tolist() == [1, 3]


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
