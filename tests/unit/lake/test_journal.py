import hashlib
import json

import pytest
from msgspec.structs import replace

from modelwright.core.errors import ConflictError, UsageError, WorkspaceError
from modelwright.lake.journal import NO_HASH, JournalRow, Pointer
from modelwright.lake.rows import pack
from modelwright.lake.store import seq_key


def decide(journal, n=3):
    return [
        journal.append("gated", i * 1_000_000, release=f"r{i}", summary="ok", evidence={"auc": i / 7, "pair": (1, 2)})
        for i in range(n)
    ]


def put(log, seq, row):
    with log.store.alone() as transaction:
        if row is None:
            transaction.txn.delete(seq_key(seq), db=log.store.db("journal"))
        else:
            transaction.txn.put(seq_key(seq), pack(row), db=log.store.db("journal"))


def test_rows_are_chained_and_read_back(log):
    written = decide(log.journal)
    assert list(log.journal.rows()) == written
    assert list(log.journal.rows(after=2)) == written[2:]
    assert [row.prev_hash for row in written] == [NO_HASH, written[0].hash, written[1].hash]
    assert log.journal.head_hash() == written[-1].hash
    assert written[1].at == "1970-01-01T00:00:01Z"
    log.journal.verify()


def test_the_hash_is_the_documented_one_and_leaves_out_what_was_observed(log):
    row = log.journal.append("alert", 0, summary="é", evidence={"b": 1, "a": 0.1}, observed={"seconds": 1.25})
    body = {
        "at": "1970-01-01T00:00:00Z",
        "evidence": {"a": 0.1, "b": 1},
        "kind": "alert",
        "prev_hash": "0" * 64,
        "release": None,
        "seq": 1,
        "summary": "é",
    }
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    assert row.hash == hashlib.sha256(text.encode()).hexdigest()
    assert replace(row, observed={}).expected_hash() == row.hash


def test_an_empty_journal(log):
    assert log.journal.head_hash() == NO_HASH
    assert log.journal.pointer() == Pointer()
    log.journal.verify()


@pytest.mark.parametrize("member", ["seq", "at", "kind", "release", "summary", "evidence", "prev_hash", "hash"])
def test_a_change_to_any_member_is_found_and_the_row_named(log, member):
    rows = decide(log.journal, 4)
    other = {"seq": 9, "kind": "promoted", "evidence": {"auc": 1}}.get(member, "f" * 64)
    put(log, 2, replace(rows[1], **{member: other}))
    with pytest.raises(WorkspaceError, match="row 2 of the journal was altered"):
        log.journal.verify()


def test_rows_taken_out_or_added_are_found(log):
    rows = decide(log.journal, 4)
    put(log, 4, None)
    with pytest.raises(WorkspaceError, match="row 4 .*missing"):
        log.journal.verify()
    put(log, 4, rows[3])
    log.journal.verify()
    put(log, 2, None)
    with pytest.raises(WorkspaceError, match="row 2 .*missing"):
        log.journal.verify()
    put(log, 2, rows[1])
    forged = JournalRow(5, "x", "alert", None, "", {}, {}, rows[3].hash, "")
    put(log, 5, replace(forged, hash=forged.expected_hash()))
    with pytest.raises(WorkspaceError, match="row 5 .*ends in row 4"):
        log.journal.verify()


def test_a_rewritten_end_with_good_hashes_is_found(log):
    rows = decide(log.journal, 2)
    forged = replace(rows[1], summary="never happened")
    put(log, 2, replace(forged, hash=forged.expected_hash()))
    with pytest.raises(WorkspaceError, match="row 2 .*journal ended in"):
        log.journal.verify()


def test_a_rewritten_row_with_a_good_hash_breaks_the_chain_behind_it(log):
    rows = decide(log.journal, 3)
    forged = replace(rows[0], summary="never happened")
    put(log, 1, replace(forged, hash=forged.expected_hash()))
    with pytest.raises(WorkspaceError, match="row 2 .*follows hash"):
        log.journal.verify()


def test_a_row_that_cannot_be_read_is_named(log):
    decide(log.journal)
    with log.store.alone() as transaction:
        transaction.txn.put(seq_key(2), b"\xc1", db=log.store.db("journal"))
    with pytest.raises(WorkspaceError, match="after 1 is damaged"):
        log.journal.verify()


def test_the_pointer_moves_with_its_row_and_counts_its_moves(log):
    log.journal.append("promoted", 5, release="r1", summary="", point=Pointer(champion="r1", since_us=5, generation=77))
    assert log.journal.pointer() == Pointer(champion="r1", since_us=5, generation=1)
    log.journal.append("alert", 6, summary="")
    assert log.journal.pointer().generation == 1
    log.journal.append("canary", 7, summary="", point=replace(log.journal.pointer(), challenger="r2", share=0.1))
    assert log.journal.pointer() == Pointer(champion="r1", challenger="r2", share=0.1, since_us=5, generation=2)


def test_row_and_pointer_are_one_transaction(log, monkeypatch):
    from modelwright.lake import journal

    def broken(value):
        if isinstance(value, Pointer):
            raise MemoryError  # stands for a crash between the two
        return pack(value)

    monkeypatch.setattr(journal, "pack", broken)
    with pytest.raises(MemoryError):
        log.journal.append("promoted", 5, summary="", point=Pointer(champion="r1"))
    assert list(log.journal.rows()) == []
    assert log.journal.pointer() == Pointer()


@pytest.mark.parametrize("evidence", [{"x": float("nan")}, {"x": object()}, {"x": {1, 2}}])
def test_figures_must_be_plain(log, evidence):
    with pytest.raises(UsageError, match="gated"):
        log.journal.append("gated", 0, summary="", evidence=evidence)


def test_kinds_are_a_closed_list(log):
    with pytest.raises(UsageError, match="deployed"):
        log.journal.append("deployed", 0, summary="")


def test_pages_join(log, monkeypatch):
    from modelwright.lake import journal

    monkeypatch.setattr(journal, "_PAGE", 2)
    assert [row.seq for row in (decide(log.journal, 5), log.journal.rows())[1]] == [1, 2, 3, 4, 5]


def test_notes_are_kept_and_replaced(log):
    assert log.journal.read_note("state") is None
    log.journal.note("state", b"one")
    log.journal.note("state", b"two")
    assert log.journal.read_note("state") == b"two"


def test_a_decision_on_a_pointer_that_has_moved_is_not_written(log):
    log.journal.append("promoted", 1, release="r1", summary="", point=Pointer(champion="r1"))
    seen = log.journal.pointer()
    log.journal.append("rolled_back", 2, release="r1", summary="", point=Pointer(champion="r0"))
    with pytest.raises(ConflictError, match="decide again"):
        log.journal.append(
            "promoted", 3, release="r2", summary="", point=Pointer(champion="r2"), expect=seen.generation
        )
    assert log.journal.pointer().champion == "r0"
    assert [row.kind for row in log.journal.rows()] == ["promoted", "rolled_back"]
