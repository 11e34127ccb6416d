import os

import lmdb
import pytest

from modelwright.core.errors import WorkspaceError
from modelwright.lake.log import Log
from modelwright.lake.store import open_store, text_key


def test_one_environment_a_process_and_its_last_user_closes_it(tmp_path):
    first, second = open_store(tmp_path / "log"), open_store(tmp_path / "x" / ".." / "log")
    assert first is second
    first.close()
    with second.read():
        pass
    second.close()
    third = open_store(tmp_path / "log")
    assert third is not first
    third.close()


def test_a_forked_child_reads_and_writes_through_an_environment_of_its_own(log, pay):
    with log.write() as writer:
        pay(writer, 1)
    child = os.fork()
    if child == 0:
        try:
            assert log.head() == 1
            with log.write() as writer:
                pay(writer, 2)
            with log.store.read():
                assert str(os.getpid()) in log.store._env.readers(), "the child must not read in the parent's name"
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    with log.write() as writer:
        pay(writer, 3)
    assert [row.id for row in log.tail(0)] == ["p1", "p2", "p3"]


def test_a_full_buffer_is_one_clear_line_and_leaves_nothing_half_written(workspace, schema, clock, pay):
    with Log.open(workspace, schema, clock, map_bytes=1 << 20) as log:
        log.history.require([("card",)])
        written = 0
        with pytest.raises(WorkspaceError, match=r"buffer is full.*nothing was written.*drain"):
            while True:
                with log.write() as writer:
                    for i in range(written, written + 100):
                        pay(writer, i, answer=b"x" * 500)
                written += 100
        assert written and log.counts()["events"] == log.head() == written
        assert [row.id for row in log.tail(0)] == [f"p{i}" for i in range(written)]
        assert len(log.history.load(("card",), ("c",))[0]) == written
        # LMDB keeps room for a drain: deleting needs pages too, and the log goes on afterwards.
        with log.store.read() as txn:
            assert txn.get(text_key(f"p{written}"), db=log.store.db("ids")) is None


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (lmdb.DiskError("no space"), "disk is full.*free some space"),
        (lmdb.InvalidError("bad"), "backup"),
        (OSError("odd"), "odd"),
    ],
)
def test_errors_of_the_disk_are_one_line(log, error, says):
    with pytest.raises(WorkspaceError, match=says), log.store.translated():
        raise error


def test_writing_twice_in_one_thread_is_refused_and_does_not_hang(log, pay):
    with log.write() as writer:
        pay(writer, 1)
        with pytest.raises(WorkspaceError, match="writing to the log already"), log.write():
            pass
        with pytest.raises(WorkspaceError, match="writing to the log already"):
            log.drain()
    assert log.head() == 1


def test_keys_of_any_text(tmp_path):
    texts = ["", "a", "é" * 300, "x" * 511, "x" * 512, "x" * 513]
    keys = [text_key(text) for text in texts]
    assert len(set(keys)) == len(texts) and all(0 < len(key) <= 511 for key in keys)
