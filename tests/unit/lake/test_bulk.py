import pyarrow as pa
import pytest

from modelwright.core.errors import DataError, UsageError
from modelwright.lake import bulk
from modelwright.lake.identity import Known
from modelwright.lake.rows import Appended, EventRow

T0 = 1_700_000_000_000_000
UTC = pa.timestamp("us", "UTC")


def payments(numbers, **changed):
    numbers = list(numbers)
    columns = {
        "_id": [f"p{i}" for i in numbers],
        "pid": [f"p{i}" for i in numbers],
        "card": [f"c{i % 3}" for i in numbers],
        "at": pa.array([T0 + i for i in numbers], UTC),
        "amount": pa.array([i * 0.5 for i in numbers], pa.float64()),
        "n": pa.array(numbers, pa.int64()),
        "ok": pa.array([None for _ in numbers], pa.bool_()),
    }
    return pa.table(columns | changed), [b"d%d" % i for i in numbers]


def outcomes(ids, values, known):
    return pa.table({"_id": ids, "fraud": pa.array(values, pa.bool_()), "_known_at": pa.array(known, UTC)})


def test_a_file_enters_once_whatever_it_repeats(log, monkeypatch):
    monkeypatch.setattr(bulk, "SLICE_ROWS", 4)
    table, digests = payments([*range(10), 3])
    digests[-1] = b"other"
    assert log.append_events(table, digests) == Appended(added=10, conflicts=1, conflict_rows=(10,))
    again = log.append_events(*payments(range(12)))
    assert (again.added, again.duplicates, again.conflicts) == (2, 10, 0)
    log.drain()
    assert log.append_events(*payments(range(12))).duplicates == 12
    assert log.counts()["events"] == log.head() == log.events().num_rows == 12
    assert log.events().column("n").to_pylist() == list(range(12))
    assert log.events().column("_live").to_pylist() == [False] * 12


def test_a_bulk_row_reads_as_a_single_one_does(log, pay):
    log.append_events(*payments([1]))
    with log.write() as writer:
        assert writer.known("p1") == Known(1, b"d1", None)
        assert writer.event_values("p1") == (1, T0 + 1, ["p1", "c1", T0 + 1, 0.5, 1, None])
        pay(writer, 2)
    assert log.tail(0)[0] == EventRow(1, "p1", T0 + 1, False, T0, ["p1", "c1", T0 + 1, 0.5, 1, None])
    assert [row.id for row in log.tail(0)] == ["p1", "p2"]


def test_tail_cuts_batches_anywhere(log, pay):
    log.append_events(*payments(range(5)))
    with log.write() as writer:
        pay(writer, 100)
    log.append_events(*payments(range(10, 13)))
    for after in range(10):
        for limit in (1, 3, 20):
            assert [row.seq for row in log.tail(after, limit)] == list(range(after + 1, min(9, after + limit) + 1))


def test_outcomes_join_their_events(log):
    log.append_events(*payments(range(4)))
    ids = ["p0", "p1", "p1", "p9", "p0", "p2", "p3"]
    done = log.append_outcomes(outcomes(ids, [True, True, False, True, True, None, True], [T0 + 50] * 6 + [0]))
    assert done == Appended(added=4, duplicates=1, unknown=1, unknown_rows=(3,))
    table = log.outcomes()
    assert table.column("_id").to_pylist() == ["p0", "p1", "p1", "p3"]
    assert table.column("_event_seq").to_pylist() == [1, 2, 2, 4]
    assert table.column("_known_at").cast("int64").to_pylist() == [T0 + 50] * 3 + [T0 + 4]
    with log.write() as writer:
        assert writer.outcome("p1", False, T0 + 60) is None
        assert writer.outcome("p1", True, T0 + 60)
    assert log.append_outcomes(outcomes(["p1"], [True], [T0])).duplicates == 1


def test_naive_times_mean_utc_and_other_units_are_taken(log):
    table, digests = payments([1], at=pa.array([T0 // 1_000_000], pa.timestamp("s")))
    log.append_events(table, digests)
    assert log.tail(0)[0].at_us == T0


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"amount": pa.array(["much"])}, "amount"),
        ({"_id": pa.array([None], pa.string())}, "_id.*missing"),
        ({"at": pa.array([None], UTC)}, "at.*missing"),
        ({"n": pa.array([1.5])}, "'n'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_whole(log, changed, says):
    with pytest.raises(DataError, match=says):
        log.append_events(*payments([1], **changed))
    assert log.head() == 0


def test_columns_and_digests_must_be_there(log):
    table, digests = payments([1])
    with pytest.raises(DataError, match="'card'"):
        log.append_events(table.drop(["card"]), digests)
    with pytest.raises(UsageError, match="digests"):
        log.append_events(table, [])


def test_an_empty_table_adds_nothing(log):
    assert log.append_events(*payments([])) == Appended()
    assert log.append_outcomes(outcomes([], [], [])) == Appended()
