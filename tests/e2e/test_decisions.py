"""People decide on the command line, and the running system does as they say at once."""

import http.client
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

import modelwright as mw
from modelwright.app.wiring import open_log, workspace_of
from modelwright.core.share import is_in_share
from modelwright.testing.receivers import WebServer

WHY = ("--why", "checked by hand", "--who", "anna")


@pytest.fixture(scope="module")
def twice(plain_cards, modelwright, tmp_path_factory):
    """A system with a champion and a second candidate that is registered."""
    folder = tmp_path_factory.mktemp("twice")
    home = folder / "state"
    shutil.copytree(plain_cards.file.parent, folder / "system", ignore=shutil.ignore_patterns("state"))
    shutil.copytree(plain_cards.home, home)
    file = folder / "system" / plain_cards.file.name
    declared = file.read_text().replace("import source", "import alert, source")
    file.write_text(declared.replace("    model=", '    alerts=[alert.webhook("$HOOK")],\n    model='))
    done = modelwright("train", file, "--json", home=home)
    assert done.code == 0, done.err
    assert not done.json["promoted"]
    return file, home, plain_cards.release.name, done.json["release"]


@pytest.fixture
def state(twice, tmp_path) -> tuple[Path, Path, str, str]:
    file, home, first, second = twice
    shutil.copytree(home, tmp_path / "state")
    return file, tmp_path / "state", first, second


def live(address: str, release: str) -> None:
    """Wait until the server answers with that release."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=30) as answer:
            if json.load(answer)["release"] == release:
                return
        time.sleep(0.02)
    raise AssertionError(f"{release} is not live")


@pytest.fixture
def hook():
    with WebServer() as server:
        yield server


def read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return str(answer.read().decode())


def test_a_registered_release_is_approved_and_rolled_back_while_the_system_runs(
    state, modelwright, environment_of, hook
):
    file, home, first, second = state
    command = [sys.executable, "-m", "modelwright.app.cli", "run", str(file), "--port", "0", "--json"]
    with subprocess.Popen(command, env=environment_of(home) | {"HOOK": hook.url}, stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            address = json.loads(running.stdout.readline())["address"]
            live(address, first)
            done = modelwright("approve", file, "--release", second.partition("-")[0], *WHY, "--json", home=home)
            assert done.code == 0, done.err
            assert (done.json["kind"], done.json["release"]) == ("promoted", second)
            assert done.json["evidence"] == {"by": "person", "who": "anna", "why": "checked by hand"}
            live(address, second)
            done = modelwright("rollback", file, "--why", "complaints", "--who", "anna", "--json", home=home)
            assert (done.json["kind"], done.json["release"]) == ("rolled_back", second)
            live(address, first)
            while 'modelwright_alerts_sent_total{to="webhook $HOOK"} 1' not in (said := read(f"{address}/metrics")):
                assert 'modelwright_alerts_dropped_total{to="webhook $HOOK"} 0' in said
                time.sleep(0.02)
            assert "anna rolled" in json.loads(hook.messages[0])["what"]
        finally:
            running.terminate()
    said = modelwright("status", file, "--since", "7d", "--json", home=home).json
    assert said["champion"]["release"] == first
    assert said["digest"]["counts"]["rolled_back"] == 1
    assert f"{second} was taken out of service and nothing newer has replaced it" in " ".join(
        said["digest"]["problems"]
    )
    assert [(one["name"], one["sent"], one["waiting"]) for one in said["alerts"]] == [("webhook $HOOK", 1, 0)]
    assert hook.url not in json.dumps(said)


class Asking(threading.Thread):
    """A client that never pauses: one payment after the other, of a hundred cards, over one connection. `answers`: when each
    came, its card, its release; `wrong`: whatever was no answer."""

    def __init__(self, address, payment, name) -> None:
        super().__init__(daemon=True)
        self._address, self._payment, self._of = address, payment, name
        self.answers: list[tuple[float, str, str]] = []
        self.wrong: list[object] = []
        self.done = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self._address).netloc, timeout=60)
        for number in itertools.count():
            if self.done.is_set():
                break
            card = f"c{number % 100}"
            body = json.dumps(self._payment(f"{self._of}-{number}", card=card))
            try:
                connection.request("POST", "/predict", body)
                answer = connection.getresponse()
                said = json.loads(answer.read())
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(error)
                continue
            if answer.status != 200:
                self.wrong.append(said)
            else:
                self.answers.append((time.monotonic(), card, said["release"]))
        connection.close()

    def first(self, release, since):
        """When the first answer of a release came after a moment."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            for at, _, by in self.answers[::-1]:
                if at < since:
                    break
                if by == release:
                    return min(at for at, _, by in self.answers if at >= since and by == release)
            time.sleep(0.005)
        raise AssertionError(f"{release} does not answer")


