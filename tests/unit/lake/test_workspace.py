import os
import signal
import subprocess
import sys

import pytest

from modelwright.core.errors import WorkspaceError
from modelwright.lake.workspace import Workspace

HOLD = """
import sys, time
from pathlib import Path
from modelwright.lake.workspace import Workspace
with Workspace(Path(sys.argv[1])).exclusive("serve"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_folders_lie_in_the_root(workspace):
    places = [workspace.log, workspace.tables, workspace.releases, workspace.tracking, workspace.reports]
    assert len(set(places)) == 5
    assert all(place.parent == workspace.root for place in places)


def test_a_role_is_held_once_and_freed_at_the_end(workspace):
    with workspace.exclusive("serve"):
        refused = pytest.raises(WorkspaceError, match=rf"process {os.getpid()}.*serve.*MODELWRIGHT_HOME")
        with refused, workspace.exclusive("serve"):
            pass
        with workspace.exclusive("control"), workspace.attempt("serve") as held:
            assert not held
    with workspace.attempt("serve") as held:
        assert held


def test_the_error_names_another_process_and_a_dead_holder_blocks_nobody(workspace):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(workspace.root)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(WorkspaceError, match=f"process {holder.pid}"), workspace.exclusive("serve"):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with workspace.exclusive("serve"):
        assert (workspace.root / "serve.lock").read_text() == f"{os.getpid()}\n"


def test_who_waits_for_a_role_holds_it_when_its_holder_is_killed(workspace):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(workspace.root)], stdout=subprocess.PIPE)
    told = []

    def killed(whose):
        told.append(whose)
        holder.send_signal(signal.SIGKILL)

    try:
        assert holder.stdout.readline() == b"held\n"
        with workspace.awaited("serve", killed) as waited:
            assert waited
            assert (workspace.root / "serve.lock").read_text() == f"{os.getpid()}\n"
            with workspace.attempt("serve") as free:
                assert not free
    finally:
        holder.kill()
        holder.communicate()
    assert told == [f"process {holder.pid}"]
    with workspace.awaited("serve", killed) as waited:
        assert not waited
    assert len(told) == 1


def test_a_root_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written to"), Workspace(tmp_path / "x").exclusive("serve"):
        pass
