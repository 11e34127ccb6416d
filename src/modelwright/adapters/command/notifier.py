"""The notifier port by a program: started for each message, acknowledged by exit code 0. No shell is in between."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from modelwright.control.notice import Notice
from modelwright.core.errors import NotifyError

TIMEOUT_S = 30.0
TEXT = "MODELWRIGHT_ALERT"
"""The environment variable that holds the message for people; standard input holds it as JSON."""


class CommandNotifier:
    """Runs `arguments` in the folder `home`; what still runs after `timeout_s` is killed, with what it has started."""

    def __init__(self, arguments: Sequence[str], home: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._arguments = list(arguments)
        self._home = home
        self._timeout_s = timeout_s

    def send(self, notice: Notice) -> None:
        try:
            process = subprocess.Popen(
                self._arguments, cwd=self._home, env={**os.environ, TEXT: notice.text}, stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise NotifyError(f"it cannot be started: {error.strerror}") from None
        with process:
            try:
                _, said = process.communicate(msgspec.json.encode(notice), timeout=self._timeout_s)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise NotifyError(f"it did not end within {self._timeout_s:g} s") from None
        if process.returncode:
            lines = said.decode("utf-8", "replace").strip().splitlines()
            raise NotifyError(f"it ended with {process.returncode}{': ' + lines[-1][:200] if lines else ''}")
