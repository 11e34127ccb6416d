"""The Open Inference Protocol without a socket: what is said while no release is live, and when one takes another's place."""

import asyncio
import json

import pytest

from modelwright.serving.http import HttpApp
from modelwright.serving.inference_protocol import InferenceProtocol


@pytest.fixture
def app(plane):
    return HttpApp(plane, "pay", dialects=[InferenceProtocol(plane, "pay")])


def ask(app, method, path, body=b"", headers=()):
    async def send():
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def answer(message):
            sent.append(message)

        await app({"type": "http", "method": method, "path": path, "headers": list(headers)}, receive, answer)
        return sent[0]["status"], json.loads(sent[1]["body"] or b"null")

    return asyncio.run(send())


def infer_body(number):
    values = {"pid": f"p{number}", "card": "c", "at": "2023-11-14T22:13:20Z", "amount": 1.0, "shop": "a"}
    inputs = [
        {"name": name, "shape": [1], "datatype": "FP64" if name == "amount" else "BYTES", "data": [value]}
        for name, value in values.items()
    ]
    return json.dumps({"inputs": inputs}).encode()


def test_without_a_release_the_model_is_known_and_not_ready(app, plane, release):
    for path in ("/v2/health/ready", "/v2/models/pay/ready"):
        assert ask(app, "GET", path)[0] == 503
    assert ask(app, "GET", "/v2/health/live")[0] == 200
    assert ask(app, "GET", "/v2/models/pay")[1]["versions"] == []
    assert ask(app, "GET", "/v2/models/pay/versions/r1")[0] == 404
    status, body = ask(app, "POST", "/v2/models/pay/infer", infer_body(1))
    assert (status, set(body)) == (503, {"error"})
    assert plane.log.counts()["events"] == 0
    assert ask(app, "POST", "/v2/repository/index")[1][0]["state"] == "UNAVAILABLE"
    assert ask(app, "POST", "/v2/repository/index", b'{"ready": true}')[1] == []
    plane.swap(plane.prepare(release("r1", 0.5)[0]), None, None)
    assert ask(app, "GET", "/v2/models/pay/versions/r1/ready")[0] == 200
    assert ask(app, "POST", "/v2/repository/index", b'{"ready": true}')[1][0]["version"] == "r1"


def test_a_repeat_names_the_release_that_answered(app, plane, release):
    plane.swap(plane.prepare(release("r1", 0.25)[0]), None, None)
    first = ask(app, "POST", "/v2/models/pay/infer", infer_body(1))[1]
    plane.swap(plane.prepare(release("r2", 0.75)[0]), None, None)
    assert ask(app, "POST", "/v2/models/pay/infer", infer_body(1))[1] == first
    assert first["model_version"] == "r1"
    assert ask(app, "POST", "/v2/models/pay/infer", infer_body(2))[1]["model_version"] == "r2"


@pytest.mark.parametrize("length", [b"9" * 5_000, b"-1", b"1" * 12])
def test_a_length_that_is_none_is_the_client_s_error(app, plane, release, length):
    plane.swap(plane.prepare(release("r1", 0.25)[0]), None, None)
    headers = [(b"inference-header-content-length", length)]
    status, said = ask(app, "POST", "/v2/models/pay/infer", infer_body(1), headers)
    assert (status, said) == (400, {"error": "Inference-Header-Content-Length: no length within the body"})


def test_a_head_has_no_body_and_other_routes_are_as_they_were(app):
    assert ask(app, "HEAD", "/v2/health/live") == (200, None)
    assert ask(app, "GET", "/healthz") == (200, {"alive": True})