@pytest.fixture
def asked(state, environment_of, payment, monkeypatch, hook):
    """A running system that is asked all the time, by two clients: (system, its first and second release, clients)."""
    file, home, first, second = state
    monkeypatch.setenv("MODELWRIGHT_HOME", str(home))
    command = [sys.executable, "-m", "modelwright.app.cli", "run", str(file), "--port", "0", "--json"]
    clients: list[Asking] = []
    with subprocess.Popen(command, env=environment_of(home) | {"HOOK": hook.url}, stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            address = json.loads(running.stdout.readline())["address"]
            live(address, first)
            clients += [Asking(address, payment, name) for name in "ab"]
            for client in clients:
                client.start()
            yield mw.load(file), first, second, clients
        finally:
            for client in clients:
                client.done.set()
            for client in clients:
                client.join(60)
            running.terminate()


@pytest.mark.parametrize("swaps", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_releases_change_under_load_without_a_failed_request(asked, swaps):
    system, first, second, clients = asked
    took = []
    for _ in range(swaps // 2):
        for decide, release in ((partial(system.approve, release=second), second), (system.rollback, first)):
            decide(why="a test", who="anna")
            decided = time.monotonic()
            took.append(max(client.first(release, decided) for client in clients) - decided)
    assert [client.wrong for client in clients] == [[], []]
    assert {by for client in clients for *_, by in client.answers} == {first, second}
    answers = sum(len(client.answers) for client in clients)
    print(
        f"\n{swaps} swaps under load, {answers:,} answers, none failed; from the decision to the first answer: median "
        f"{1e3 * statistics.median(took):.0f} ms, longest {1e3 * max(took):.0f} ms"
    )


def test_a_canary_answers_its_share_of_the_cards_under_load(asked):
    system, first, second, clients = asked
    with open_log(system, workspace_of(system)) as log:
        pointer = msgspec.structs.replace(
            log.journal.pointer(), challenger=second, phase="canary", share=0.3, rollout=second
        )
        log.journal.append(
            "canary", pointer.since_us, release=second, summary="30%", evidence={"pairs": 0}, point=pointer
        )
    since = max(client.first(second, 0.0) for client in clients)
    enough = [len(client.answers) + 300 for client in clients]
    until = time.monotonic() + 120
    while any(len(client.answers) < count for client, count in zip(clients, enough, strict=True)):
        assert time.monotonic() < until
        time.sleep(0.01)
    answers = [answer for client in clients for answer in client.answers if answer[0] >= since]
    assert {(card, by) for _, card, by in answers} == {
        (f"c{n}", second if is_in_share(f"c{n}", second, 0.3) else first) for n in range(100)
    }
    status = system.status()
    assert (status.phase, status.share, status.challenger["release"]) == ("canary", 0.3, second)
    assert system.rollback(why="complaints", who="anna").kind == "rejected"
    decided = time.monotonic()
    for client in clients:
        client.first(first, decided)
    until = time.monotonic() + 120
    while any(by == second for client in clients for _, _, by in client.answers[-100:]):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert [client.wrong for client in clients] == [[], []]


def test_pause_is_shown_and_ends_with_resume(state, modelwright):
    file, home, *_ = state
    assert modelwright("pause", file, *WHY, home=home).code == 0
    said = modelwright("status", file, home=home)
    assert "paused" in said.out and "until `modelwright resume`" in said.out
    assert said.err == ""
    assert modelwright("status", file, "--json", home=home).json["paused"]
    assert modelwright("resume", file, *WHY, home=home).code == 0
    assert not modelwright("status", file, "--json", home=home).json["paused"]


@pytest.mark.parametrize("error", [KeyError, OSError])  # until Python 3.12, and from 3.13 on
def test_who_has_no_name_on_this_machine_is_told_by_number(state, monkeypatch, error):
    def nameless():
        raise error("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setenv("MODELWRIGHT_HOME", str(state[1]))
    row = mw.load(state[0]).pause(why="checked by hand")
    assert row.evidence["who"] == f"user {os.getuid()}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["approve", *WHY], "no release waits for approval; name one that was registered: r0-"),
        (["approve", "--release", "r9", *WHY], "release r9 was never registered; registered are r0-"),
        (["reject", *WHY], "there is no challenger to reject"),
        (["resume", *WHY], "the loop is not paused"),
        (["pause", "--why", " "], "--why is empty; say why, the journal keeps it"),
        (["pause"], "the following arguments are required: --why"),
    ],
)
def test_what_cannot_be_decided_is_one_line(state, modelwright, words, message):
    file, home, *_ = state
    command, *options = words
    done = modelwright(command, file, *options, home=home)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert message in done.err


def test_without_a_log_there_is_nothing_to_decide(state, modelwright, tmp_path):
    done = modelwright("pause", state[0], *WHY, home=tmp_path / "nothing")
    assert done.code == 2
    assert "holds no log yet; begin with" in done.err
    assert not (tmp_path / "nothing").exists()
