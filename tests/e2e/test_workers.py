"""Several serving processes on one port: one state, one /metrics, one rate a key; none is missed when one of them dies."""

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.processes import files_of, has_ended

from modelwright.core.clock import SystemClock
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import open_release
from modelwright.serving.draining import LAST_S

PATIENCE_S = 120.0
TWO = ["--workers", "2"]


def until(found: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


def workers_of(server: Any) -> list[int]:
    """The serving processes of a server, by their parent's children."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    if not children.exists():
        pytest.skip("a process's children are read from /proc: run this on Linux")
    return [int(pid) for pid in children.read_text().split()]


def owner(connection: http.client.HTTPConnection, pids: list[int]) -> int:
    """The process that a connection is with: the one that holds the other end's socket; 0 where that has died."""
    ends = [f"0100007F:{port:04X}" for port in (connection.sock.getpeername()[1], connection.sock.getsockname()[1])]
    for _ in range(5):  # the kernel lists connections in pieces, and may leave one out while others come and go
        lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        wanted = {f"socket:[{parts[9]}]" for parts in lines if parts[1:3] == ends}
        for pid in pids:
            with contextlib.suppress(OSError):  # it has just died
                if wanted & files_of(pid):
                    return pid
    return 0


def connected(server: Any) -> http.client.HTTPConnection:
    connection = server.connect()
    connection.connect()
    return connection


@contextlib.contextmanager
def one_with_each(server: Any) -> Iterator[dict[int, http.client.HTTPConnection]]:
    """A connection with each worker."""
    pids, found, spare = workers_of(server), {}, []
    while set(found) != set(pids):
        connection = connected(server)
        assert connection_answers(connection)
        pid = owner(connection, pids)
        if pid in found:
            spare.append(connection)
        else:
            found[pid] = connection
        assert len(spare) < 200, "the other workers get no connections"
    try:
        yield found
    finally:
        for connection in (*found.values(), *spare):
            connection.close()


def connection_answers(connection: http.client.HTTPConnection) -> bool:
    connection.request("GET", "/healthz")
    return connection.getresponse().read() == b'{"alive":true}'


def asked(connection: http.client.HTTPConnection, body: Any, path: str = "/predict") -> tuple[int, bytes]:
    connection.request("POST", path, json.dumps(body))
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.fixture(scope="module")
def pair(card_numbers: Any, serve: Any) -> Any:
    return serve(card_numbers.release, options=TWO)


def test_connections_spread_over_the_workers(pair: Any) -> None:
    pids = workers_of(pair)
    assert len(pids) == 2
    connections = [connected(pair) for _ in range(64)]
    for connection in connections:
        assert connection_answers(connection)
    held = Counter(owner(connection, pids) for connection in connections)
    for connection in connections:
        connection.close()
    assert set(held) == set(pids), held
    assert min(held.values()) >= 10  # of 64 by a fair hash: fewer than once in ten million


def test_an_id_at_both_at_once_is_one_prediction(pair: Any, payment: Any) -> None:
    with one_with_each(pair) as found, ThreadPoolExecutor(2) as pool:
        for number in range(60):
            together = threading.Barrier(2)
            body = payment(f"both-{number}", at=f"2024-06-01T12:{number:02}:00Z")

            def ask(connection: Any, together: threading.Barrier = together, body: Any = body) -> tuple[int, bytes]:
                together.wait(60)
                return asked(connection, body)

            one, two = pool.map(ask, found.values())
            assert one == two
            assert one[0] == 200


def test_each_knows_at_once_what_the_other_took(pair: Any, card_numbers: Any, payment: Any) -> None:
    ids = [f"turn-{number}" for number in range(20)]
    with one_with_each(pair) as found:
        a, b = found.values()
        for number, id in enumerate(ids):
            body = payment(id, card="turns", at=f"2024-06-02T12:{number:02}:00Z", amount=10.0 + number)
            assert asked((a, b)[number % 2], body)[0] == 200
            told = {"id": id, "outcome": True, "at": f"2024-06-02T12:{number:02}:30Z"}
            assert asked((b, a)[number % 2], told, "/outcomes")[0] == 200
    with log_of(pair, card_numbers.release) as log:
        made = {row["id"]: json.loads(row["features"]) for row in log.predictions().to_pylist()}
        ids_of_both = [id for id in log.predictions()["id"].to_pylist() if id.startswith("both-")]
    assert [made[id]["payments_1d"] for id in ids] == list(range(20))
    assert [made[id]["frauds"] for id in ids] == list(range(20))
    assert len(ids_of_both) == len(set(ids_of_both))


def log_of(server: Any, folder: Path) -> Log:
    release = open_release(folder)
    label = release.manifest.label
    schema = LogSchema(release.contract, label.name, label.kind, release.manifest.others)
    return Log.open(Workspace(server.workspace), schema, SystemClock(), readonly=True)


PREDICTIONS = 'modelwright_responses_total{route="/predict",status="200"}'


def test_metrics_are_of_the_whole_server_and_outlive_a_worker(plain_cards: Any, serve: Any, payment: Any) -> None:
    server = serve(plain_cards.release, options=TWO)
    asked_so_far = 0
    for _ in range(2):
        with one_with_each(server) as found:
            for share, connection in zip((7, 4), found.values(), strict=True):
                for number in range(share):
                    assert asked(connection, payment(f"m{asked_so_far}-{number}"))[0] == 200
            asked_so_far += 11
            for connection in found.values():  # whichever is asked
                until(lambda c=connection: said_by(c)[PREDICTIONS] == asked_so_far, f"{asked_so_far} counted")
            both = [said_by(connection) for connection in found.values()]
            assert both[0]["modelwright_log_head"] == both[1]["modelwright_log_head"]
            (info,) = [line for line in both[0] if line.startswith("modelwright_release_info")]
            assert both[0][info] == 1
            assert both[0]['modelwright_request_seconds_count{route="/predict"}'] == asked_so_far
            assert both[0]['modelwright_request_seconds_bucket{route="/predict",le="+Inf"}'] == asked_so_far
        victim = workers_of(server)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda v=victim: len(workers_of(server)) == 2 and v not in workers_of(server), "another worker")
        for _ in range(20):
            assert server.metric(PREDICTIONS) >= asked_so_far
    assert "ended with code -9 and is started again" in server.messages()


