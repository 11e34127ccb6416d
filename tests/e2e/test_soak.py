"""A server at half of what it can, for a while: no error, nobody waits for long, and memory does not grow.

The normal suite gives each form ten seconds, the slow one half an hour; `MODELWRIGHT_SOAK_S=300` so many. Memory is what the
process holds by itself (anonymous pages): the log's pages belong to its file. Events advance by a minute each, so that the
windows of history are full early and slide on from then: what they hold is bounded, and what is not would be seen.
"""

import json
import os
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

CONNECTIONS = 8
WARM_UP = 0.3
"""The part of the time in which caches, windows and libraries fill."""
SLACK_KIB = 6 << 10
SLACK = 0.03
"""Memory may grow by so much, and by such a share of it, from the second quarter of what follows the warm-up to the last."""


def requests(wanted: str) -> Iterator[bytes]:
    at = datetime(1971, 1, 1, tzinfo=UTC)  # a minute a request: 29 million before the present comes
    for number in count():
        at += timedelta(minutes=1)
        event = {
            "payment_id": f"{wanted}-{number}", "card": f"c{number % 997}", "at": at.isoformat(), "items": number % 5 + 1,
            "amount": round(5 + number % 613 / 7, 2), "merchant": "abcdef"[number % 6],
        }  # fmt: skip
        body = json.dumps(event).encode()
        yield b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


class Load:
    """Connections that ask at a steady rate together, or as fast as they are answered."""

    def __init__(self, server: Any, made: Iterator[bytes]) -> None:
        self._server, self._made, self._lock = server, made, threading.Lock()
        self.answers = 0
        self.wrong: list[bytes] = []
        self.slowest_s = 0.0

    def run(self, seconds: float, per_second: float | None = None) -> float:
        """Ask for so long; answers a second."""
        self.answers, began = 0, time.monotonic()
        threads = [
            threading.Thread(target=self._ask, args=(began + seconds, per_second and CONNECTIONS / per_second))
            for _ in range(CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 60)
            assert not thread.is_alive(), "a request was not answered in a minute"
        return self.answers / (time.monotonic() - began)

    def _ask(self, until: float, gap_s: float | None) -> None:
        with socket.create_connection(self._server.address, timeout=60) as connection:
            answered, next_at = 0, time.monotonic()
            while (now := time.monotonic()) < until and not self.wrong:
                if gap_s is not None:
                    if now < next_at:
                        time.sleep(next_at - now)
                    next_at += gap_s
                with self._lock:
                    request = next(self._made)
                asked = time.monotonic()
                connection.sendall(request)
                said = connection.recv(65536)
                self.slowest_s = max(self.slowest_s, time.monotonic() - asked)
                if not said.startswith(b"HTTP/1.1 200 "):
                    self.wrong.append(said)
                answered += 1
            with self._lock:
                self.answers += answered


def kib_of(pid: int) -> int:
    """The anonymous memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1])


@pytest.mark.parametrize("form", ["durable", "stateless"])
@pytest.mark.parametrize(
    "seconds", [10, pytest.param(1800, marks=[pytest.mark.slow, pytest.mark.timeout(2400)])], ids=str
)
def test_half_its_load_costs_no_error_and_no_memory(
    card_numbers: Any, plain_cards: Any, serve: Any, form: str, seconds: float, capsys: Any
) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("a process's memory is read from /proc: run this on Linux")
    seconds = float(os.environ.get("MODELWRIGHT_SOAK_S", seconds))
    server = serve(plain_cards.release, options=["--no-log"]) if form == "stateless" else serve(card_numbers.release)
    load = Load(server, requests(form))
    peak = load.run(2.0)
    samples: list[tuple[float, int]] = []
    over = threading.Event()

    def watch() -> None:
        began = time.monotonic()
        while not over.wait(min(seconds / 200, 1.0)):
            samples.append((time.monotonic() - began, kib_of(server.process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    rate = load.run(seconds, peak / 2)
    over.set()
    watcher.join()
    assert load.wrong == []
    settled = [kib for at, kib in samples if at > seconds * WARM_UP]
    quarter = len(settled) // 4
    before, after = (statistics.median(part) for part in (settled[quarter : 2 * quarter], settled[-quarter:]))
    with capsys.disabled():
        print(
            f"\n{form}, {seconds:.0f} s: {rate:,.0f} answers/s of {peak:,.0f}, {load.answers:,} in all, slowest "
            f"{1e3 * load.slowest_s:.0f} ms; memory {before / 1024:.1f} MiB, then {after / 1024:.1f} MiB"
        )
    assert after - before < SLACK_KIB + SLACK * before, samples[:: max(1, len(samples) // 40)]
    assert server.metric('modelwright_responses_total{route="/predict",status="200"}') >= load.answers
    assert server.stop() == 0
    assert server.messages() == ""
