"""`modelwright run --stream` on real brokers: events in, predictions out, whatever dies in between."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest

from modelwright import load
from modelwright.app.wiring import open_log
from modelwright.lake.workspace import Workspace
from modelwright.testing.brokers import KafkaChannel, KafkaMock, Mosquitto, MqttChannel, NatsChannel, NatsServer

WAIT_S = 120.0
names = (f"payments{number}" for number in itertools.count())


class Run:
    """`modelwright run` in a process of its own, with its serving process; a context manager."""

    def __init__(self, trained, home, stream, *options):
        self.home, self.file = home, trained.file
        self._messages = home.parent / f"{home.name}.stderr"
        environment = {**os.environ, "MODELWRIGHT_HOME": str(home), "MODELWRIGHT_STREAM": stream}
        with self._messages.open("ab") as messages:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "modelwright.app.cli", "run", str(trained.file), "--port", "0", "--json", *options],
                env=environment, stdout=subprocess.PIPE, stderr=messages,
            )  # fmt: skip

    def __enter__(self):
        line = self.process.stdout.readline()
        assert line, self.messages()
        self.address = json.loads(line)["address"]
        wait_until(lambda: self.ask("/readyz")[0] == 200)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()

    def messages(self):
        return self._messages.read_text()

    def ask(self, path, body=None):
        try:
            with urllib.request.urlopen(self.address + path, body, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def metric(self, name, operation="predict"):
        for line in self.ask("/metrics")[1].decode().splitlines():
            if line.startswith(f'modelwright_stream_{name}{{operation="{operation}"}} '):
                return float(line.rpartition(" ")[2])
        return 0.0

    def serving(self):
        """The serving process's id."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and b"modelwright.app.worker" in (folder / "cmdline").read_bytes():
                    return int(folder.name)
            except OSError:
                continue
        return None

    def log(self):
        return open_log(load(self.file), Workspace(self.home), readonly=True)


def wait_until(holds):
    until = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def servers(tmp_path_factory, service):
    """Brokers by name, started once."""
    started = {}
    with ExitStack() as stack:

        def get(kind):
            if kind not in started:
                if kind is KafkaMock:
                    started[kind] = KafkaMock()
                else:
                    service(kind)
                    started[kind] = stack.enter_context(kind(tmp_path_factory.mktemp(kind.binary)))
            return started[kind]

        yield get


@pytest.fixture(params=["nats", "mqtt", "kafka"])
def channel(request, servers):
    """`nats, soon`: what a killed process held comes again soon."""
    name = next(names)
    if request.param.startswith("nats"):
        yield NatsChannel(servers(NatsServer), name, ack_wait_s=2 if request.param == "nats, soon" else 60)
    elif request.param == "kafka":
        yield KafkaChannel(servers(KafkaMock), name)
    else:
        made = MqttChannel(servers(Mosquitto), f"shop/{name}")
        yield made
        made.close()


@pytest.fixture
def run(card_numbers, tmp_path):
    """Starts `run` on a copy of the trained state: `run(channel.url)`."""
    with ExitStack() as stack:

        def start(stream, *options, name="run"):
            home = tmp_path / name
            if not home.exists():
                shutil.copytree(card_numbers.home, home)
            return stack.enter_context(Run(card_numbers, home, stream, *options))

        yield start


def bodies_of(payment, count):
    """Payments a second apart, of a few cards."""
    made = []
    for number in range(count):
        at = f"2024-06-01T{10 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        made.append(payment(f"s{number}", card=f"c{number % 7}", at=at, amount=1.0 + number % 50))
    return [json.dumps(body).encode() for body in made]


def by_id(answers):
    found = defaultdict(set)
    for answer in answers:
        found[json.loads(answer)["id"]].add(answer)
    return found


def live(log):
    """Ids of live events and of predictions, in order."""
    events = [row["_id"] for row in log.events().to_pylist() if row["_id"].startswith("s")]
    return events, [row["id"] for row in log.predictions().to_pylist() if row["id"].startswith("s")]


def test_of_several_processes_one_consumes(servers, run, payment):
    channel = NatsChannel(servers(NatsServer), next(names))
    running = run(channel.url, "--workers", "2")
    wait_until(lambda: running.metric("connected"))
    channel.send(bodies_of(payment, 40))
    assert len(by_id(channel.answers(40))) == 40
    wait_until(lambda: running.metric("answered_total") == 40)
    assert (running.metric("connected"), running.metric("redelivered_total")) == (1, 0)


def test_events_from_a_stream_are_answered_as_predict_answers_them(
    channel, run, payment, serve, card_numbers, tmp_path
):
    bodies = bodies_of(payment, 120)
    shutil.copytree(card_numbers.home, tmp_path / "http")
    over_http = serve(card_numbers.release, tmp_path / "http")
    expected = [over_http.ask("POST", "/predict", body).body for body in bodies]
    over_http.stop()

    running = run(channel.url)
    poison = [b"no json", json.dumps(payment("s5", amount=999.0)).encode()]
    wait_until(lambda: running.metric("connected"))
    channel.send([*bodies[:60], *poison, *bodies[60:]])
    assert sorted(channel.answers(120)) == sorted(expected)
    assert [json.loads(rejection)["status"] for rejection in channel.rejections(2)] == [400, 409]
    assert [json.loads(rejection)["message"] for rejection in channel.rejections(2)] == [one.decode() for one in poison]
    wait_until(lambda: running.metric("in_flight") == 0)
    assert running.metric("received_total") >= 122
    assert running.metric("answered_total") == 120
    assert running.metric("rejected_total") == 2
    assert running.ask("/predict", bodies[3]) == (200, expected[3])
    with running.log() as log:
        events, predictions = live(log)
    assert events == predictions == [json.loads(body)["payment_id"] for body in bodies]


