"""Processes killed at any moment, disks that are full, state that is damaged: nothing acknowledged is lost, nothing counts
twice, and every view can be built again."""

import http.client
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the workers are a script of this folder
import workers
from workers import BATCH, CONTRACT, FILE, VIEWS, event, open_log, outcome, same, told

from modelwright.core.clock import SystemClock
from modelwright.features.offline import compute
from modelwright.features.online import OnlineHost
from modelwright.features.plan import LabelColumn
from modelwright.features.strings import MemoryStrings
from modelwright.lake.log import Log
from modelwright.lake.rows import EventRow, LogSchema, OutcomeRow, PredictionRow
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import read_manifest
from modelwright.spec.contract import Contract

LABEL = LabelColumn("fraud", "str")
ROLES = ("ask", "tell", "tell", "ingest", "drain")
UNACKNOWLEDGED = {"ask": BATCH, "tell": BATCH, "ingest": FILE}
"""Rows that a worker may have committed when it is killed before it can say so."""


class Worker:
    """A worker process and how many of its rows are safe, as far as it could say."""

    def __init__(self, number: int, role: str, root: Path) -> None:
        self.number, self.role, self._root = number, role, root
        self.acknowledged = 0
        self.start()

    def start(self) -> None:
        """Start it, or start it again where its acknowledgements end."""
        command = [sys.executable, workers.__file__, self.role, self.number, self.acknowledged, self._root]
        self._process = subprocess.Popen(
            [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.worked = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, self.worked), daemon=True)
        self._reader.start()

    def _read(self, lines, worked) -> None:
        for line in lines:
            if line.endswith("\n"):
                self.acknowledged = int(line)
                worked.set()
        worked.set()  # it has ended: `kill` says how

    def kill(self) -> None:
        """Kill it at this very moment; afterwards all it could say was heard."""
        self._process.send_signal(signal.SIGKILL)
        self._reader.join()
        code, said = self._process.wait(), self._process.stderr.read()
        self._process.stdout.close()
        self._process.stderr.close()
        assert (code, said) == (-signal.SIGKILL, ""), f"{self.role} ended by itself: {said}"


def stored(log: Log) -> list[tuple[bytes, bytes]]:
    """Every byte of the online state."""
    with log.store.read() as txn:
        return [(bytes(key), bytes(value)) for key, value in txn.cursor(db=log.store.db("history"))]


def check_rows(log: Log, team: list[Worker]) -> None:
    """Every acknowledged row is there once, at most what was under way besides, and nothing else; however it is read."""
    rows = log.tail(0, 10**9)
    assert [row.seq for row in rows] == list(range(1, log.head() + 1))
    of = {kind: [row for row in rows if isinstance(row, kind)] for kind in (EventRow, PredictionRow, OutcomeRow)}
    assert log.counts() == dict(zip(("events", "predictions", "outcomes"), map(len, of.values()), strict=True))
    for read, column, kind in (
        (log.events, "_seq", EventRow), (log.predictions, "seq", PredictionRow), (log.outcomes, "_seq", OutcomeRow),
    ):  # fmt: skip
        assert read().column(column).to_pylist() == [row.seq for row in of[kind]]
    counted = {kind: Counter(row.id for row in found) for kind, found in of.items()}
    assert set(counted[EventRow].values()) == {1}
    values = {row.id: (row.at_us, row.values) for row in of[EventRow]}
    said = {row.id: row.value for row in of[OutcomeRow]}
    asked, expected_outcomes, expected_predictions = 0, 0, 0
    for worker in team:
        if worker.role == "drain":
            continue
        there = 0
        while (row := event(worker.number, there))[0] in values:
            assert values[row[0]] == row[1:]
            news = told(worker.number, there)
            if news is not None and (worker.role != "ingest" or there < worker.acknowledged):
                assert said[news[0]] == news[1]
                assert counted[OutcomeRow][news[0]] == 1
                expected_outcomes += 1
            there += 1
        assert worker.acknowledged <= there <= worker.acknowledged + UNACKNOWLEDGED[worker.role]
        asked += there
        if worker.role == "ask":
            expected_predictions += there
            assert all(counted[PredictionRow][event(worker.number, i)[0]] == 1 for i in range(there))
    assert asked == len(of[EventRow])
    assert expected_predictions == len(of[PredictionRow])
    assert expected_outcomes <= len(of[OutcomeRow]) <= expected_outcomes + FILE


