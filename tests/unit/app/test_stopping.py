"""A run ends when it is asked to, also where what is raised is dropped on its way."""

import subprocess
import sys

import pytest

DROPPED = """
import ctypes, os, signal
from modelwright.app.stopping import Stopped, Stopping
stopping = Stopping()
stopping.listen()
stopping.heed()
calls_back = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.{name}))
calls_back()
print("went on", flush=True)
try:
    stopping.heed()
except {raised}:
    print("ended")
"""


@pytest.mark.parametrize(("name", "raised"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "Stopped")])
def test_what_a_library_dropped_is_raised_again_and_not_printed(name, raised):
    command = [sys.executable, "-c", DROPPED.format(name=name, raised=raised)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("went on\nended\n", "")


RAISED = """
import os, signal
from modelwright.app.stopping import Stopped, Stopping
Stopping().listen()
try:
    os.kill(os.getpid(), signal.SIGTERM)
except Stopped:
    print("ended")
"""


def test_elsewhere_it_is_raised_at_once():
    done = subprocess.run([sys.executable, "-c", RAISED], capture_output=True, text=True, check=True)
    assert done.stdout == "ended\n"
