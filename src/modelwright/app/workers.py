"""Serving processes as their parent sees them: started on open sockets, started again where one dies, ended gracefully.

Each has a socket of its own on a port, among which the kernel spreads connections. The parent keeps all of them
open, so that whoever is connecting to a process that died waits for the one in its place. What to serve is a line of JSON on
a process's standard input, which stays open for as long as the parent lives. What they share beside the log lies in a folder
that ends with them.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from modelwright.app.server import DRAIN_S, Place, ServedRelease, ServerConfig, Task
from modelwright.app.sockets import Sockets
from modelwright.serving.draining import deafen

QUICK_S = 60.0
"""A process that lived for less, in seconds, died quickly."""
RESTARTS = 5
"""After so many quick deaths in a row a process is not started again."""


class _Worker:
    """One process after the other in one place."""

    def __init__(self, sockets: Sockets) -> None:
        self.sockets = sockets
        self.process: subprocess.Popen[bytes] | None = None
        self.began = 0.0
        self.quick = 0
        self.given_up = False


class Workers:
    """One process for each socket, all of them serving the same. One thread."""

    def __init__(self, serves: ServerConfig | ServedRelease, sockets: Sequence[Sockets]) -> None:
        self._serves = serves
        self._shared = tempfile.TemporaryDirectory(prefix="modelwright-", ignore_cleanup_errors=True)
        self._folder = Path(self._shared.name)
        self._workers = [_Worker(own) for own in sockets]

    def start(self) -> None:
        """Start those that were not started yet."""
        for slot, worker in enumerate(self._workers):
            if worker.process is None:
                self._start(slot, worker)

    def start_first(self) -> None:
        """Start one: what keeps all of them from serving is told once, and what is built at a first start is built once."""
        self._start(0, self._workers[0])

    def are_ready(self) -> bool:
        """Whether all that were started have begun to serve at some time: a serving process publishes its metrics."""
        return all(
            (self._folder / f"{slot}.metrics").exists()
            for slot, worker in enumerate(self._workers)
            if worker.process is not None
        )

    def exit_code(self) -> int | None:
        """Of a process that has ended and is not started again; None while all run."""
        for worker in self._workers:
            if worker.process is not None and (code := worker.process.poll()) is not None:
                return code
        return None

    @property
    def running(self) -> bool:
        """Whether any process runs, or will again."""
        return not all(worker.given_up for worker in self._workers)

    def keep(self) -> list[str]:
        """Start again whichever has ended; a sentence about each."""
        said = []
        for slot, worker in enumerate(self._workers):
            if worker.process is None or worker.given_up or (code := worker.process.poll()) is None:
                continue
            worker.quick = worker.quick + 1 if time.monotonic() - worker.began < QUICK_S else 0
            ended = f"the serving process ended with code {code}"
            if worker.quick > RESTARTS:
                worker.given_up = True
                worker.sockets.close()  # whoever connects is sent to the others
                said.append(f"{ended} soon after its start, as those before it, and is not started again")
            else:
                self._start(slot, worker)
                said.append(f"{ended} and is started again")
        return said

    def stop(self) -> None:
        """Let the requests in flight finish, then end all."""
        running = [worker.process for worker in self._workers if worker.process is not None]
        for worker in self._workers:
            if not worker.given_up:
                for sock in worker.sockets.all:
                    deafen(sock)
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for worker in self._workers:
            worker.sockets.close()
        until = time.monotonic() + DRAIN_S + 3
        for process in running:
            try:
                process.wait(timeout=max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _let_go(process)
        self._shared.cleanup()

    def _start(self, slot: int, worker: _Worker) -> None:
        fds = [sock.fileno() for sock in worker.sockets.all]
        process = subprocess.Popen(
            [sys.executable, "-m", "modelwright.app.worker"],
            stdin=subprocess.PIPE, pass_fds=fds, start_new_session=True,
        )  # fmt: skip
        if worker.process is not None:
            _let_go(worker.process)
        worker.process, worker.began = process, time.monotonic()
        task = Task(place=Place(slot, fds, str(self._folder)), serves=self._serves)
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # dead already: `keep` will see
            process.stdin.write(msgspec.json.encode(task) + b"\n")
            process.stdin.flush()


def _let_go(process: "subprocess.Popen[bytes]") -> None:
    """Close our end of a process that has ended."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # what it was told and never read
        process.stdin.close()
