"""The plane without a log answers what the one with a log does, byte for byte, and keeps nothing."""

import asyncio
import json

import msgspec
import numpy as np
import pytest

from modelwright.core.errors import ContractError, UnavailableError, UsageError
from modelwright.release.folder import Release
from modelwright.release.inputs import InputColumn
from modelwright.serving.http import HttpApp
from modelwright.serving.stateless import StatelessPlane


async def send(app, method, path, body=b""):
    """One request; its status, headers and body."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def answer(message):
        sent.append(message)

    await app({"type": "http", "method": method, "path": path, "headers": []}, receive, answer)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def ask(app, *arguments):
    return asyncio.run(send(app, *arguments))


def body_of(number, **changes):
    body = {"pid": f"p{number}", "card": "c", "at": "2023-11-14T22:13:20Z", "amount": 1.0, "shop": "a"}
    return json.dumps({**body, **changes}).encode()


class Told:
    """Scores by amount and shop, so that rows that change places are seen; fails at an amount."""

    def __init__(self):
        self.fails_at = None

    def run(self, rows):
        if self.fails_at is not None and (rows.numbers[:, 0] == self.fails_at).any():
            raise RuntimeError("the model is broken")
        known = np.array([{"a": 0.25, "b": 0.5}.get(text, 0.0) for text in rows.texts[0]])
        score = np.nan_to_num(rows.numbers[:, 0]) / 4000 + known
        return np.stack([1 - score, score], axis=1)


@pytest.fixture
def model():
    return Told()


@pytest.fixture
def alone(release, model):
    """A release without views."""
    made = release("r1", 0.5)[0]
    inputs = (
        InputColumn(name="amount", kind="number"),
        InputColumn(name="shop", kind="text", vocabulary=("a", "b")),
    )
    return Release(
        "r1", msgspec.structs.replace(made.manifest, views=(), inputs=inputs), made.contract, made.references, model
    )


@pytest.fixture
def stateless(alone, clock):
    return StatelessPlane(alone, clock)


@pytest.fixture
def app(stateless):
    return HttpApp(stateless, "pay")


BODIES = [
    body_of(1, amount=12.5),
    body_of(2, shop=None, amount=0.1 + 0.2),
    body_of(3, shop="unseen"),
    b"[%s]" % b",".join(body_of(number, amount=number * 17.3, shop="ab?"[number % 3]) for number in range(10, 90)),
    b"[]",
    b"{",
    body_of(4, at="2123-11-14T22:13:20Z"),
    body_of(4, amount="x"),
    body_of(4, nobody=1),
]


def test_it_answers_what_the_plane_with_a_log_answers(app, plane, alone):
    plane.swap(plane.prepare(alone), None, None)
    logged = HttpApp(plane, "pay")
    for body in BODIES:
        assert ask(app, "POST", "/predict", body) == ask(logged, "POST", "/predict", body)
    assert {ask(app, "POST", "/predict", body)[0] for body in BODIES} == {200, 400, 422}


def test_requests_in_flight_together_are_each_answered(app):
    async def together():
        return await asyncio.gather(*(send(app, "POST", "/predict", body_of(n, amount=n)) for n in range(1, 40)))

    answers = [json.loads(body) for _, _, body in asyncio.run(together())]
    assert [answer["id"] for answer in answers] == [f"p{n}" for n in range(1, 40)]
    assert [answer["score"] for answer in answers] == [n / 4000 + 0.25 for n in range(1, 40)]


def test_a_request_the_model_fails_on_leaves_the_others_alone(stateless, app, model, pay):
    model.fails_at = 3.0
    jobs = [("predict", [pay(1, amount=1.0)]), ("predict", [pay(2), pay(3, amount=3.0)]), ("predict", [pay(4)])]
    first, failed, last = stateless.work(jobs)
    assert [json.loads(bytes(answer[0]))["id"] for answer in (first, last)] == ["p1", "p4"]
    assert isinstance(failed, UnavailableError)
    assert stateless.counters.failures == {"r1": 1}
    assert stateless.counters.predictions == {"r1": 2}
    assert ask(app, "POST", "/predict", body_of(3, amount=3.0))[0] == 503


def test_texts_outside_the_vocabulary_are_counted(app, stateless):
    ask(app, "POST", "/predict", b"[%s,%s,%s]" % (body_of(1), body_of(2, shop="z"), body_of(3, shop=None)))
    assert stateless.counters.unseen == {"shop": 1}
    assert stateless.counters.predictions == {"r1": 3}


def test_an_id_is_made_where_the_contract_has_none(release, model, clock):
    made = release("r1", 0.5)[0]
    contract = msgspec.structs.replace(made.contract, id=None)
    inputs = (InputColumn(name="shop", kind="text", vocabulary=("a", "b")),)
    bare = Release(
        "r1", msgspec.structs.replace(made.manifest, views=(), inputs=inputs), contract, made.references, model
    )
    model.run = lambda rows: np.tile([0.25, 0.75], (len(rows), 1))
    app = HttpApp(StatelessPlane(bare, clock), "pay")
    ids = [json.loads(ask(app, "POST", "/predict", body_of(1))[2])["id"] for _ in range(2)]
    assert len(set(ids)) == 2
    assert all(len(id) == 32 for id in ids)
    given = json.loads(ask(app, "POST", "/predict", body_of(1, id="mine"))[2])
    assert (given["id"], given["score"]) == ("mine", 0.75)


def test_a_release_that_reads_history_is_refused_in_one_line(release, clock):
    with pytest.raises(UsageError, match=r"r1 reads history: .* Pay; serve it with a log") as refused:
        StatelessPlane(release("r1", 0.5)[0], clock)
    assert "\n" not in str(refused.value)


def test_only_predictions_can_be_asked_for(app):
    for path in ("/events", "/outcomes"):
        assert ask(app, "POST", path, body_of(1))[0] == 404
    described = json.loads(ask(app, "GET", "/openapi.json")[2])["paths"]
    assert set(described) == {"/predict", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"}
    docs = ask(app, "GET", "/docs")[2].decode()
    assert "/predict" in docs
    assert "/outcomes" not in docs
    status, _, ready = ask(app, "GET", "/readyz")
    assert (status, json.loads(ready)["release"], json.loads(ready)["events"]) == (200, "r1", None)
    metrics = ask(app, "GET", "/metrics")[2].decode()
    assert 'modelwright_release_info{role="champion",release="r1"} 1' in metrics
    assert "log_head" not in metrics


def test_a_time_ahead_of_the_clock_is_refused(stateless, clock):
    body = msgspec.json.decode(body_of(1), type=stateless.contract.struct())
    stateless.event_of(body)
    clock._now_us = 0
    with pytest.raises(ContractError, match="ahead of the clock"):
        stateless.event_of(body)
