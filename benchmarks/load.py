"""A closed-loop load generator: N keep-alive connections, each sends its next request when its last is answered.

One thread over non-blocking sockets and no event loop, so that it costs about a tenth of what the servers do and is the
same for all of them. Requests are whole bytes made beforehand. Any answer but 200 ends the run.
"""

import gc
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

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


class _Connection:
    """One socket, when its request left, and what has come of the answer."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self.got = b""

    def send(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
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


def drive(port: int, requests: Iterator[bytes], *, connections: int, warm_up_s: float, seconds: float) -> Load:
    """Send requests until the time is over or there are no more; every request sent is answered before it returns."""
    held = [_Connection(port) for _ in range(connections)]
    latencies: list[float] = []
    sent = busy = 0
    with selectors.DefaultSelector() as selector:
        for one in held:
            selector.register(one.sock, selectors.EVENT_READ, one)
        gc.collect()
        gc.disable()
        try:
            began = time.perf_counter()
            counted_from, until = began + warm_up_s, began + warm_up_s + seconds
            for one in held:
                one.send(next(requests))
                sent, busy = sent + 1, busy + 1
            last = began
            more = True
            while busy:
                ready = selector.select(timeout=STUCK_S)
                if not ready:
                    raise RuntimeError(f"no answer for {STUCK_S:.0f} s")
                for key, _ in ready:
                    one = key.data
                    if not one.answered():
                        continue
                    now = time.perf_counter()
                    if counted_from <= now < until:
                        latencies.append(now - one.sent_at)
                        last = now
                    request = next(requests, None) if more and now < until else None
                    if request is None:
                        more = False
                        busy -= 1
                    else:
                        one.send(request)
                        sent += 1
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
