"""Load generators. The closed loop: N keep-alive connections, each sends its next request when its last is answered, or all
of them together send at a fixed rate. At random: requests come at a rate of their own, as from many clients that know
nothing of each other.

One thread over non-blocking sockets and no event loop, so that it costs about a tenth of what the servers do and is the
same for all of them. Requests are whole bytes made beforehand. Any answer but 200 ends the run.
"""

import gc
import random
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

END = b"\r\n\r\n"
STUCK_S = 30.0
"""A server that answers nobody for so long is stuck."""


@dataclass(frozen=True)
class Load:
    """What one run saw, from the first answer after the warm-up on. Latencies in ms."""

    answers: int
    sent: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def post(path: str, body: bytes) -> bytes:
    """A whole HTTP/1.1 request."""
    return b"POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        path.encode(),
        len(body),
        body,
    )


class Connection(Protocol):
    """One socket, and its request: `due` is when that was to leave."""

    sock: socket.socket
    due: float

    def send(self, request: bytes, due: float) -> None: ...

    def answered(self) -> bool:
        """Read what is there; True once the whole answer is."""
        ...


class _Connection:
    """One socket, when its request was to leave, and what has come of the answer."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.got = b""

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.sock.sendall(request)

    def answered(self) -> bool:
        """Read what is there; True once the whole answer is."""
        more = self.sock.recv(65_536)
        if not more:
            raise RuntimeError("the server closed a connection")
        got = self.got + more
        head = got.find(END)
        if head >= 0:
            if not got.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"not a 200: {got[:400].decode(errors='replace')}")
            at = got.lower().find(b"content-length:", 0, head) + len(b"content-length:")
            if len(got) >= head + len(END) + int(got[at : got.find(b"\r", at)]):
                self.got = b""
                return True
        self.got = got
        return False


def drive(
    port: int,
    requests: Iterator[bytes],
    *,
    connections: int,
    warm_up_s: float,
    seconds: float,
    rate: float | None = None,
) -> Load:
    """Send requests over HTTP as `drive_on` does, on so many connections."""
    held = [_Connection(port) for _ in range(connections)]
    return drive_on(held, requests, warm_up_s=warm_up_s, seconds=seconds, rate=rate)


def drive_on(
    held: Sequence[Connection],
    requests: Iterator[bytes],
    *,
    warm_up_s: float,
    seconds: float,
    rate: float | None = None,
) -> Load:
    """Send requests until the time is over or there are no more; every request sent is answered before it returns, and the
    connections are closed.

    With a `rate`, so many a second: one that is due while every connection waits is sent when one is free, and its latency
    counts from when it was due.
    """
    idle = list(held)
    latencies: list[float] = []
    sent = 0
    # Of the selectors, `select` alone waits for less than a millisecond.
    with selectors.SelectSelector() as selector:
        for one in held:
            selector.register(one.sock, selectors.EVENT_READ, one)
        gc.collect()
        gc.disable()
        try:
            began = last = time.perf_counter()
            counted_from, until = began + warm_up_s, began + warm_up_s + seconds
            more = True
            while True:
                now = time.perf_counter()
                more = more and now < until
                while more and idle and (due := now if rate is None else began + sent / rate) <= now:
                    request = next(requests, None)
                    if request is None:
                        more = False
                        break
                    idle.pop().send(request, due)
                    sent += 1
                if not more and len(idle) == len(held):
                    break
                waits = more and rate is not None and idle
                ready = selector.select(max(0.0, began + sent / rate - now) if waits and rate else STUCK_S)
                if not ready and not waits:
                    raise RuntimeError(f"no answer for {STUCK_S:.0f} s")
                for key, _ in ready:
                    one = key.data
                    if not one.answered():
                        continue
                    idle.append(one)
                    now = time.perf_counter()
                    if counted_from <= now < until:
                        latencies.append(now - one.due)
                        last = now
        finally:
            gc.enable()
            for one in held:
                one.sock.close()
    latencies.sort()
    if len(latencies) < 100:
        raise RuntimeError(f"only {len(latencies)} answers were measured; give more time or requests")
    return Load(
        answers=len(latencies),
        sent=sent,
        seconds=last - counted_from,
        p50_ms=1e3 * latencies[len(latencies) // 2],
        p99_ms=1e3 * latencies[len(latencies) * 99 // 100],
    )


def drive_at_random(port: int, requests: Iterator[bytes], *, connections: int, rate: float, seconds: float) -> Load:
    """Send requests at the moments of a seeded Poisson process, each on a connection that is free; every request sent is
    answered before it returns. Latencies count from when a request was due, so that a late one is not left out."""
    held = [_Connection(port) for _ in range(connections)]
    free = list(held)
    late: list[float] = []
    latencies: list[float] = []
    chance = random.Random(3)
    with selectors.DefaultSelector() as selector:
        for one in held:
            selector.register(one.sock, selectors.EVENT_READ, one)
        gc.collect()
        gc.disable()
        try:
            began = due = time.perf_counter()
            until = began + seconds
            while due < until or late or len(free) < len(held):
                while due <= min(time.perf_counter(), until):
                    late.append(due)
                    due += chance.expovariate(rate)
                while late and free:
                    free.pop().send(next(requests), late.pop(0))
                pause_s = STUCK_S if due >= until else max(0.0, due - time.perf_counter())
                ready = selector.select(timeout=pause_s)
                if not ready and pause_s == STUCK_S:
                    raise RuntimeError(f"no answer for {STUCK_S:.0f} s")
                for key, _ in ready:
                    if key.data.answered():
                        latencies.append(time.perf_counter() - key.data.due)
                        free.append(key.data)
            seconds = time.perf_counter() - began
        finally:
            gc.enable()
            for one in held:
                one.sock.close()
    latencies.sort()
    p50, p99 = (1e3 * latencies[len(latencies) * share // 100] for share in (50, 99))
    return Load(len(latencies), len(latencies), seconds, p50, p99)
