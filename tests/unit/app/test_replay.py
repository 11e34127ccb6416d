"""What a replay gives as history and what it asks, in which order."""

import csv
import json

import pyarrow as pa
import pytest

import modelwright as mw
from modelwright.app import replay
from modelwright.app.replay import History
from modelwright.app.wiring import open_log
from modelwright.core.clock import iso
from modelwright.lake.rows import OtherRow
from modelwright.lake.workspace import Workspace

RANK = {"/outcomes": 0, "/events/Login": 0, "/predict": 1}


@pytest.fixture
def played(declare):
    """The history of payments and logins of a system: `played()`, `played({"this": "that"})`."""

    def history(replace=None):
        system = mw.load(declare("logins", replace))
        return system, History(system, system.home / "payments.csv", 0.3)

    return history


def written(system):
    """Each login of the files by its id, the first of an id, in the files' order."""
    rows = {}
    for path in sorted((system.home / "logins").glob("*.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                rows.setdefault(row["login_id"], row)
    return rows


def test_everything_comes_in_time_order_and_what_others_bring_before_what_is_asked(played):
    _, history = played()
    requests = list(history.requests())
    assert [request[0] for request in requests] == sorted(request[0] for request in requests)
    order = [(at_us, RANK[path]) for at_us, _, path, _ in requests]
    assert order == sorted(order)
    assert len({at_us for at_us, _ in order}) < len(order)  # there are ties
    asked = [position for _, position, path, _ in requests if path == "/predict"]
    assert asked == list(range(history.start, len(history)))
    positions = [request[1] for request in requests]
    assert positions == sorted(positions)
    begin_us = int(history.at_us[history.start])
    for at_us, _, path, body in requests:
        row = json.loads(body)
        assert at_us > begin_us or path != "/outcomes"
        assert iso(at_us) == row[{"/predict": "at", "/events/Login": "when", "/outcomes": "at"}[path]]


def test_each_login_is_given_or_sent_once_as_a_log_would_hold_it(played, tmp_path):
    system, history = played()
    with open_log(system, Workspace(tmp_path / "state")) as log:
        history.give(log)
        given = [row for row in log.tail(0, 10**6) if isinstance(row, OtherRow)]
    sent = [json.loads(body) for _, _, path, body in history.requests() if path == "/events/Login"]
    rows = written(system)
    begin_us = int(history.at_us[history.start])
    assert {row.id for row in given} | {row["login_id"] for row in sent} == set(rows)
    assert len(given) + len(sent) == len(rows)
    assert all(row.at_us < begin_us and not row.live for row in given)
    assert all(row["device"] == rows[row["login_id"]]["device"] for row in sent)


def test_logins_without_an_id_bring_the_files(played):
    _, history = played({'@mw.event(id="login_id", ': "@mw.event("})
    (other,) = history.others
    sent = [json.loads(body) for _, _, path, body in history.requests() if path == "/events/Login"]
    assert {row["id"] for row in sent} <= set(other.rows["_id"].to_pylist())
    assert len({row["id"] for row in sent}) == len(sent)


def test_an_event_without_a_declared_source_has_nothing_to_play(played):
    _, history = played({'history={Login: source.files("logins/*.csv")},': ""})
    (other,) = history.others
    assert other.rows.num_rows == len(other.at_us) == 0
    assert other.rows.schema.field("when").type == pa.timestamp("us", "UTC")
    assert {path for _, _, path, _ in history.requests()} == {"/predict", "/outcomes"}


class Sent:
    """Stands for serving: notes what it is sent, by any connection."""

    def __init__(self, bodies):
        self.bodies = bodies

    def send(self, path, body):
        rows = json.loads(body)
        assert not isinstance(rows, list) or 1 < len(rows) <= replay.AT_ONCE
        self.bodies += [(path, json.dumps(row)) for row in (rows if isinstance(rows, list) else [rows])]

    def receive(self): ...

    def close(self): ...


@pytest.mark.parametrize("at_once", [1_000, 2])
def test_other_events_are_sent_in_time_and_are_no_reason_to_decide(played, monkeypatch, at_once):
    system, history = played()
    monkeypatch.setattr(replay, "AT_ONCE", at_once)

    def points():
        bodies, decided = [], []
        reached = replay.play(history, lambda: Sent(bodies), system.check_us, lambda *point: decided.append(point))
        assert reached == len(history)
        return bodies, decided

    bodies, decided = points()
    requests = [(path, json.dumps(json.loads(body))) for _, _, path, body in history.requests()]
    before = 0
    for place, (path, _) in enumerate(requests):
        if path == "/predict":  # all that was before it, and nothing else, was sent before it
            assert bodies[place] == requests[place]
            assert sorted(bodies[before:place]) == sorted(requests[before:place])
            before = place + 1
    history.others = []
    _, without = points()
    assert decided == without
