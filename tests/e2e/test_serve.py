"""`modelwright serve` as a real process: what is answered is durable, each id counts once, and history is read exactly."""

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelwright.core.clock import SystemClock
from modelwright.features.offline import compute
from modelwright.features.plan import LabelColumn
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import read_manifest
from modelwright.spec.contract import Contract

TRAINING = (
    "sklearn", "pandas", "mlflow", "lightgbm", "xgboost", "catboost", "torch", "skl2onnx", "onnx", "onnxmltools", "duckdb",
    "cloudpickle",
)  # fmt: skip


def log_of(server: Any, release: Path) -> Log:
    """The log of a server that has ended."""
    contract = msgspec.json.decode((release / "contract.json").read_bytes(), type=Contract)
    label = read_manifest(release).label
    return Log.open(
        Workspace(server.workspace), LogSchema(contract, label.name, label.kind), SystemClock(), readonly=True
    )


def at(minutes: float) -> str:
    return (datetime(2024, 6, 1, tzinfo=UTC) + timedelta(minutes=minutes)).isoformat()


def bits(value: Any) -> Any:
    """A feature's value so that equal means equal bits; what JSON has no word for is None."""
    if isinstance(value, float):
        return None if value != value or value in (float("inf"), float("-inf")) else struct.pack("<d", value)
    return value


def assert_served_as_recomputed(server: Any, release: Path) -> int:
    """Every prediction of the log was made with the features that the offline host computes from the log alone."""
    with log_of(server, release) as log:
        manifest = read_manifest(release)
        label = LabelColumn(manifest.label.name, manifest.label.kind)
        events = log.events()
        features = compute(manifest.views, log.schema.contract, label, events, events, log.outcomes())
        recomputed = dict(zip(events["_seq"].to_pylist(), features.to_pylist(), strict=True))
        predictions = log.predictions().to_pylist()
    for made in predictions:
        served = json.loads(made["features"])
        for name, value in recomputed[made["event_seq"]].items():
            assert bits(served[name]) == bits(value), (made["id"], name, served[name], value)
    return len(predictions)


