import hashlib
from datetime import UTC, datetime

import msgspec

from modelwright.ingest.files import checked_batches, rows_of
from modelwright.ingest.identity import occurrence_ids, row_digest


def test_a_digest_is_of_the_values_and_nothing_else():
    assert row_digest(["a", 1.5, None, True]) == row_digest(("a", 1.5, None, True))
    assert len(row_digest([])) == 16


def test_different_bodies_have_different_digests():
    bodies = [
        ["a"],
        ["b"],
        ["a", None],
        [None, "a"],
        [1],
        [1.0],
        [True],
        ["1"],
        [None],
        [],
        ["a", "b"],
        ["ab", ""],
        [-0.0],
        [0.0],
    ]
    assert len({row_digest(body) for body in bodies}) == len(bodies)


def test_a_digest_stays_what_it_was():
    # Ids in logs and files are made of it: another value here loses every log written before.
    assert row_digest(["a", 1.5, None]) == hashlib.sha256(b'["a",1.5,null]').digest()[:16]


def test_equal_rows_are_told_apart_by_their_occurrence():
    a, b = row_digest(["a"]), row_digest(["b"])
    seen: dict[bytes, int] = {}
    assert occurrence_ids([a, b, a], seen) == [a.hex(), b.hex(), f"{a.hex()}-2"]
    assert occurrence_ids([a, b], seen) == [f"{a.hex()}-3", f"{b.hex()}-2"]
    assert occurrence_ids([a], {}) == [a.hex()]


def test_times_are_hashed_as_microseconds(checked, contract):
    read = checked("a.csv", "pid,at,amount\nx,1970-01-01T00:00:01Z,1\n")
    assert list(rows_of(read.batches[0].events, contract)) == [("x", 1_000_000, 1.0, None)]
    assert read.column("at") == [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]
    assert read.batches[0].digests == [row_digest(("x", 1_000_000, 1.0, None))]


def test_digests_are_left_out_where_neither_log_nor_id_wants_them(write, contract):
    path = write("a.csv", "pid,at,amount\nx,1970-01-01T00:00:01Z,1\nx,1970-01-01T00:00:01Z,1\n")
    for nameless in (False, True):
        asked = msgspec.structs.replace(contract, id=None) if nameless else contract
        (full,), (lean,) = (
            [batch for batch in checked_batches(path, asked, None, digests=digests) if batch.rows]
            for digests in (True, False)
        )
        assert lean.events.equals(full.events)
        assert (len(full.digests), len(lean.digests)) == (2, 2 if nameless else 0)
