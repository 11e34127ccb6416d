"""Processes under measurement as their parent sees them.

Servers are on a core of their own, timed until they answer, then ended; other work is timed from its start to its end.
"""

import contextlib
import math
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_S = 60.0
"""How long a server may take to its first answer."""
PROC = Path("/proc/self/stat").exists()
AFFINITY = hasattr(os, "sched_setaffinity")
CORES = sorted(os.sched_getaffinity(0)) if AFFINITY else []
SERVER_CORE, LOAD_CORE = (CORES[0], CORES[-1]) if len(CORES) > 1 else (None, None)


def pinning() -> str:
    """Where the server and the load run, in words: part of every result."""
    if LOAD_CORE is not None:
        return f"server on core {SERVER_CORE}, load on core {LOAD_CORE}"
    return "server and load not pinned: " + ("only one core" if AFFINITY else "the platform cannot")


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """This process, and whatever it starts meanwhile, on one core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass
class Server:
    """A running server and the seconds from its start to its first good answer."""

    process: subprocess.Popen[bytes]
    port: int
    cold_start_s: float

    def resident_mb(self) -> float:
        """Resident memory now, in MiB, its children's included: pages of files that it has mapped count."""
        if PROC:
            return self._status_mb("VmRSS:")
        said = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return int(said.stdout) / 1024

    def own_mb(self) -> float:
        """Of that, what is no page of a file (a library, the log): what the system cannot take back. NaN where /proc is
        absent."""
        return self._status_mb("RssAnon:") if PROC else math.nan

    def _status_mb(self, name: str) -> float:
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in family(self.process.pid)]
        return sum(int(text.partition(name)[2].split()[0]) for text in texts if name in text) / 1024

    def cpu_s(self) -> float | None:
        """Processor seconds used so far, its children's included; None where /proc is absent."""
        if not PROC:
            return None
        ticks = 0
        for pid in family(self.process.pid):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and those it started, and theirs; none of them where it has ended, itself alone where /proc is absent."""
    if not PROC:
        return [pid]
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(folder.name))
    found = [pid] if Path(f"/proc/{pid}").exists() else []
    for one in found:
        found += parents.get(one, [])
    return found


@contextlib.contextmanager
def served(
    command: Sequence[str], port: int, first: bytes, env: dict[str, str], *, quiet: bool = False
) -> Iterator[Server]:
    """Start a server on its core, wait until it answers `first` (a whole HTTP request) with 200, end it afterwards, and
    whatever it started. `quiet`: what it says of itself is not shown."""
    began = time.perf_counter()
    with on_core(SERVER_CORE):
        process = subprocess.Popen(
            command, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL if quiet else None
        )
    try:
        while not _answers(port, first):
            if process.poll() is not None:
                raise RuntimeError(f"{command} ended with code {process.returncode}")
            if time.perf_counter() - began > START_S:
                raise RuntimeError(f"{command} did not answer within {START_S:.0f} s")
            time.sleep(0.01)
        yield Server(process, port, time.perf_counter() - began)
    finally:
        started = family(process.pid)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in started[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def ended(command: Sequence[str], env: Mapping[str, str] | None = None) -> tuple[bytes, dict[str, float]]:
    """What a process printed, and its seconds from start to end, processor seconds and peak MiB.

    Raises RuntimeError where it fails.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **(env or {})})
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with code {process.returncode}")
    per_mib = 2**20 if sys.platform == "darwin" else 2**10
    return said, {
        "wall_s": wall,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / per_mib,
    }


def fsync_ms(times: int = 50) -> float:
    """Median milliseconds to make 32 KiB durable: what a commit waits for, and a sign of who else uses the disk."""
    taken = []
    with tempfile.TemporaryFile() as file:
        for _ in range(times):
            file.write(bytes(32_768))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return 1e3 * statistics.median(taken)


def _answers(port: int, request: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=START_S) as sock:
            sock.sendall(request)
            return sock.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