def said_by(connection: http.client.HTTPConnection) -> dict[str, float]:
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


class Customers:
    """Clients that ask one thing after the other, each on a connection it keeps, and remember what they were told."""

    def __init__(self, server: Any, payment: Any, name: str, *, owners: bool = False) -> None:
        self._server, self._payment, self._name = server, payment, name
        self.answers: dict[str, bytes] = {}
        self.lost: list[tuple[int, str]] = []
        self.refused = 0
        self._owners = owners
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(12)]

    def __enter__(self) -> "Customers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _ask(self, customer: int) -> None:
        number, connection, pid, asked_at = 0, None, 0, time.monotonic()
        while not self._over.is_set():
            number += 1
            id = f"{self._name}-{customer}-{number}"
            try:
                if connection is None or connection.sock is None:
                    connection = connected(self._server)
                    pid = owner(connection, workers_of(self._server)) if self._owners else 0
            except ConnectionRefusedError:  # nobody listens any more: nothing was asked
                self.refused += 1
                return
            before, asked_at = asked_at, time.monotonic()
            try:
                status, said = asked(connection, self._payment(id, card=f"c{customer}"))
            except (OSError, http.client.HTTPException):
                if asked_at - before < LAST_S:  # else the machine kept it from asking for as long as it is waited for
                    self.lost.append((pid, id))
                connection.close()
                connection = None
                continue
            assert status == 200, said
            self.answers[id] = said
        if connection is not None:
            connection.close()


def test_a_killed_worker_costs_the_others_nothing_and_comes_back(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release, options=TWO)
    first = workers_of(server)
    with Customers(server, payment, "kill", owners=True) as customers:
        until(lambda: len(customers.answers) > 300, "answers")
        os.kill(first[0], signal.SIGKILL)
        until(lambda: len(workers_of(server)) == 2 and first[0] not in workers_of(server), "another worker")
        before = len(customers.answers)
        until(lambda: len(customers.answers) > before + 600, "answers after the kill")
    assert {pid for pid, _ in customers.lost} <= {first[0], 0}  # 0: it was gone before it could be looked up
    with one_with_each(server) as found:  # whoever is asked again, and by whomever, tells the same
        for place, (id, said) in enumerate(list(customers.answers.items())[::37]):
            customer = id.split("-")[1]
            connection = list(found.values())[place % 2]
            assert asked(connection, payment(id, card=f"c{customer}")) == (200, said)
    server.stop()
    with log_of(server, card_numbers.release) as log:
        ids = log.predictions()["id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert set(customers.answers) <= set(ids)


@pytest.mark.parametrize("options", [TWO, [], [*TWO, "--no-log"], ["--no-log"]], ids=" ".join)
def test_what_was_asked_before_the_end_is_answered(
    plain_cards: Any, serve: Any, payment: Any, options: list[str]
) -> None:
    server = serve(plain_cards.release, options=options)
    with Customers(server, payment, "end") as customers:
        until(lambda: len(customers.answers) > 300, "answers")
        assert server.stop() == 0
    assert customers.lost == []
    assert customers.refused == 12


def test_a_rate_is_of_a_key_whichever_worker_is_asked(
    plain_cards: Any, serve: Any, modelwright: Any, payment: Any, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    server = serve(plain_cards.release, state, options=TWO)
    made = modelwright(
        "key", "create", state, "--name", "shop", "--scope", "predict", "--rate", "10/d", "--json", home=state
    )
    assert made.code == 0, made.err
    shows = {"authorization": f"Bearer {made.json['key']}"}
    with one_with_each(server) as found:
        for connection in found.values():
            until(lambda c=connection: asked(c, payment("keyless"))[0] == 401, "the key to be known")
        statuses = []
        for number in range(16):
            connection = list(found.values())[number % 2]
            connection.request("POST", "/predict", json.dumps(payment(f"rate-{number}")), shows)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
    assert statuses == [200] * 10 + [429] * 6


def test_what_keeps_all_from_serving_is_told_once(card_numbers: Any, modelwright: Any, tmp_path: Path) -> None:
    done = modelwright("serve", card_numbers.release, "--no-log", *TWO, "--port", 0, home=tmp_path / "state")
    assert done.code == 1
    assert done.err.count("reads history") == 1
    assert done.err.count("\n") == 2


def test_without_their_parent_they_end(plain_cards: Any, serve: Any) -> None:
    server = serve(plain_cards.release, options=TWO)
    pids = workers_of(server)
    server.process.kill()
    until(lambda: all(map(has_ended, pids)), "the end of the workers")


def test_a_replay_has_one_process(plain_cards: Any, modelwright: Any, tmp_path: Path) -> None:
    history = plain_cards.file.with_name("payments.csv")
    done = modelwright("run", plain_cards.file, "--replay", history, *TWO, home=tmp_path / "state")
    assert done.code == 2
    assert (
        done.err
        == "modelwright: --replay sends one event after the other, so one process answers: leave out --workers\n"
    )
