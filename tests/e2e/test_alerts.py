"""A running system tells people, through kill -9 and receivers that are away."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest

import modelwright as mw
from modelwright.app.wiring import open_log
from modelwright.core.clock import SystemClock
from modelwright.lake.workspace import Workspace
from modelwright.testing.receivers import WebServer


@pytest.mark.slow
def test_kill_9_loses_no_message_and_repeats_none_that_was_acknowledged(plain_cards, environment_of, tmp_path):
    home = tmp_path / "state"
    text = plain_cards.file.read_text().replace("import source", "import alert, source")
    file = plain_cards.file.with_name("alerting.py")
    file.write_text(text.replace("    model=", '    alerts=[alert.webhook("$HOOK")],\n    model='))
    system = mw.load(file)

    @contextmanager
    def running(hook):
        command = [sys.executable, "-m", "modelwright.app.cli", "run", str(file), "--port", "0", "--json"]
        environment = environment_of(home) | {"HOOK": hook.url}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True) as process:
            try:
                yield json.loads(process.stdout.readline())["address"]
            finally:
                os.killpg(process.pid, signal.SIGKILL)

    def happen(word):
        with open_log(system, Workspace(home)) as log:
            log.journal.append("error", SystemClock().now_us(), summary=f"something {word}")

    def metrics(address):
        with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
            return answer.read().decode()

    def told():
        return [json.loads(message)["what"] for message in hook.messages]

    def until(condition):
        end = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.05)

    with WebServer() as hook:
        hook.mood = "refuses"
        with running(hook) as address:
            until(lambda: "modelwright_release_info" in metrics(address))
            happen("broke")
            until(lambda: 'alerts_failing{to="webhook $HOOK"} 1' in metrics(address))
            until(lambda: 'alerts_waiting{to="webhook $HOOK"} 1' in metrics(address))
        hook.mood = "takes"
        hook.raw.clear()
        happen("broke while nobody ran")
        with running(hook) as address:
            until(lambda: 'alerts_sent_total{to="webhook $HOOK"} 2' in metrics(address))
        assert told() == ["something broke", "something broke while nobody ran"]
        with running(hook) as address:
            happen("broke at last")
            until(lambda: 'alerts_sent_total{to="webhook $HOOK"} 3' in metrics(address))
        assert told()[2:] == ["something broke at last"]
