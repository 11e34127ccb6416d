"""`POST /explain` on real servers: of the answered release and features, adding up, and writing nothing."""

import http.client
import json
import math
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.e2e.commands import without_log
from tests.e2e.processes import has_ended


def checked(explained: Any, answer: Any) -> None:
    """The explanation is of that answer, and its parts add up to it."""
    assert (explained["id"], explained["release"]) == (answer["id"], answer["release"])
    assert (explained["prediction"], explained["score"]) == (answer["prediction"], answer["score"])
    sizes = [abs(one["contribution"]) for one in explained["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    total = explained["base"] + sum(one["contribution"] for one in explained["contributions"])
    assert total == pytest.approx(explained["output"], abs=1e-9)
    output = explained["output"]
    said = 1 / (1 + math.exp(-output)) if explained["unit"] == "log-odds" else output
    assert said == pytest.approx(answer["score"], abs=1e-9)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def test_an_answered_event_is_explained_by_the_features_it_was_served_with(
    card_numbers: Any, serve: Any, some_payments: Any, payment: Any
) -> None:
    server = serve(card_numbers.release)
    rows = [{k: v for k, v in row.items() if k != "is_fraud"} for row in some_payments(60)]
    assert server.post("/predict", rows).status == 200
    asked = payment("asked", card=rows[-1]["card"], amount=55.5)
    answer = server.post("/predict", asked).json
    head = server.metric("modelwright_log_head")
    first = server.post("/explain", {"id": "asked"})
    assert first.status == 200, first.body
    explained = first.json
    checked(explained, answer)
    assert (explained["method"], explained["unit"], explained["of"], explained["logged"]) == (
        "trees",
        "log-odds",
        True,
        True,
    )
    values = {one["input"]: one["value"] for one in explained["contributions"]}
    assert (values["amount"], values["items"]) == (55.5, 1)
    # More history: what was answered is explained as it was answered, by its id and by its body.
    later = [payment(f"later{number}", card=asked["card"], at=f"2024-06-01T11:{number:02}:00Z") for number in range(30)]
    assert server.post("/predict", later).status == 200
    assert server.post("/explain", {"id": "asked"}).json == explained
    assert server.post("/explain", asked).json == explained
    # A new one sees it, and is not written.
    head = server.metric("modelwright_log_head")
    asked_new = payment("new", card=asked["card"], amount=55.5, at="2024-06-01T12:30:00Z")
    new = server.post("/explain", asked_new).json
    assert "logged" not in new
    assert server.metric("modelwright_log_head") == head
    checked(new, server.post("/predict", asked_new).json)
    seen = {one["input"]: one["value"] for one in new["contributions"]}
    assert seen["payments_1d"] > values["payments_1d"]


def test_what_cannot_be_explained_is_a_problem(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    assert server.post("/predict", payment("known")).status == 200
    assert server.post("/events", payment("silent")).status == 200
    for body, status in (
        ({"id": "nobody"}, 404), ({"id": "silent"}, 404), ({"id": 3}, 422), (b"{", 400), ([], 422),
        (payment("known", amount=3.0), 409), (payment("x", amount=-1), 422), (payment("x", amuont=1), 422),
        (payment("x", at="2200-01-01T00:00:00Z"), 422), (b" " * (2 << 20), 413),
    ):  # fmt: skip
        reply = server.post("/explain", body)
        assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), (body, reply.body)
        assert reply.json["status"] == status
    assert server.ask("GET", "/explain").status == 405
    assert server.post("/explain", payment("silent")).status == 200
    assert "Traceback" not in server.messages()


def test_it_is_described_and_every_reference_resolves(card_numbers: Any, serve: Any) -> None:
    server = serve(card_numbers.release)
    described = server.ask("GET", "/openapi.json").json
    assert "/explain" in described["paths"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)))
    assert references <= set(described["components"]["schemas"])
    assert "Payment" in references
    assert b"/explain" in server.ask("GET", "/docs").body


