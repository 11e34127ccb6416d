"""The Open Inference Protocol by an independent client: Triton's, against a real server."""

import json
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

MODEL = "card-numbers"
START = datetime(2024, 6, 1, tzinfo=UTC)
DATATYPE = {
    "payment_id": "BYTES", "card": "BYTES", "at": "BYTES", "amount": "FP64", "items": "INT64", "merchant": "BYTES",
    "country": "BYTES",
}  # fmt: skip
NUMPY = {"BYTES": np.object_, "FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "INT32": np.int32}


@pytest.fixture(scope="module")
def server(card_numbers: Any, serve: Callable[..., Any]) -> Any:
    return serve(card_numbers.release)


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[triton.InferenceServerClient]:
    host, port = server.address
    with triton.InferenceServerClient(f"{host}:{port}") as opened:
        yield opened


def tensor(name: str, values: list[Any], datatype: str = "", *, binary: bool = True, width: bool = False) -> Any:
    """One column as the client sends it."""
    datatype = datatype or DATATYPE[name]
    made = np.array(values, dtype=NUMPY[datatype])
    made = made.reshape(-1, 1) if width else made
    put = triton.InferInput(name, list(made.shape), datatype)
    put.set_data_from_numpy(made, binary_data=binary)
    return put


def columns(rows: list[dict[str, Any]], *, binary: bool = True, width: bool = False) -> list[Any]:
    return [tensor(name, [row[name] for row in rows], binary=binary, width=width) for name in rows[0]]


def wanted(*names: str, binary: bool) -> list[Any]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def at(minutes: int) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


def refused(call: Callable[[], Any], status: int, *words: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        call()
    assert caught.value.status() == str(status), caught.value
    for word in words:
        assert word in caught.value.message()


def test_health_and_metadata(server: Any, client: Any, card_numbers: Any) -> None:
    release = card_numbers.release.name
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, release)
    assert not client.is_model_ready("nobody")
    assert not client.is_model_ready(MODEL, "nothing")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata(MODEL, release)
    assert metadata == client.get_model_metadata(MODEL)
    assert (metadata["name"], metadata["versions"]) == (MODEL, [release])
    assert {each["name"]: each["datatype"] for each in metadata["inputs"]} == DATATYPE
    assert {each["name"]: (each["datatype"], each["shape"]) for each in metadata["outputs"]} == {
        "prediction": ("BOOL", [-1]), "score": ("FP64", [-1]), "probabilities": ("FP64", [-1, 2]),
        "id": ("BYTES", [-1]), "release": ("BYTES", [-1]),
    }  # fmt: skip
    assert client.get_model_repository_index() == [{"name": MODEL, "version": release, "state": "READY", "reason": ""}]
    paths = server.ask("GET", "/openapi.json").json["paths"]
    assert {"/v2", f"/v2/models/{MODEL}/infer", "/v2/repository/index"} <= set(paths)
    assert f"/v2/models/{MODEL}/infer" in server.ask("GET", "/docs").body.decode()


@pytest.mark.parametrize("width", [False, True])
@pytest.mark.parametrize("binary", [False, True])
def test_rows_are_predicted_like_requests(server: Any, client: Any, payment: Any, binary: bool, width: bool) -> None:
    """The same payments of another card, one by one over /predict: the same bits, history and all."""
    card = f"v2-{binary}-{width}"
    rows = [
        payment(f"{card}-{n}", card=card, at=at(n), amount=3.7 * (n + 1), items=n + 1, merchant="ä" * n)
        for n in range(6)
    ]
    names = ("prediction", "score", "probabilities", "id", "release")
    result = client.infer(
        MODEL, columns(rows, binary=binary, width=width), outputs=wanted(*names, binary=binary), request_id="q7"
    )
    response = result.get_response()
    assert response["id"] == "q7"
    assert [output["name"] for output in response["outputs"]] == list(names)
    alone = [
        server.post("/predict", {**row, "card": f"{card}-alone", "payment_id": f"{row['payment_id']}-alone"}).json
        for row in rows
    ]
    texts = {name: [text.decode() if binary else text for text in result.as_numpy(name)] for name in ("id", "release")}
    assert result.as_numpy("score").tolist() == [answer["score"] for answer in alone]
    assert result.as_numpy("prediction").tolist() == [answer["prediction"] for answer in alone]
    order = json.loads(response["outputs"][2]["parameters"]["classes"])
    assert result.as_numpy("probabilities").tolist() == [
        [answer["probabilities"][name] for name in order] for answer in alone
    ]
    assert texts["id"] == [row["payment_id"] for row in rows]
    assert texts["release"] == [answer["release"] for answer in alone]
    assert response["model_version"] == alone[0]["release"]
    # They are events like any other: a repeat over /predict gets what was answered.
    assert server.post("/predict", rows[3]).json["score"] == result.as_numpy("score")[3]
    assert server.post("/outcomes", {"id": rows[3]["payment_id"], "outcome": True}).status == 200


def test_all_outputs_come_where_none_are_named(client: Any, payment: Any) -> None:
    result = client.infer(MODEL, columns([payment("all")]))
    assert {output["name"] for output in result.get_response()["outputs"]} == {
        "prediction", "score", "probabilities", "id", "release",
    }  # fmt: skip
    assert result.as_numpy("id").tolist() == [b"all"]


def test_narrower_numbers_and_instants_are_converted(server: Any, client: Any, payment: Any) -> None:
    for binary in (False, True):
        row = payment(f"narrow-{binary}", amount=0.1, items=3)
        instant = int(datetime.fromisoformat(row["at"]).timestamp()) * 1_000_000
        inputs = [
            tensor("payment_id", [row["payment_id"]], binary=binary),
            tensor("card", [row["card"]], binary=binary),
            tensor("at", [instant], "INT64", binary=binary),
            tensor("amount", [row["amount"]], "FP32", binary=binary),
            tensor("items", [3], "INT32", binary=binary),
            tensor("merchant", ["a"], binary=binary),
        ]
        result = client.infer(MODEL, inputs)
        # Only the very same event gets the stored answer.
        said = server.post("/predict", {**row, "amount": float(np.float32(0.1))})
        assert (said.status, said.json["score"]) == (200, result.as_numpy("score")[0])


def test_ids_and_times_are_made_where_none_are_sent(server: Any, client: Any, payment: Any) -> None:
    row = {name: value for name, value in payment("x").items() if name not in ("payment_id", "at")}
    before = server.ask("GET", "/readyz").json["events"]
    ids = client.infer(MODEL, columns([row, row])).as_numpy("id").tolist()
    assert len(set(ids)) == 2
    assert client.infer(MODEL, columns([row]), parameters={"id": "mine"}).as_numpy("id").tolist() == [b"mine"]
    assert server.ask("GET", "/readyz").json["events"] == before + 3
    refused(lambda: client.infer(MODEL, columns([row, row]), parameters={"id": "two"}), 400, "parameters.id")


def test_what_does_not_fit_is_refused_by_name(server: Any, client: Any, payment: Any) -> None:
    before = server.ask("GET", "/readyz").json["events"]
    right = columns([payment("wrong")])
    names = list(payment("wrong"))

    def infer(*changed: Any, without: str = "", **options: Any) -> Callable[[], Any]:
        new = {each.name(): each for each in changed}
        kept = [new.pop(name, each) for name, each in zip(names, right, strict=True) if name != without]
        return lambda: client.infer(MODEL, [*kept, *new.values()], **options)

    other = triton.InferInput("colour", [1], "BYTES")
    other.set_data_from_numpy(np.array(["red"], dtype=np.object_))
    refused(infer(other), 400, "colour", "merchant")
    refused(infer(without="amount"), 422, "amount")
    refused(infer(tensor("amount", [b"1"], "BYTES")), 400, "amount", "FP64")
    refused(infer(tensor("items", [1.0], "FP64")), 400, "items", "INT64")
    refused(infer(tensor("amount", [1.0, 2.0])), 400, "different numbers of rows")
    refused(infer(tensor("amount", [-1.0])), 422, "amount")
    refused(infer(tensor("amount", [float("nan")])), 422, "amount", "finite")
    refused(infer(tensor("amount", [float("inf")])), 422, "amount", "finite")
    refused(infer(tensor("at", ["yesterday"])), 422, "at")
    refused(infer(tensor("at", [2**62], "INT64")), 422, "at")
    refused(infer(tensor("merchant", [b"\xff"])), 400, "merchant", "UTF-8")
    refused(infer(outputs=wanted("colour", binary=False)), 400, "colour", "probabilities")
    refused(infer(priority=3), 400, "priority")
    refused(lambda: client.infer("nobody", right), 404, "nobody", MODEL)
    refused(lambda: client.infer(MODEL, right, model_version="old"), 404, "old")
    refused(lambda: client.infer(MODEL, right, request_compression_algorithm="gzip"), 415, "compressed")
    square = triton.InferInput("amount", [1, 2], "FP64")
    square.set_data_from_numpy(np.ones((1, 2)))
    refused(infer(square), 400, "amount", "[n, 1]")
    assert server.ask("GET", "/readyz").json["events"] == before, "nothing of a refused request counts"
    assert "Traceback" not in server.messages()


BROKEN: dict[str, tuple[bytes, dict[str, str], int]] = {
    "no JSON": (b"hello", {}, 400),
    "deep": (b"[" * 100_000, {}, 400),
    "no inputs": (b"{}", {}, 400),
    "an empty list": (b'{"inputs": []}', {}, 422),
    "a length beyond the body": (b"{}", {"Inference-Header-Content-Length": "99"}, 400),
    "a length that is none": (b"{}", {"Inference-Header-Content-Length": "-1"}, 400),
    "bytes behind": (b'{"inputs": []}xx', {"Inference-Header-Content-Length": "14"}, 400),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_bodies_are_answered_as_the_protocol_says(server: Any, what: str) -> None:
    body, headers, status = BROKEN[what]
    reply = server.ask("POST", f"/v2/models/{MODEL}/infer", body, headers)
    assert reply.status == status, reply.body
    assert set(reply.json) == {"error"}


def infer_raw(server: Any, inputs: list[dict[str, Any]], tail: bytes = b"", **more: Any) -> Any:
    head = json.dumps({"inputs": inputs, **more}).encode()
    return server.ask(
        "POST", f"/v2/models/{MODEL}/infer", head + tail, {"Inference-Header-Content-Length": str(len(head))}
    )


AMOUNTS: dict[str, tuple[dict[str, Any], bytes]] = {
    "bytes that are no whole number": ({"parameters": {"binary_data_size": 7}}, b"1234567"),
    "more than there are": ({"parameters": {"binary_data_size": 8}}, b"1234"),
    "fewer than zero": ({"parameters": {"binary_data_size": -8}}, b""),
    "both": ({"data": [1.0], "parameters": {"binary_data_size": 8}}, bytes(8)),
    "neither": ({}, b""),
    "a text": ({"data": ["1"]}, b""),
    "a boolean": ({"data": [True]}, b""),
    "too many": ({"data": [1.0, 2.0]}, b""),
    "shared memory": ({"data": [1.0], "parameters": {"shared_memory_region": "r"}}, b""),
    "a datatype that is none": ({"datatype": "BF16", "data": [1.0]}, b""),
    "a negative shape": ({"shape": [-1], "data": []}, b""),
    "a shape of nothing": ({"shape": [], "data": []}, b""),
    "a number of 400 digits": ({"data": [10**400]}, b""),
}


@pytest.mark.parametrize("what", AMOUNTS)
def test_a_tensor_that_does_not_fit_is_named(server: Any, what: str) -> None:
    changes, tail = AMOUNTS[what]
    reply = infer_raw(server, [{"name": "amount", "datatype": "FP64", "shape": [1], **changes}], tail)
    assert reply.status in (400, 422), reply.body
    assert reply.json["error"].startswith("amount"), reply.json


def test_texts_that_end_early_are_refused(server: Any) -> None:
    for tail in (b"\x05\x00", struct.pack("<I", 9) + b"short", struct.pack("<I", 2**32 - 1)):
        about = {"name": "merchant", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(tail)}}
        reply = infer_raw(server, [about], tail)
        assert reply.status == 400
        assert "end within a text" in reply.json["error"]


def test_null_is_a_missing_value(server: Any, payment: Any) -> None:
    row = payment("null", country=None)
    inputs = [{"name": name, "datatype": DATATYPE[name], "shape": [1], "data": [value]} for name, value in row.items()]
    said = infer_raw(server, inputs, outputs=[{"name": "score"}])
    assert said.status == 200, said.body
    assert server.post("/predict", row).json["score"] == said.json["outputs"][0]["data"][0]
    other = infer_raw(server, [*inputs[:1], {"name": "card", "datatype": "BYTES", "shape": [1], "data": [None]}])
    assert other.status == 422


def test_wrong_methods_and_routes(server: Any) -> None:
    for method, path, status in (
        ("GET", f"/v2/models/{MODEL}/infer", 405),
        ("POST", f"/v2/models/{MODEL}", 405),
        ("GET", f"/v2/models/{MODEL}/config", 404),
        ("GET", "/v2/models", 404),
    ):
        reply = server.ask(method, path)
        assert (reply.status, set(reply.json)) == (status, {"error"}), path
    assert server.ask("GET", "/v2nd").headers["content-type"] == "application/problem+json"
    assert server.metric('modelwright_responses_total{route="/v2/other",status="404"}') >= 2


def test_a_body_that_is_too_large_is_refused_in_its_form(server: Any) -> None:
    reply = server.ask("POST", f"/v2/models/{MODEL}/infer", b" " * (9 << 20))
    assert (reply.status, set(reply.json)) == (413, {"error"})