@pytest.mark.parametrize(
    "channel",
    ["nats, soon", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mqtt", "kafka"))],
    indirect=True,
)
def test_a_serving_process_killed_in_mid_stream_answers_every_event_once_in_the_log(channel, run, payment):
    bodies = bodies_of(payment, 2_000)
    running = run(channel.url + "&in_flight=64")
    wait_until(lambda: running.metric("connected"))
    channel.send(bodies[:800])
    sent = 800
    for wanted in (50, 600, 1_100):
        wait_until(lambda wanted=wanted: counted(running) >= wanted)
        os.kill(running.serving(), signal.SIGKILL)
        channel.send(bodies[sent : sent + 400])
        sent += 400
        wait_until(lambda: running.ask("/readyz")[0] == 200)
    wait_until(lambda: counted(running) == 2_000)
    wait_until(lambda: len(by_id(channel.answers(2_000))) == 2_000)
    wait_until(lambda: running.metric("in_flight") == 0)
    answers = by_id(channel.answers(2_000))
    assert {len(said) for said in answers.values()} == {1}, "a repeated answer is the same to the byte"
    assert channel.rejections(0) == []
    with running.log() as log:
        events, predictions = live(log)
    assert len(events) == len(set(events)) == 2_000
    assert sorted(predictions) == sorted(events) == sorted(answers)
    for id in ("s0", "s777", "s1999"):
        assert {running.ask("/predict", bodies[int(id[1:])])[1]} == answers[id]


def counted(running):
    with running.log() as log:
        return len(live(log)[1])


@pytest.mark.parametrize("channel", ["nats", "mqtt"], indirect=True)
def test_a_broker_that_restarts_loses_nothing_and_http_goes_on_meanwhile(channel, run, payment):
    bodies = bodies_of(payment, 60)
    running = run(channel.url)
    wait_until(lambda: running.metric("connected"))
    channel.send(bodies[:30])
    channel.answers(30)
    channel.stop()
    try:
        wait_until(lambda: not running.metric("connected"))
        for number in range(5):
            assert running.ask("/predict", json.dumps(payment(f"h{number}")).encode())[0] == 200
        wait_until(lambda: "trying again" in running.messages())
    finally:
        channel.start()
    channel.send(bodies[30:])
    assert set(by_id(channel.answers(60))) == {f"s{number}" for number in range(60)}
    assert channel.url.partition("?")[0] in running.messages()
    with running.log() as log:
        events, predictions = live(log)
    assert len(events) == len(predictions) == 60


def test_outcomes_and_events_come_from_inputs_of_their_own(run, payment, servers):
    server = servers(NatsServer)
    name = next(names)
    channel, outcomes, events = (NatsChannel(server, f"{name}{of}") for of in ("", "-frauds", "-past"))
    running = run(f"{channel.url}&outcomes={name}-frauds&events={name}-past")
    wait_until(lambda: running.metric("connected", "events") and running.metric("connected", "outcomes"))
    outcomes.send([b'{"id": "s3", "outcome": true}', b'{"id": "s1", "outcome": 3}'])
    bodies = bodies_of(payment, 10)
    channel.send(bodies)
    events.send([json.dumps(payment("past")).encode()])
    channel.answers(10)
    assert [json.loads(one)["field"] for one in outcomes.rejections(1)] == ["outcome"]
    wait_until(lambda: running.metric("answered_total", "outcomes") == 1)
    wait_until(lambda: running.metric("answered_total", "events") == 1)
    with running.log() as log:
        assert "s3" in log.outcomes().column("_id").to_pylist()
        assert "past" in log.events().column("_id").to_pylist()
        assert "past" not in log.predictions().column("id").to_pylist()


def test_a_served_release_takes_a_stream_too(card_numbers, serve, payment, servers):
    channel = NatsChannel(servers(NatsServer), next(names))
    server = serve(card_numbers.release, options=["--stream", channel.url])
    channel.send(bodies_of(payment, 5))
    assert len(channel.answers(5)) == 5
    wait_until(lambda: server.metric('modelwright_stream_answered_total{operation="predict"}') == 5)


def test_a_stream_that_cannot_be_is_refused_in_one_line_before_anything_starts(modelwright, card_numbers, tmp_path):
    for command, says in (
        (["run", card_numbers.file, "--stream", "redis://user:secret@host/x"], "redis is not known"),
        (["run", card_numbers.file, "--stream", "nats://user:secret@host/x?colour=red"], "no option colour="),
        (["run", card_numbers.file, "--stream", "nats://h/x", "--replay", "f.csv"], "leave out --stream"),
        (["serve", card_numbers.release, "--no-log", "--stream", "nats://h/x"], "leave out --no-log"),
    ):
        done = modelwright(*command, home=tmp_path / "home")
        assert done.code == 2
        assert says in done.err
        assert "secret" not in done.err
        assert done.err.count("\n") == 1