def test_texts_that_nobody_has_seen_and_the_native_form(cards: Any, serve: Any, payment: Any) -> None:
    """A model that nothing compiles is asked about mixed rows; the errors are told."""
    server = serve(cards.release)
    explained = server.post("/explain", payment("p", merchant="unheard of", country="XX")).json
    assert (explained["method"], explained["unit"]) == ("permutations", "probability")
    by_name = {one["input"]: one for one in explained["contributions"]}
    assert by_name["merchant"]["value"] == "unheard of"
    assert all(one["error"] >= 0 for one in explained["contributions"])
    answer = server.post("/predict", payment("p", merchant="unheard of", country="XX")).json
    checked(explained, answer)
    logged = server.post("/explain", {"id": "p"}).json
    assert logged.pop("logged")
    assert logged == explained


def test_after_the_log_has_moved_to_its_tables(card_numbers: Any, serve: Any, payment: Any, tmp_path: Path) -> None:
    from modelwright.core.clock import SystemClock
    from modelwright.lake.log import Log
    from modelwright.lake.rows import LogSchema
    from modelwright.lake.workspace import Workspace
    from modelwright.release.folder import open_release

    server = serve(card_numbers.release, tmp_path / "state")
    answer = server.post("/predict", payment("old")).json
    explained = server.post("/explain", {"id": "old"}).json
    release = open_release(card_numbers.release)
    label = release.manifest.label
    with Log.open(
        Workspace(tmp_path / "state"), LogSchema(release.contract, label.name, label.kind), SystemClock()
    ) as log:
        assert log.drain() > 0
    again = server.post("/explain", {"id": "old"}).json
    checked(again, answer)
    assert again == explained


def test_without_a_log(plain_cards: Any, payment: Any, tmp_path: Path) -> None:
    command = without_log(plain_cards.release)
    env = {**os.environ, "MODELWRIGHT_HOME": str(tmp_path / "state")}
    with subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        address = urlsplit(json.loads(process.stdout.readline())["address"])

        def ask(path: str, body: Any) -> Any:
            connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=240)
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            said = answer.status, json.loads(answer.read())
            connection.close()
            return said

        body = payment("p")
        status, explained = ask("/explain", body)
        assert status == 200
        checked(explained, ask("/predict", body)[1])
        assert ask("/explain", {"id": "p"})[0] == 422
        explainers = children(process.pid)
        process.terminate()
        assert process.wait(60) == 0
    assert list(tmp_path.iterdir()) == []
    assert_gone(explainers)


def assert_gone(pids: list[int]) -> None:
    until = time.monotonic() + 60
    while not all(map(has_ended, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert all(map(has_ended, pids))


def test_a_killed_explainer_is_started_again_and_none_is_there_before(
    card_numbers: Any, serve: Any, payment: Any
) -> None:
    server = serve(card_numbers.release)
    assert server.post("/predict", payment("p")).status == 200
    assert children(server.process.pid) == []  # nothing is started, and no memory taken, before it is asked for
    assert server.post("/explain", {"id": "p"}).status == 200
    found = children(server.process.pid)
    if found:
        os.kill(found[0], signal.SIGKILL)
    until, statuses = time.monotonic() + 120, []
    while (not statuses or statuses[-1] != 200) and time.monotonic() < until:
        statuses.append(server.post("/explain", {"id": "p"}).status)
    assert statuses[-1] == 200
    assert set(statuses) <= {200, 503}


def test_predictions_go_on_while_explanations_wait(cards: Any, serve: Any, payment: Callable[..., Any]) -> None:
    """More explanations than may wait: the others are told to come again, and each prediction is answered."""
    server = serve(cards.release)
    statuses: list[int] = []
    askers = [
        threading.Thread(target=lambda n=n: statuses.append(server.post("/explain", payment(f"e{n}")).status))
        for n in range(30)
    ]
    for asker in askers:
        asker.start()
    assert [server.post("/predict", payment(f"p{number}")).status for number in range(20)] == [200] * 20
    for asker in askers:
        asker.join(240)
    assert len(statuses) == 30
    assert set(statuses) == {200, 503}
    assert server.metric("modelwright_events_total") == 0
