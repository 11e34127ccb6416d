"""Rows of another event through the data plane: history of the predictions that come after them."""

import asyncio
import json

import numpy as np
import pytest

from modelwright.core.clock import from_us
from modelwright.core.errors import ConflictError, ReleaseError
from modelwright.ingest.identity import row_digest
from modelwright.lake.log import Log
from modelwright.lake.rows import LogSchema
from modelwright.lake.workspace import Workspace
from modelwright.release.folder import Release
from modelwright.release.inputs import InputColumn
from modelwright.release.manifest import Manifest, References
from modelwright.serving import dataplane
from modelwright.serving.dataplane import Dataplane
from modelwright.serving.http import HttpApp
from modelwright.serving.messages import Accepted
from modelwright.spec import agg
from modelwright.spec.contract import Contract, Field
from modelwright.spec.view import ViewSpec

T0 = 1_700_000_000_000_000


def login_contract(**roles):
    kinds = {"card": "str", "when": "time", "lid": "str"}
    fields = tuple(Field(name=name, kind=kind, column=name) for name, kind in kinds.items())
    return Contract(name="Login", fields=fields, **{"id": "lid", "entity": "card", "time": "when", **roles})


@pytest.fixture
def log(contract, label, clock, tmp_path):
    schema = LogSchema(contract, label.name, label.kind, (login_contract(),))
    with Log.open(Workspace(tmp_path / "state"), schema, clock) as opened:
        yield opened


class Half:
    def run(self, rows):
        return np.full((len(rows), 2), 0.5)


def release_of(contract, label, *others):
    manifest = Manifest(
        system="pay", kind="model", runtime="native", label=label, metric="roc_auc", classes=(False, True),
        inputs=(InputColumn(name="amount", kind="number"), InputColumn(name="logins", kind="number")),
        views=(
            ViewSpec(event="Pay", by=("card",), features={"n": agg.count()}),
            ViewSpec(event="Login", by=("card",), features={"logins": agg.count(), "last_login": agg.last("lid")}),
        ),
        others=others,
    )  # fmt: skip
    return Release("r1", manifest, contract, References(()), Half())


@pytest.fixture
def plane(plane, contract, label):
    plane.swap(plane.prepare(release_of(contract, label, login_contract())), None, None)
    return plane


@pytest.fixture
def login(plane):
    """A decoded login: `login(3)`."""

    def made(number, card="c", seconds=None):
        when = from_us(T0 + int((number if seconds is None else seconds) * 1_000_000))
        return plane.event_of(login_contract().struct()(card=card, when=when, lid=f"p{number}"), other="Login")

    return made


def served(plane, number):
    (row,) = [row for row in plane.log.predictions().to_pylist() if row["id"] == f"p{number}"]
    return json.loads(row["features"])


def test_a_login_that_is_there_together_with_a_payment_counts_for_it(plane, pay, login):
    """Whichever came in first, as with outcomes; but one at the payment's own instant never does."""
    plane.work([("predict", [pay(3)]), ("event", [pay(1)]), ("event", [login(2), login(3)])])
    assert served(plane, 3) == {"n": 0, "logins": 1, "last_login": "p2"}
    assert [row.id for row in plane.log.tail(0, 4)] == ["p2", "p3", "p3", "p1"]
    plane.work([("event", [])])


def test_a_login_counts_once_and_its_id_is_no_payments(plane, pay, login):
    assert plane.work([("event", [pay(2)]), ("event", [login(2)])]) == [[Accepted("p2", False)]] * 2
    assert plane.work([("event", [login(2)])]) == [[Accepted("p2", True)]]
    failed, fine = plane.work([("event", [login(2, card="d")]), ("event", [login(4)])])
    assert isinstance(failed, ConflictError)
    assert fine == [Accepted("p4", False)]
    plane.work([("predict", [pay(5)])])
    assert served(plane, 5) == {"n": 1, "logins": 2, "last_login": "p4"}
    plane.work([("event", [login(6)])])  # of a card whose rows are in memory by now
    plane.work([("predict", [pay(7)])])
    assert served(plane, 7) == {"n": 2, "logins": 3, "last_login": "p6"}
    assert plane.log.counts() == {"events": 3, "predictions": 2, "outcomes": 0, "others": 3}


@pytest.mark.parametrize("forget_after", [0, 5_000])
def test_logins_that_others_write_are_seen(plane, pay, login, forget_after, monkeypatch):
    monkeypatch.setattr(dataplane, "FORGET_AFTER", forget_after)
    plane.work([("predict", [pay(1)])])
    with plane.log.write() as write:
        for number in (2, 3):
            event = login(number)
            write.other("Login", event.id, event.at_us, event.values, digest=event.digest, live=False)
    plane.work([("predict", [pay(4)])])
    assert served(plane, 4) == {"n": 1, "logins": 2, "last_login": "p3"}


def test_what_a_failed_commit_held_is_forgotten(plane, pay, login, monkeypatch):
    plane.work([("predict", [pay(1)])])
    with monkeypatch.context() as patch:
        patch.setattr(plane.log.history, "flush", lambda transaction: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            plane.work([("event", [login(2)])])
    plane.work([("predict", [pay(3)])])
    assert served(plane, 3) == {"n": 1, "logins": 0, "last_login": None}


def test_a_release_over_another_login_is_not_eligible(plane, contract, label):
    with pytest.raises(ReleaseError, match="release r1 is of another contract of Login; train one"):
        plane.prepare(release_of(contract, label, login_contract(id=None)))


def test_a_login_without_an_id_may_bring_one(contract, label, clock, tmp_path):
    other = login_contract(id=None)
    with Log.open(Workspace(tmp_path), LogSchema(contract, label.name, label.kind, (other,)), clock) as log:
        plane = Dataplane(log, contract, label, clock)
        body = {"card": "c", "when": "2023-11-14T22:13:20Z", "lid": "x"}
        for extra in ({}, {}, {"id": "mine"}, {"id": "mine"}):
            assert post(HttpApp(plane, "pay"), "/events/Login", body | extra) == 200
        ids = [row.id for row in log.tail(0)]
        assert len(set(ids)) == len(ids) == 3
        assert ids[2] == "mine"
        with log.write() as write:
            assert write.known("mine", "Login").digest == row_digest(["c", T0, "x"])


def post(app, path, body):
    sent = []

    async def receive():
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def answer(message):
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "POST", "path": path, "headers": []}, receive, answer))
    return sent[0]["status"]
