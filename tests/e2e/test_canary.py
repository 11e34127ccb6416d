"""A canary's share is the same cards whichever worker is asked, over HTTP and over gRPC."""

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pytest
import tritonclient.grpc as triton
from tests.e2e.processes import files_of

import modelwright as mw
from modelwright.app.wiring import open_log, workspace_of
from modelwright.core.share import is_in_share

PATIENCE_S = 120.0
SHARE = 0.3
CARDS = [f"c{number}" for number in range(40)]
CONNECTIONS = 16
"""So many are with one of two workers by chance once in 32,768 times."""
DATATYPES = {
    "payment_id": "BYTES", "card": "BYTES", "at": "BYTES", "amount": "FP64", "items": "INT64", "merchant": "BYTES",
}  # fmt: skip
NUMPY = {"BYTES": np.object_, "FP64": np.float64, "INT64": np.int64}
CANARY = f'    rollout=rollout.canary(shares=[{SHARE}], step=100_000, within="30d"),\n    model='


@pytest.fixture
def running(
    plain_cards: Any, modelwright: Any, environment_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Any, int, dict[str, str], str, str]]:
    """A system with two workers, a champion and another registered release: it, its process, its addresses, the two."""
    home = tmp_path / "state"
    shutil.copytree(plain_cards.file.parent, tmp_path / "system", ignore=shutil.ignore_patterns("state"))
    shutil.copytree(plain_cards.home, home)
    file = tmp_path / "system" / plain_cards.file.name
    declared = file.read_text().replace("import source", "import rollout, source")
    file.write_text(declared.replace("    model=", CANARY))
    done = modelwright("train", file, "--json", home=home)
    assert done.code == 0, done.err
    monkeypatch.setenv("MODELWRIGHT_HOME", str(home))
    command = [sys.executable, "-m", "modelwright.app.cli", "run", str(file), "--workers", "2"]
    options = ["--port", "0", "--grpc-port", "0", "--json"]
    with subprocess.Popen([*command, *options], env=environment_of(home), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline())
            yield mw.load(file), process.pid, addresses, plain_cards.release.name, done.json["release"]
        finally:
            process.terminate()


def holders(parent: int, address: str) -> set[int]:
    """The children of a process that hold open connections at an address, as the kernel tells."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    wanted = {f"socket:[{parts[9]}]" for parts in lines if parts[1].endswith(port) and parts[3] == "01"}
    found = set()
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with contextlib.suppress(OSError):  # it has just ended
            if files_of(int(pid)) & wanted:
                found.add(int(pid))
    return found


def ready(connection: http.client.HTTPConnection) -> Any:
    connection.request("GET", "/readyz")
    return json.loads(connection.getresponse().read())


def until_all_say(connections: list[http.client.HTTPConnection], **wanted: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while not all(wanted.items() <= ready(connection).items() for connection in connections):
        assert time.monotonic() < end, f"waited in vain for {wanted}"
        time.sleep(0.05)


def begin_canary(system: Any, release: str) -> None:
    with open_log(system, workspace_of(system)) as log:
        pointer = msgspec.structs.replace(
            log.journal.pointer(), challenger=release, phase="canary", share=SHARE, rollout=release
        )
        log.journal.append(
            "canary", pointer.since_us, release=release, summary="30%", evidence={"pairs": 0}, point=pointer
        )


def inferred(client: Any, rows: list[dict[str, Any]]) -> list[str]:
    """The release that answered each row of one call."""
    inputs = []
    for name, datatype in DATATYPES.items():
        values = np.array([row[name] for row in rows], dtype=NUMPY[datatype])
        inputs.append(triton.InferInput(name, [len(rows)], datatype))
        inputs[-1].set_data_from_numpy(values)
    answer = client.infer("plain-cards", inputs, client_timeout=PATIENCE_S)
    return [name.decode() for name in answer.as_numpy("release")]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="who holds a connection is read from /proc")
def test_every_worker_answers_the_same_share_of_the_cards_over_http_and_grpc(running: Any, payment: Any) -> None:
    system, pid, addresses, first, second = running
    netloc = urlsplit(addresses["address"]).netloc
    expected = {card: second if is_in_share(card, second, SHARE) else first for card in CARDS}
    assert set(expected.values()) == {first, second}
    answered: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(contextlib.closing(http.client.HTTPConnection(netloc, timeout=60)))
            for _ in range(CONNECTIONS)
        ]
        until_all_say(connections, release=first)
        assert len(holders(pid, addresses["address"])) == 2
        begin_canary(system, second)
        until_all_say(connections, challenger=second, share=SHARE)
        for place, connection in enumerate(connections):
            said = {}
            for card in CARDS:
                id = f"http-{place}-{card}"
                connection.request("POST", "/predict", json.dumps(payment(id, card=card)))
                answer = json.loads(connection.getresponse().read())
                said[card] = answered[id] = answer["release"]
            assert said == expected
        own = [("grpc.use_local_subchannel_pool", 1)]
        clients = [
            stack.enter_context(triton.InferenceServerClient(addresses["grpc"], channel_args=own))
            for _ in range(CONNECTIONS)
        ]
        for place, client in enumerate(clients):
            rows = [payment(f"grpc-{place}-{card}", card=card) for card in CARDS]
            together = inferred(client, rows[:-4])
            one_by_one = [inferred(client, [row])[0] for row in rows[-4:]]
            assert dict(zip(CARDS, together + one_by_one, strict=True)) == expected
            answered |= {row["payment_id"]: expected[row["card"]] for row in rows}
        assert len(holders(pid, addresses["grpc"])) == 2
        assert system.rollback(why="complaints", who="anna").kind == "rejected"
        until_all_say(connections, release=first, challenger=None, share=0.0)
        for place, client in enumerate(clients):
            rows = [payment(f"after-{place}-{card}", card=card) for card in CARDS]
            assert set(inferred(client, rows)) == {first}
    with open_log(system, workspace_of(system)) as log:
        told = [row for row in log.predictions().to_pylist() if row["id"] in answered]
    sent = {row["id"]: row["release"] for row in told if row["role"] == "champion"}
    assert sent == answered
    beside = {row["id"]: row["release"] for row in told if row["role"] == "challenger"}
    assert beside and all(beside[id] != answered[id] for id in beside)
