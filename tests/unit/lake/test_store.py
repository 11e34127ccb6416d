import os
import subprocess
from types import SimpleNamespace

import lmdb
import pytest

from modelwright.core.errors import NoRoomError, WorkspaceError
from modelwright.lake import store
from modelwright.lake.log import Log
from modelwright.lake.store import open_store, text_key
from modelwright.lake.workspace import Workspace


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


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
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
        (lmdb.Error("mdb_txn_commit: No space left on device"), "disk is full.*free some space"),
        (lmdb.Error("mdb_txn_commit: File too large"), "disk is full"),
        (lmdb.Error("mdb_txn_commit: Input/output error"), "cannot be used"),
        (OSError(28, "No space left on device"), "disk is full"),
        (lmdb.InvalidError("bad"), "backup"),
        (OSError("odd"), "odd"),
    ],
)
def test_errors_of_the_disk_are_one_line(log, error, says):
    with pytest.raises(WorkspaceError, match=says), log.store.translated():
        raise error


def test_half_a_write_means_a_full_disk_where_the_disk_is_full(log, monkeypatch):
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
    with pytest.raises(NoRoomError, match="disk is full"), log.store.translated():
        raise lmdb.Error("mdb_txn_commit: Input/output error")


def reached(log, write):
    """Write until it is refused, and a few times again; the number of rows that were acknowledged."""
    acknowledged = log.counts()["events"]
    for _ in range(3):
        with pytest.raises(NoRoomError, match=r"disk is full.*nothing was written.*free some space"):
            while True:
                with log.write() as writer:
                    for i in range(acknowledged, acknowledged + 50):
                        write(writer, i, answer=b"a%d" % i)
                acknowledged += 50
    return acknowledged


def goes_on(log, write, acknowledged):
    """What was acknowledged is there, and the log takes rows again without being opened anew."""
    with log.write() as writer:
        write(writer, acknowledged)
    log.drain()
    with log.write() as writer:
        write(writer, acknowledged + 1)
    assert [row.id for row in log.tail(0)] == [f"p{i}" for i in range(acknowledged + 2)]
    assert log.history.verify() == []
    assert len(log.history.load(("card",), ("c",))[0]) == acknowledged + 2


def test_a_file_that_may_not_grow_refuses_new_rows_while_reads_go_on(log, workspace, pay):
    """The limit is the process's own; the log's file reaches it as it would reach the end of a disk."""
    resource = pytest.importorskip("resource")
    log.history.require([("card",)])
    with log.write() as writer:
        pay(writer, 0, answer=b"a0")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (workspace.log / "data.mdb").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 200_000, unlimited[1]))
    try:
        acknowledged = reached(log, pay)
        assert log.counts()["events"] == log.head() == acknowledged >= 1
        with log.write() as writer:  # as a repeated request does
            assert writer.known("p0").answer == b"a0"
        assert len(log.history.load(("card",), ("c",))[0]) == acknowledged
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    goes_on(log, pay, acknowledged)


def test_a_full_disk_refuses_new_rows_while_reads_go_on(tmp_path, schema, clock, pay):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        with Log.open(Workspace(tmp_path / "state"), schema, clock) as log:
            log.history.require([("card",)])
            filler = tmp_path / "filler"
            filler.write_bytes(bytes(2 << 20))
            acknowledged = reached(log, pay)
            before = log.tail(0)
            assert len(before) == acknowledged == log.counts()["events"]
            with pytest.raises(NoRoomError, match=r"stay safe in the buffer.*room"):
                log.drain()
            assert log.tail(0) == before
            with Log.open(Workspace(tmp_path / "state"), schema, clock, readonly=True) as reader:
                assert reader.tail(0) == before
            filler.unlink()
            goes_on(log, pay, acknowledged)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


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