def check_views(log: Log) -> None:
    """The online state is what the log gives when it is built again, and its features are the offline ones."""
    state = stored(log)
    assert log.history.verify() == []
    log.history.rebuild()
    assert stored(log) == state
    events = log.events()
    features = compute(VIEWS, CONTRACT, LABEL, events, events, log.outcomes())
    recomputed = dict(zip(events["_seq"].to_pylist(), features.to_pylist(), strict=True))
    for made in log.predictions().to_pylist():
        served = msgspec.json.decode(made["features"])
        for name, value in recomputed[made["event_seq"]].items():
            assert same(served[name], value), (made["id"], name, served[name], value)
    # A process that starts now answers as the tables do: one request for each key, after all that happened.
    now_us = max(row.at_us for row in log.tail(0, 10**9) if isinstance(row, EventRow)) + 1
    latest = {tuple(row.values[1::3]): row.values for row in log.tail(0, 10**9) if isinstance(row, EventRow)}
    asked = [[f"new{i}", values[1], now_us, 1.0, values[4]] for i, values in enumerate(latest.values())]
    host = OnlineHost(VIEWS, CONTRACT, LABEL, log.strings, log.history)
    types = log.schema.events()
    requests = {name: [values[place] for values in asked] for place, name in enumerate(CONTRACT.names)}
    table = pa.table({name: pa.array(column, types.field(name).type) for name, column in requests.items()})
    offline = compute(VIEWS, CONTRACT, LABEL, events, table, log.outcomes()).to_pylist()
    for values, expected in zip(asked, offline, strict=True):
        online = dict(zip(host.names, host.read(values, now_us), strict=True))
        text = msgspec.json.decode(msgspec.json.encode(online))
        assert all(same(text[name], expected[name]) for name in expected), (values, online, expected)


def check_repeats(log: Log, team: list[Worker]) -> None:
    """What is sent again is known, with its answer, and changes nothing."""
    head = log.head()
    with log.write() as writer:
        for worker in team:
            for i in range(0 if worker.role == "drain" else worker.acknowledged):
                known = writer.known(event(worker.number, i)[0])
                assert known is not None
                assert known.answer == (None if worker.role == "ingest" else b"a%d" % i)
                if (value := outcome(worker.number, i)) is not None and i + 3 < worker.acknowledged:
                    assert writer.outcome(event(worker.number, i)[0], value, 0) is None
    assert log.head() == head


def kill_at_random(root: Path, kills: int, check_every: int, seed: int) -> None:
    """Workers on one log, killed one by one, and all at once for each check; what is checked is what they left."""
    chance = random.Random(seed)
    OnlineHost(VIEWS, CONTRACT, LABEL, MemoryStrings())  # the kernel is compiled before anybody waits for it
    team = [Worker(number, role, root) for number, role in enumerate(ROLES)]
    killed = 0
    try:
        while killed < kills:
            time.sleep(chance.random() * 0.25)
            victim = chance.choice([worker for worker in team if worker.worked.is_set()] or team)
            checked = (killed + 1) % check_every == 0
            for worker in team if checked else [victim]:  # each has done something before what it left is looked at
                assert worker.worked.wait(120), f"{worker.role} did nothing for two minutes"
            victim.kill()
            killed += 1
            if not checked:
                victim.start()
                continue
            others = [worker for worker in team if worker is not victim]
            for worker in others:
                worker.kill()
            with open_log(root) as log:
                check_rows(log, team)
                check_views(log)
                check_repeats(log, team)
            if killed < kills:
                for worker in team:
                    worker.start()
    finally:
        for worker in team:
            worker._process.kill()
            worker._process.wait()
    assert all(worker.acknowledged for worker in team)


def test_workers_killed_20_times_lose_nothing_acknowledged_and_double_nothing(tmp_path: Path) -> None:
    kill_at_random(tmp_path / "state", kills=20, check_every=10, seed=20261121)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_workers_killed_200_times_lose_nothing_acknowledged_and_double_nothing(tmp_path: Path) -> None:
    kill_at_random(tmp_path / "state", kills=200, check_every=25, seed=20261122)


def log_of(release: Path, root: Path, *, readonly: bool = True) -> Log:
    """The log that a release was served on."""
    contract = msgspec.json.decode((release / "contract.json").read_bytes(), type=Contract)
    label = read_manifest(release).label
    return Log.open(Workspace(root), LogSchema(contract, label.name, label.kind), SystemClock(), readonly=readonly)


