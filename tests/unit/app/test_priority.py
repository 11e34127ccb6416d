"""A process that nobody waits for stands behind the server, whether or not it shares its session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.app import priority
from modelwright.app.priority import NICENESS

SESSION = Path("/proc/self/autogroup")
CHILD = f"""
import os
from modelwright.app.priority import stand_back
before = os.nice(0)
stand_back()
print(os.nice(0) - min(before, 19 - {NICENESS}))
print(open({str(SESSION)!r}).read() if os.path.exists({str(SESSION)!r}) else "")
"""


def niceness_of(session: str) -> str:
    """Its last word. A process below no session of its own, as init starts one, has none to show."""
    return (session.split() or [""])[-1]


def told(**group) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, **group)
    own, session = done.stdout.split("\n", 1)
    return int(own), niceness_of(session)


def test_a_child_of_the_servers_session_leaves_that_session_where_it_is():
    here = niceness_of(SESSION.read_text()) if SESSION.exists() else ""
    assert told(process_group=0) == (NICENESS, here)


def test_a_child_is_put_behind_before_it_has_begun():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, process_group=0) as child:
        priority.behind_us(child.pid)
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, 19)
        child.communicate(b"\n")
    priority.behind_us(child.pid)  # it has ended: nothing to do


@pytest.mark.skipif(not SESSION.exists(), reason="this kernel does not share processor time by session: nothing to do")
def test_a_child_with_a_session_of_its_own_takes_that_with_it():
    assert told(start_new_session=True) == (NICENESS, str(NICENESS))


def test_a_session_that_cannot_be_moved_now_is_moved_soon(monkeypatch):
    """The kernel refuses an ordinary user's second session within a tenth of a second."""

    class Busy:
        written = []

        def write_text(self, text):
            self.written.append(text)
            if len(self.written) < 3:
                raise BlockingIOError

    monkeypatch.setattr(priority, "_SESSION", Busy())
    monkeypatch.setattr(priority.os, "nice", lambda by: None)
    monkeypatch.setattr(priority.os, "getsid", lambda pid: os.getpid())
    priority.stand_back()
    assert Busy.written == [str(NICENESS)] * 3