def test_an_answer_says_what_which_and_by_whom(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    reply = server.post("/predict", payment("p"))
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    answer = reply.json
    assert set(answer) == {"id", "prediction", "score", "probabilities", "release"}
    assert answer["id"] == "p"
    assert answer["release"] == card_numbers.release.name
    assert answer["probabilities"] == {"false": 1 - answer["score"], "true": answer["score"]}
    assert answer["prediction"] is (answer["score"] >= 0.5)
    assert server.post("/predict", [payment("q")]).json[0]["id"] == "q"


def test_a_list_sees_the_rows_before_it(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    listed = [payment(f"p{n}", card="listed", at=at(n), amount=10.0 + n) for n in range(6)]
    singly = [{**row, "payment_id": f"s{n}", "card": "single"} for n, row in enumerate(listed)]
    together = server.post("/predict", listed).json
    alone = [server.post("/predict", row).json for row in singly]
    assert [row["score"] for row in together] == [row["score"] for row in alone]
    server.stop()
    with log_of(server, card_numbers.release) as log:
        made = {row["id"]: json.loads(row["features"]) for row in log.predictions().to_pylist()}
    assert [made[f"p{n}"]["payments_1d"] for n in range(6)] == [0, 1, 2, 3, 4, 5]
    assert [made[f"p{n}"] for n in range(6)] == [made[f"s{n}"] for n in range(6)]


def test_what_was_served_is_what_the_log_gives_again(card_numbers: Any, serve: Any, some_payments: Any) -> None:
    """Events late, doubled in time, told of before they are asked about; outcomes early, late, repeated, corrected."""
    server = serve(card_numbers.release)
    chance = random.Random(3)
    rows = some_payments(240, seed=5)
    for row in rows:
        row["card"] = f"c{chance.randint(0, 3)}"
        row["amount"] = chance.choice([1e12, 1e-6, 0.1, row["amount"]])
        if chance.random() < 0.3:  # late, or at the same instant as another
            row["at"] = chance.choice(rows)["at"]
    fraud = {row["payment_id"]: row.pop("is_fraud") for row in rows}
    told: list[dict[str, Any]] = []
    known: list[str] = []
    while rows or told:
        doing = chance.random()
        if told and (doing < 0.15 or not rows):  # asked about after the rows in between
            row = told.pop(chance.randrange(len(told)))
            assert server.post("/predict", row).status == 200
        elif doing < 0.3:
            told.append(rows.pop(0))
            assert server.post("/events", told[-1]).json == {"id": told[-1]["payment_id"], "repeated": False}
            known.append(told[-1]["payment_id"])
        elif doing < 0.6 and known:
            id = chance.choice(known)
            body = {"id": id, "outcome": fraud[id] if chance.random() < 0.9 else not fraud[id]}
            if chance.random() < 0.7:
                body["at"] = (datetime(2024, 3, 1, tzinfo=UTC) + timedelta(hours=chance.randint(0, 150))).isoformat()
            assert server.post("/outcomes", body).status == 200
        else:
            several, rows = rows[: chance.randint(1, 4)], rows[4:] if len(rows) > 4 else []
            assert server.post("/predict", several).status == 200
            known += [row["payment_id"] for row in several]
    server.stop()
    assert assert_served_as_recomputed(server, card_numbers.release) > 50


def test_an_event_is_asked_about_as_of_when_it_came(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    server.post("/events", payment("first", at=at(60)))
    server.post("/events", payment("late", at=at(30)))  # before it in time, after it in the log
    server.post("/outcomes", {"id": "late", "outcome": True, "at": at(40)})
    assert server.post("/predict", payment("first", at=at(60))).status == 200
    assert server.post("/predict", payment("last", at=at(61))).status == 200
    server.stop()
    with log_of(server, card_numbers.release) as log:
        made = {row["id"]: json.loads(row["features"]) for row in log.predictions().to_pylist()}
    assert (made["first"]["payments_1d"], made["first"]["frauds"]) == (0, 0)
    assert (made["last"]["payments_1d"], made["last"]["frauds"]) == (2, 1)
    assert assert_served_as_recomputed(server, card_numbers.release) == 2


def test_a_repeated_id_gets_the_stored_answer(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    body = payment("again")
    first = server.post("/predict", body)
    server.post("/predict", payment("between", amount=900.0))
    for same in (body, {**body, "country": None}, {**body, "at": "2024-06-01T14:00:00+02:00"}, {**body, "amount": 20}):
        assert server.post("/predict", same).body == first.body
    twice = server.post("/predict", [body, payment("new"), payment("new"), body]).json
    assert twice[0] == twice[3] == first.json
    assert twice[1] == twice[2]
    assert server.post("/events", body).json == {"id": "again", "repeated": True}
    assert server.ask("GET", "/readyz").json["events"] == 3
    assert server.metric(f'modelwright_predictions_total{{release="{card_numbers.release.name}"}}') == 3


def test_an_outcome_counts_once_and_a_later_one_corrects_it(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    server.post("/predict", payment("p"))

    def tell(outcome: bool) -> Any:
        return server.post("/outcomes", {"id": "p", "outcome": outcome, "at": at(1)}).json

    assert [tell(True), tell(True), tell(False), tell(False)] == [
        {"id": "p", "repeated": False}, {"id": "p", "repeated": True},
        {"id": "p", "repeated": False}, {"id": "p", "repeated": True},
    ]  # fmt: skip
    mixed = server.post("/outcomes", [{"id": "p", "outcome": True}, {"id": "nobody", "outcome": True}])
    assert mixed.status == 404
    server.post("/predict", payment("q", at=at(2)))
    server.stop()
    with log_of(server, card_numbers.release) as log:
        assert log.outcomes()["is_fraud"].to_pylist() == [True, False, True]
    assert_served_as_recomputed(server, card_numbers.release)


def test_unseen_categories_are_served_and_counted(cards: Any, serve: Any, payment: Any) -> None:
    server = serve(cards.release)
    for number in range(3):
        odd = payment(f"p{number}", at=at(number), merchant="never seen", country="XX")
        assert server.post("/predict", odd).status == 200
    assert server.post("/predict", payment("missing", country=None)).status == 200
    assert server.metric('modelwright_unseen_total{column="merchant"}') == 3
    assert server.metric('modelwright_unseen_total{column="country"}') == 3
    assert server.metric('modelwright_unseen_total{column="last_merchant"}') == 3


def test_pipelined_requests_are_answered_in_order(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    with socket.create_connection(server.address, timeout=60) as client:
        for number in range(50):
            body = json.dumps(payment(f"p{number}", at=at(number))).encode()
            client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert re.findall(rb'"id":"(p\d+)"', answer) == [b"p%d" % number for number in range(50)]
    assert answer.endswith(b'{"alive":true}')


def test_200_connections_are_answered_each(card_numbers: Any, serve: Any, payment: Any) -> None:
    server = serve(card_numbers.release)
    connections = [server.connect() for _ in range(200)]
    for wave in range(2):
        server.process.send_signal(
            signal.SIGSTOP
        )  # else a client that is slower than the server is answered one by one
        for number, connection in enumerate(connections):
            connection.request("POST", "/predict", json.dumps(payment(f"w{wave}-{number}", card=f"c{number % 7}")))
        server.process.send_signal(signal.SIGCONT)
        replies = [connection.getresponse() for connection in connections]
        assert {reply.status for reply in replies} == {200}
        assert [json.load(reply)["id"] for reply in replies] == [f"w{wave}-{number}" for number in range(200)]
    for connection in connections:
        connection.close()
    assert server.ask("GET", "/readyz").json["events"] == 400
    assert server.metric("modelwright_commits_total") < 400  # requests in flight share a commit
    server.stop()
    assert assert_served_as_recomputed(server, card_numbers.release) == 400


def test_what_was_acknowledged_survives_a_kill(card_numbers: Any, serve: Any, payment: Any, tmp_path: Path) -> None:
    server = serve(card_numbers.release, tmp_path / "state")
    answers: dict[str, dict[str, Any]] = {}
    told: dict[str, bool] = {}
    enough = threading.Event()

    def load(worker: int) -> None:
        connection = server.connect()
        number = 0
        while True:
            id = f"w{worker}-{number}"
            body = payment(id, card=f"c{worker % 3}", at=at(number))
            try:
                connection.request("POST", "/predict", json.dumps(body))
                answers[id] = json.load(connection.getresponse())
                if number % 3 == 0:
                    connection.request("POST", "/outcomes", json.dumps({"id": id, "outcome": number % 2 == 0}))
                    json.load(connection.getresponse())
                    told[id] = number % 2 == 0
            except (OSError, ValueError, EOFError, http.client.HTTPException):
                connection.close()
                return
            number += 1
            if len(answers) > 400:
                enough.set()

    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(load, worker) for worker in range(8)]
        assert enough.wait(120)
        server.process.kill()
        for each in done:
            each.result(60)
    server.process.wait(60)
    with log_of(server, card_numbers.release) as log:
        events = log.events()["_id"].to_pylist()
        outcomes = dict(zip(*(log.outcomes()[name].to_pylist() for name in ("_id", "is_fraud")), strict=True))
        predictions = {row["id"]: row["score"] for row in log.predictions().to_pylist()}
    assert len(events) == len(set(events))
    assert set(answers) <= set(events)
    assert {id: predictions[id] for id in answers} == {id: answer["score"] for id, answer in answers.items()}
    assert told.items() <= outcomes.items()

    again = serve(card_numbers.release, tmp_path / "state")
    for id in list(answers)[::7]:
        worker, _, number = id[1:].partition("-")
        body = payment(id, card=f"c{int(worker) % 3}", at=at(int(number)))
        assert again.post("/predict", body).json == answers[id]
    assert again.ask("GET", "/readyz").json["events"] == len(events)
    again.stop()
    assert_served_as_recomputed(again, card_numbers.release)


ABSENT = f"""
import atexit, importlib.machinery, os, pathlib, sys
absent = {TRAINING!r}
find = importlib.machinery.PathFinder.find_spec

def found(name, path=None, target=None):
    if os.environ["HIDE"] == "yes" and name.partition(".")[0] in absent:
        return None
    return find(name, path, target)

importlib.machinery.PathFinder.find_spec = found
loaded = lambda: sorted({{name.partition(".")[0] for name in sys.modules}} & set(absent))
atexit.register(lambda: pathlib.Path(os.environ["LOADED"]).write_text(" ".join(loaded())))
"""


@pytest.fixture
def without_training(tmp_path: Path) -> dict[str, str]:
    """The environment of a process to which the training libraries are not installed; it says what it loaded."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(ABSENT)
    path = os.pathsep.join([str(tmp_path / "path"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, "LOADED": str(tmp_path / "loaded"), "HIDE": "yes"}


@pytest.mark.parametrize("hide", ["yes", "no"])
def test_serving_needs_nothing_of_training(
    card_numbers: Any, serve: Any, some_payments: Any, without_training: dict[str, str], hide: str, tmp_path: Path
) -> None:
    server = serve(card_numbers.release, **{**without_training, "HIDE": hide})
    ready = server.ask("GET", "/readyz")
    assert ready.status == 200
    assert "began with empty history" in ready.json["notes"]
    rows = [{k: v for k, v in row.items() if k != "is_fraud"} for row in some_payments(50)]
    assert server.post("/predict", rows).status == 200
    assert server.post("/outcomes", {"id": "p1", "outcome": True}).status == 200
    for path in ("/metrics", "/openapi.json", "/healthz"):
        assert server.ask("GET", path).status == 200
    assert server.stop() == 0
    # pyarrow takes cloudpickle where it finds it.
    assert (tmp_path / "loaded").read_text() in ("", "cloudpickle")


def test_a_graph_behind_a_preparation_needs_nothing_of_training_either(
    declare_plain: Any, serve: Any, payment: Any, without_training: dict[str, str], tmp_path: Path
) -> None:
    """A support vector machine behind a scaler: half of it is a program, the other half an ONNX graph."""
    trained = declare_plain(
        "make_pipeline(StandardScaler(), SVC())",
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import StandardScaler\n"
        "from sklearn.svm import SVC\n",
    )
    manifest = json.loads((trained.release / "manifest.json").read_text())
    served = next(form for form in manifest["forms"] if form["equivalence"]["accepted"])
    assert served["name"] == "compiled + onnx float64"
    assert manifest["requires"] == {}
    server = serve(trained.release, **without_training)
    answers = server.post("/predict", [payment(f"p{number}", amount=(number + 1) / 2) for number in range(40)])
    assert answers.status == 200
    assert {answer["probabilities"]["true"] for answer in answers.json} <= {0.0, 1.0}
    assert server.stop() == 0
    assert (tmp_path / "loaded").read_text() in ("", "cloudpickle")


def test_a_native_release_without_its_libraries_is_refused_with_the_command(
    cards: Any, without_training: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "modelwright.app.cli", "serve", str(cards.release), "--port", "0"],
        env={**os.environ, **without_training, "MODELWRIGHT_HOME": str(tmp_path / "state")},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.search(r"pip install .*scikit-learn==\d", done.stderr), done.stderr
    assert not (tmp_path / "state").exists()


def test_a_history_built_where_the_log_was_written_is_served_without_a_table_library(
    card_numbers: Any, serve: Any, payment: Any, tmp_path: Path
) -> None:
    """What a server holds in memory: it neither reads a table nor builds what training left it."""
    shutil.copytree(card_numbers.home, tmp_path / "state")
    server = serve(card_numbers.release, tmp_path / "state")
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("which libraries a process holds is read from /proc: run this on Linux")
    assert server.ask("GET", "/readyz").json["events"] == 500
    assert server.post("/predict", payment("p")).status == 200
    loaded = maps.read_text()
    assert "lmdb" in loaded
    assert not [library for library in ("pyarrow/", "deltalake/", "pandas/") if library in loaded]


def test_it_goes_on_where_its_log_ends(card_numbers: Any, serve: Any, payment: Any, tmp_path: Path) -> None:
    first = serve(card_numbers.release, tmp_path / "state")
    answer = first.post("/predict", payment("p")).json
    assert first.stop() == 0
    second = serve(card_numbers.release, tmp_path / "state")
    assert second.ask("GET", "/readyz").json["notes"] == []
    assert second.post("/predict", payment("p")).json == answer
    second.post("/predict", payment("q", at=at(721)))
    second.stop()
    with log_of(second, card_numbers.release) as log:
        made = {row["id"]: json.loads(row["features"]) for row in log.predictions().to_pylist()}
    assert made["q"]["idle"] == 60.0


def test_openapi_describes_what_is_taken(card_numbers: Any, serve: Any) -> None:
    told = serve(card_numbers.release).ask("GET", "/openapi.json").json
    assert told["openapi"].startswith("3.")
    for path in ("/predict", "/events", "/outcomes", "/healthz", "/readyz", "/metrics"):
        assert path in told["paths"]
    event = told["components"]["schemas"]["Payment"]
    assert set(event["required"]) == {"payment_id", "card", "at", "amount", "items", "merchant"}
    assert event["properties"]["amount"]["exclusiveMinimum"] == 0
    references = re.findall(r'"\$ref": ?"#/components/schemas/(\w+)"', json.dumps(told))
    assert set(references) <= set(told["components"]["schemas"])


def test_a_workspace_has_one_server(
    card_numbers: Any, serve: Any, modelwright: Callable[..., Any], tmp_path: Path
) -> None:
    server = serve(card_numbers.release, tmp_path / "state")
    done = modelwright("serve", card_numbers.release, "--port", 0, home=tmp_path / "state")
    assert done.code == 1
    assert str(server.process.pid) in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("inherited", [signal.SIG_DFL, signal.SIG_IGN], ids=["heeded", "ignored"])
def test_control_c_ends_it_as_interrupted(card_numbers: Any, serve: Any, inherited: Any) -> None:
    """Also where a shell started it as a background job, with the signal ignored."""
    before = signal.signal(signal.SIGINT, inherited)
    try:
        server = serve(card_numbers.release)
    finally:
        signal.signal(signal.SIGINT, before)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 130
    assert server.messages().endswith("modelwright: interrupted; what was acknowledged is in the log\n")
    assert "Traceback" not in server.messages()
