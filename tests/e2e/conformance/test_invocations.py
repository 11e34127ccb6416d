"""The cloud containers' contracts on a real server, with a log and without: MLflow's own client, SageMaker's, Vertex AI's and
Azure ML's bodies. Whatever the form of a row, its answer is what /predict says of it."""

import csv
import io
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelwright import __version__

COLUMNS = ["payment_id", "card", "at", "amount", "items", "merchant", "country"]
TOLD = ["card", "amount", "items", "merchant", "country"]
"""The columns that are not made where they are missing."""


@pytest.fixture(scope="module", params=["log", "no log"])
def server(request: Any, plain_cards: Any, serve: Callable[..., Any]) -> Any:
    return serve(plain_cards.release, options=["--no-log"] if request.param == "no log" else [])


@pytest.fixture
def client(server: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, as it is imported
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    return ScoringServerClient(*server.address)


@pytest.fixture
def rows(some_payments: Callable[..., list[dict[str, Any]]], request: Any) -> list[dict[str, Any]]:
    """Payments as JSON has them, without their outcomes, under ids of this test's own."""
    test = request.node.name
    return [
        {name: row[name] for name in COLUMNS} | {"payment_id": f"{test} {row['payment_id']}"}
        for row in some_payments(8)
    ]


def predicted(server: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = server.post("/predict", rows).json
    return answers


def said(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers without the ids that were made."""
    return [{name: value for name, value in answer.items() if name != "id"} for answer in answers]


def invoke(server: Any, body: Any, content_type: str = "application/json", accept: str = "", path: str = "") -> Any:
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"content-type": content_type, **({"accept": accept} if accept else {})}
    return server.ask("POST", path or "/invocations", data, headers)


# MLflow's client.


def test_mlflows_client_finds_the_server(client: Any) -> None:
    client.ping()
    client.wait_server_ready(timeout=10)
    assert client.get_version() == __version__


def test_a_data_frame_through_mlflows_client(client: Any, server: Any, rows: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(rows)
    answers = client.invoke(frame).get_predictions()
    assert answers.to_dict("records") == predicted(server, rows)
    instants = frame.assign(at=pd.to_datetime(frame["at"]))
    assert client.invoke(instants)["predictions"] == answers.to_dict("records")


def test_what_is_missing_in_a_data_frame_is_missing(client: Any, server: Any, rows: list[dict[str, Any]]) -> None:
    """pandas says NaN, and MLflow's client writes it into its JSON."""
    missing = [{**row, "country": None} for row in rows]
    frame = pd.DataFrame([{**row, "country": np.nan} for row in rows])
    assert client.invoke(frame)["predictions"] == predicted(server, missing)
    with pytest.raises(Exception, match="amount: not a finite number"):
        client.invoke(frame.assign(amount=np.nan))


def test_lists_and_arrays_through_mlflows_client(client: Any, server: Any, rows: list[dict[str, Any]]) -> None:
    expected = said(predicted(server, rows))
    told = [{name: row[name] for name in TOLD} for row in rows]
    assert said(client.invoke(told)["predictions"]) == expected
    array = np.array([[row[name] for name in TOLD] for row in rows], dtype=object)
    assert said(client.invoke(array)["predictions"]) == expected
    answers = client.invoke(told[:1])["predictions"]
    assert answers[0]["id"]


def test_parameters_are_refused_through_mlflows_client(client: Any, rows: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(rows)
    with pytest.raises(Exception, match="params: nothing can be asked"):
        client.invoke(frame, params={"temperature": 0.5})
    assert len(client.invoke(frame, params={})["predictions"]) == len(rows)


# What the platforms document.


def forms(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The bodies of /invocations that mean these rows."""
    values = [list(row.values()) for row in rows]
    return {
        "instances": {"instances": rows},
        "instances by order": {"instances": values},
        "instances with features": {"instances": [{"features": row} for row in values]},
        "Vertex AI's parameters": {"instances": rows, "parameters": None},
        "inputs as columns": {"inputs": {name: [row[name] for row in rows] for name in rows[0]}},
        "inputs as rows": {"inputs": rows},
        "dataframe_records": {"dataframe_records": rows},
        "dataframe_split": {"dataframe_split": {"columns": list(rows[0]), "index": [3] * len(rows), "data": values}},
        "dataframe_split by order": {"dataframe_split": {"data": values}},
        "dataframe_split in another order": {
            "dataframe_split": {"columns": list(rows[0])[::-1], "data": [row[::-1] for row in values]}
        },
    }


def test_every_form_of_json_has_the_answers_of_predict(server: Any, rows: list[dict[str, Any]]) -> None:
    expected = predicted(server, rows)
    for name, body in forms(rows).items():
        reply = invoke(server, body)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json"), (name, reply.body)
        assert reply.json == {"predictions": expected}, name
    assert invoke(server, {"inputs": rows[0]}).json == {"predictions": expected[:1]}


def test_json_lines_are_answered_with_json_lines(server: Any, rows: list[dict[str, Any]]) -> None:
    expected = predicted(server, rows)
    lines = [json.dumps(row if place % 2 else list(row.values())) for place, row in enumerate(rows)]
    for kind in ("application/jsonlines", "application/x-ndjson; charset=utf-8"):
        reply = invoke(server, "\n".join(lines) + "\n\n", kind)
        assert reply.headers["content-type"] == "application/jsonlines"
        assert [json.loads(line) for line in reply.body.splitlines()] == expected
    assert invoke(server, "\n".join(lines), kind, "application/json").json == {"predictions": expected}


def as_csv(rows: list[dict[str, Any]], names: list[str] | None = None, *, header: bool = False) -> str:
    names = names or list(rows[0])
    text = io.StringIO()
    writer = csv.writer(text)
    if header:
        writer.writerow(names)
    writer.writerows([row[name] for name in names] for row in rows)
    return text.getvalue()


def test_csv_with_and_without_a_header(server: Any, rows: list[dict[str, Any]]) -> None:
    rows = [{**row, "merchant": 'a, "b"\nc'} for row in rows]
    expected = predicted(server, rows)
    backwards = COLUMNS[::-1]
    for body, kind in (
        (as_csv(rows), "text/csv"),
        (as_csv(rows), "text/csv; header=absent"),
        (as_csv(rows, backwards, header=True), "text/csv"),
        ("\ufeff" + as_csv(rows, backwards, header=True) + "\r\n", "text/csv; charset=utf-8; header=present"),
    ):
        assert invoke(server, body, kind).json == {"predictions": expected}, body
    made = invoke(server, as_csv(rows, TOLD), "text/csv").json["predictions"]
    assert said(made) == said(expected)
    lines = list(csv.reader(io.StringIO(invoke(server, as_csv(rows), "text/csv", "text/csv").body.decode())))
    assert lines == [[one["id"], str(one["prediction"]).lower(), repr(one["score"])] for one in expected]


def test_azure_ml_answers_a_list(server: Any, rows: list[dict[str, Any]]) -> None:
    expected = predicted(server, rows)
    values = [list(row.values()) for row in rows]
    split = {"columns": list(rows[0]), "index": list(range(len(rows))), "data": values}
    for body in (
        {"input_data": split},
        {"input_data": rows, "params": {}},
        {"input_data": values},
        {"input_data": {name: [row[name] for row in rows] for name in rows[0]}},
        {"data": rows},
        {"data": values},
    ):
        assert invoke(server, body, path="/score").json == expected, body


def test_vertex_ai_says_where_it_asks(plain_cards: Any, serve: Any, rows: list[dict[str, Any]], server: Any) -> None:
    routes = {"AIP_HEALTH_ROUTE": "/alive", "AIP_PREDICT_ROUTE": "/predict"}
    vertex = serve(plain_cards.release, options=["--no-log"], **routes)
    assert vertex.ask("GET", "/alive").status == 200
    assert vertex.post("/predict", rows).status == 422  # the platform's protocol has taken the name
    expected = predicted(server, rows)
    for path in ("/predict", "/predict?x=1"):
        assert invoke(vertex, {"instances": rows}, path=path).json == {"predictions": expected}
    assert "instances" in str(vertex.ask("GET", "/openapi.json").json["paths"]["/predict"])


REFUSED: dict[str, tuple[Any, str, int, str]] = {
    "no JSON": (b"{", "application/json", 400, "not JSON"),
    "no UTF-8": (b"\xff\xfe", "text/csv", 400, "not UTF-8"),
    "a line that is no JSON": (b"{}\n{", "application/jsonlines", 400, "a line"),
    "a line that is a number": (b"5\n", "application/jsonlines", 400, "a line"),
    "an open quotation": (b'"a,b', "text/csv", 400, "not CSV"),
    "deep": (b"[" * 100_000 + b"NaN", "application/json", 422, "Expected `object`"),
    "deep with NaN": (b'{"instances": ' + b"[" * 100_000 + b"NaN", "application/json", 400, "not JSON"),
    "Parquet": (b"PAR1", "application/vnd.apache.parquet", 415, "takes application/json"),
    "another character set": (b"{}", "application/json; charset=utf-16", 415, "charset"),
    "an odd header": (b"a", "text/csv; header=maybe", 415, "present or absent"),
    "a list": ([], "application/json", 422, "Expected `object`"),
    "no member": ({}, "application/json", 422, "instances"),
    "two members": ({"instances": [{}], "inputs": [{}]}, "application/json", 422, "instances and inputs"),
    "an unknown member": ({"instances": [{}], "signature_name": "x"}, "application/json", 422, "signature_name"),
    "parameters": ({"instances": [{}], "parameters": {"a": 1}}, "application/json", 422, "parameters"),
    "no rows": ({"instances": []}, "application/json", 422, "no rows"),
    "no lines": (b"", "text/csv", 422, "no rows"),
    "a row that is a number": ({"instances": [5]}, "application/json", 422, "a row is"),
    "a row that is too short": ({"instances": [[1, 2]]}, "application/json", 422, "7 (payment_id"),
    "a short row under columns": ({"dataframe_split": {"columns": ["card"], "data": [[]]}}, "application/json", 422, "0 values"),
    "a column twice": (
        {"dataframe_split": {"columns": ["card", "card"], "data": [["a", "b"]]}}, "application/json", 422, "twice",
    ),
    "columns of two lengths": ({"inputs": {"card": ["a"], "items": [1, 2]}}, "application/json", 422, "different"),
    "a value beside a list": ({"inputs": {"card": "a", "items": [1]}}, "application/json", 422, "different"),
    "too many rows": ({"instances": [{}] * 10_001}, "application/json", 413, "10001"),
    "too many lines": (b"\n" * 20_000, "text/csv", 413, "10001"),
    "a word for a number": (b"c,x,1,a,DE", "text/csv", 422, "amount: 'x' is not a number"),
    "Python's number": (b"c,1_0,1,a,DE", "text/csv", 422, "amount: '1_0' is not a number"),
    "an endless number": (b"c,inf,1,a,DE", "text/csv", 422, "amount: 'inf' is not finite"),
    "an empty number": (b"c,,1,a,DE", "text/csv", 422, "amount"),
    "a fraction": (b"c,1,1.5,a,DE", "text/csv", 422, "items"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_as_a_problem(server: Any, what: str) -> None:
    body, kind, status, words = REFUSED[what]
    reply = invoke(server, body, kind)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json"), reply.body
    assert words in reply.json["detail"], reply.json


def test_a_column_that_is_not_declared_is_named(server: Any, rows: list[dict[str, Any]]) -> None:
    for body, kind in (
        ({"instances": [{**rows[0], "amuont": 1}]}, "application/json"),
        (as_csv([{**rows[0], "amuont": 1}], header=True), "text/csv"),
    ):
        reply = invoke(server, body, kind)
        assert (reply.status, reply.json["field"]) == (422, "amuont")
        assert "amount" in reply.json["detail"]


def test_forms_of_answers_and_methods(server: Any, rows: list[dict[str, Any]]) -> None:
    body = {"instances": rows[:1]}
    assert invoke(server, body, accept="image/png").status == 406
    assert invoke(server, body, accept="image/png, */*").headers["content-type"] == "application/json"
    for method, path, allowed in (("GET", "/invocations", "POST"), ("POST", "/ping", "GET, HEAD")):
        reply = server.ask(method, path)
        assert (reply.status, reply.headers["allow"]) == (405, allowed)
    ping = server.ask("GET", "/ping")
    assert (ping.status, ping.body) == (200, b"")


def test_a_repeat_has_its_first_answer_and_a_changed_one_none(plain_cards: Any, serve: Any, rows: Any) -> None:
    server = serve(plain_cards.release)
    first = invoke(server, {"instances": rows})
    assert invoke(server, as_csv(rows), "text/csv").json == first.json
    assert server.ask("GET", "/readyz").json["events"] == len(rows)
    assert invoke(server, {"instances": [{**rows[0], "amount": 1.5}]}).status == 409