def test_who_sends_the_same_again_until_it_is_answered_is_answered_once(
    card_numbers: Any, serve: Callable[..., Any], payment: Callable[..., Any], tmp_path: Path
) -> None:
    """Three servers one after the other are killed under four clients; every client repeats what was not answered."""
    servers = [serve(card_numbers.release, tmp_path / "state")]
    answers: dict[str, Any] = {}
    stop = threading.Event()

    def body(id: str) -> dict[str, Any]:
        worker, _, number = id[1:].partition("-")
        at = f"2024-06-01T{int(number) // 3600:02}:{int(number) // 60 % 60:02}:{int(number) % 60:02}Z"
        return payment(id, card=f"c{worker}", at=at, amount=1.0 + int(number) % 7)

    def insist(worker: int) -> None:
        number = 0
        while not stop.is_set():
            id = f"w{worker}-{number}"
            while id not in answers:
                try:
                    reply = servers[-1].post("/predict", body(id))
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)
                    continue
                assert reply.status == 200, reply.body
                answers[id] = reply.json
            number += 1

    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(insist, worker) for worker in range(4)]
        try:
            for _ in range(3):
                wanted = len(answers) + 60
                while len(answers) < wanted:
                    time.sleep(0.005)
                    assert not any(one.done() for one in done)
                servers[-1].process.kill()
                servers[-1].process.wait(60)
                servers.append(serve(card_numbers.release, tmp_path / "state"))
        finally:
            stop.set()
        for one in done:
            one.result(60)
    for id, answer in answers.items():
        assert servers[-1].post("/predict", body(id)).json == answer
    servers[-1].stop()
    with log_of(card_numbers.release, tmp_path / "state") as log:
        assert sorted(log.events().column("_id").to_pylist()) == sorted(answers)
        scores = {row["id"]: row["score"] for row in log.predictions().to_pylist()}
        assert log.counts()["predictions"] == len(answers)
    assert scores == {id: answer["score"] for id, answer in answers.items()}


def test_a_served_state_that_is_damaged_or_deleted_is_built_again_to_the_same_answers(
    card_numbers: Any, serve: Callable[..., Any], payment: Callable[..., Any], tmp_path: Path
) -> None:
    root = tmp_path / "state"
    first = serve(card_numbers.release, root)
    for number in range(30):
        first.post(
            "/predict", payment(f"p{number}", card="c1", at=f"2024-06-01T10:00:{number:02}Z", amount=1.5 + number)
        )
    first.process.kill()
    first.process.wait(60)

    def damaged(log: Log) -> None:
        key, value = stored(log)[0]
        with log.store.alone() as transaction:
            transaction.txn.put(key, value[:-1] + bytes([value[-1] ^ 4]), db=log.store.db("history"))

    answers = []
    for number, harm in enumerate((lambda log: None, damaged, lambda log: log.history.drop())):
        with log_of(card_numbers.release, root, readonly=False) as log:
            harm(log)
        server = serve(card_numbers.release, root)
        assert server.post("/events", payment(f"e{number}", card="other")).status == 200
        reply = server.post("/predict", payment(f"q{number}", card="c1", at="2024-06-01T10:00:00.5Z"))
        assert reply.status == 200, server.messages()
        answers.append({**reply.json, "id": ""})
        server.stop()
    assert answers[0] == answers[1] == answers[2]
    with log_of(card_numbers.release, root) as log:
        assert [row.kind for row in log.journal.rows()] == ["error"]
        assert log.history.verify() == []


def test_a_full_disk_refuses_what_is_new_answers_what_is_stored_and_needs_no_restart(
    card_numbers: Any, serve: Callable[..., Any], payment: Callable[..., Any], tmp_path: Path
) -> None:
    """The largest file the server may write stands for the end of its disk, since it can be moved under a process."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process can be set on Linux only: run this there")
    root = tmp_path / "state"
    server = serve(card_numbers.release, root)
    answer = server.post("/predict", payment("p0")).json
    pid, unlimited = server.process.pid, resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    size = (root / "log" / "data.mdb").stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 20_000, unlimited[1]))
    acknowledged = ["p0"]
    for _ in range(3):  # refused once and again
        while (reply := server.post("/predict", payment(f"p{len(acknowledged)}"))).status == 200:
            acknowledged.append(reply.json["id"])
        assert reply.status == 503
        assert reply.headers["content-type"] == "application/problem+json"
        assert "full" in reply.json["detail"]
        assert "again" in reply.json["detail"]
    assert server.post("/outcomes", {"id": "p0", "outcome": True}).status in (200, 503)
    assert server.post("/predict", payment("p0")).json == answer
    assert server.ask("GET", "/readyz").json["events"] == len(acknowledged)
    assert server.ask("GET", "/metrics").status == 200
    with ThreadPoolExecutor(8) as pool:  # together in one batch: what is new takes nothing from what is stored
        replies = list(pool.map(lambda n: server.post("/predict", payment("p0" if n % 2 else f"new{n}")), range(24)))
    assert all(reply.json == answer for reply in replies[1::2])
    refused = [reply for reply in replies[::2] if reply.status != 200]
    assert all(reply.status == 503 for reply in refused)
    said = [line for line in server.messages().splitlines() if "full" in line]
    assert len(said) == 1, "told once, not with every request"
    assert "free some space" in said[0]

    resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    for id in (f"p{len(acknowledged)}", "new0"):
        assert server.post("/predict", payment(id)).status == 200
        acknowledged.append(id)
    server.stop()
    with log_of(card_numbers.release, root) as log:
        ids = log.events().column("_id").to_pylist()
        assert len(set(ids)) == len(ids)
        assert set(acknowledged) <= set(ids)
        assert set(ids) - set(acknowledged) <= {f"new{n}" for n in range(24)}
