"""A system of free text from end to end: trained, served with a log and without, over every kind of body, batch, explained."""

import asyncio
import json
from datetime import datetime
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import modelwright as mw
from modelwright.app.explainer import Explainer
from modelwright.app.explainer_process import ExplainerConfig
from modelwright.app.wiring import open_log, workspace_of
from modelwright.core.clock import SystemClock
from modelwright.monitoring.tail import LogReader
from modelwright.release.folder import open_release

ASKED = [
    ("I was CHARGED twice, refund please!!", "money"),
    ("Where is my parcel? It never arrived 📦", "parcels"),
    ("cannot log in; the password reset mail never came", "access"),
    (None, None),
    ("Words that nobody has written before", None),
]


@pytest.fixture(scope="module")
def complaints(histories, tmp_path_factory):
    """The system, its champion, and what its file says of ASKED."""
    folder = tmp_path_factory.mktemp("complaints")
    for file in histories("complaints").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    system = mw.load(folder / "system.py")
    result = system.train()
    workspace = workspace_of(system)
    return SimpleNamespace(
        system=system, file=folder / "system.py", result=result, release=workspace.releases / result.release
    )


def rows(prefix):
    return [
        {
            "complaint": f"{prefix}{place}",
            "at": "2024-05-01T00:00:00Z",
            "body": body,
            "channel": "app",
            "orders": 3 + place,
        }
        for place, (body, _) in enumerate(ASKED)
    ]


def ask(source, *requests, log):
    """The answers to (method, path, body) of the application that a user mounts."""

    async def sent(app, method, path, body):
        got = []

        async def receive():
            return {
                "type": "http.request",
                "body": b"" if body is None else json.dumps(body).encode(),
                "more_body": False,
            }

        async def answer(message):
            got.append(message)

        headers = [(b"content-type", b"application/json")]
        await app({"type": "http", "method": method, "path": path, "headers": headers}, receive, answer)
        assert got[0]["status"] == 200, got[1]["body"]
        return json.loads(got[1]["body"])

    async def all_of_them():
        app = mw.asgi(source, log=log)
        return [await sent(app, *request) for request in requests]

    return asyncio.run(all_of_them())


def tensors(asked):
    kinds = {"orders": "INT64"}
    return [
        {
            "name": name,
            "shape": [len(asked)],
            "datatype": kinds.get(name, "BYTES"),
            "data": [row[name] for row in asked],
        }
        for name in asked[0]
    ]


def test_the_form_is_compiled_and_needs_nothing(complaints):
    assert (complaints.result.form, complaints.result.runtime) == ("compiled", "compiled")
    manifest = open_release(complaints.release).manifest
    assert manifest.requires == {}
    assert {column.name: column.is_free for column in manifest.inputs} == {
        "body": True,
        "channel": False,
        "orders": False,
    }
    assert "#17" not in (complaints.release / "manifest.json").read_text()
    assert "#17" not in (complaints.release / "reference.json").read_text()


def test_every_body_has_one_answer_with_a_log_and_without(complaints):
    texts = [row for row in rows("w") if row["body"] is not None]  # a tensor of texts has no missing one
    columns = list(rows("x")[0])
    split = {"columns": columns, "data": [[row[name] for name in columns] for row in rows("x")]}
    name = complaints.system.name
    answers = []
    for source, log in ((complaints.file, True), (complaints.release, False)):
        predicted, inferred, invoked, described, api = ask(
            source,
            ("POST", "/predict", rows("p")),
            ("POST", f"/v2/models/{name}/infer", {"inputs": tensors(texts)}),
            ("POST", "/invocations", {"dataframe_split": split}),
            ("GET", f"/v2/models/{name}", None),
            ("GET", "/openapi.json", None),
            log=log,
        )
        said = [answer["prediction"] for answer in predicted]
        assert [text for text, (_, team) in zip(said, ASKED, strict=True) if team] == ["money", "parcels", "access"]
        output = {one["name"]: one["data"] for one in inferred["outputs"]}
        assert output["prediction"] == [said[place] for place in (0, 1, 2, 4)]
        assert [answer["prediction"] for answer in invoked["predictions"]] == said
        assert {"name": "body", "datatype": "BYTES", "shape": [-1]} in described["inputs"]
        assert "body" not in api["components"]["schemas"]["Complaint"]["required"]
        answers.append([{**answer, "id": ""} for answer in predicted])
    assert answers[0] == answers[1]


def test_a_file_is_scored_as_requests_are(complaints, tmp_path):
    asked = rows("f")
    table = pa.Table.from_pylist([{**row, "at": datetime.fromisoformat(row["at"])} for row in asked])
    pq.write_table(table, tmp_path / "given.parquet")
    complaints.system.predict(tmp_path / "given.parquet", tmp_path / "said.parquet")
    (said,) = ask(complaints.release, ("POST", "/predict", asked), log=False)
    scored = pq.read_table(tmp_path / "said.parquet").to_pylist()
    assert [row["prediction"] for row in scored] == [answer["prediction"] for answer in said]
    assert [row["probability_money"] for row in scored] == [answer["probabilities"]["money"] for answer in said]


def test_a_prediction_is_explained_by_the_whole_text(complaints):
    explainer = Explainer(ExplainerConfig(releases=str(complaints.release), workspace="", replay=False), SystemClock())
    told = explainer.explain(complaints.result.release, json.dumps(rows("e")[0]).encode())
    assert (told.of, told.method) == ("money", "linear")
    assert (told.contributions[0].input, told.contributions[0].value) == ("body", ASKED[0][0])
    assert told.base + sum(one.contribution for one in told.contributions) == pytest.approx(told.output)


def test_what_is_asked_is_watched_by_length_and_counted_as_no_unseen_text(complaints):
    asked = [{**row, "body": "parcel " * 40} for place in range(60) for row in rows(f"d{place}-")[:1]]
    ask(complaints.file, ("POST", "/predict", asked), log=True)
    with open_log(complaints.system, workspace_of(complaints.system), readonly=True) as log:
        reader = LogReader(log, "accuracy", ("access", "money", "parcels"))
        reader.drift.follow(open_release(complaints.release))
        reader.catch_up()
    report = reader.drift.monitor.report()
    assert report.columns == ("body", "channel", "orders")
    assert report.unseen[0] is None
    assert [one.name for alarm in reader.drift.monitor.alarms for one in alarm.drifted if "body" in one.name] == [
        "the length of body"
    ]
