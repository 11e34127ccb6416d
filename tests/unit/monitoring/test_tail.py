"""The log, followed: the ledger and the drift monitor come to the same however often one looks."""

import json
from contextlib import closing

import msgspec
import numpy as np
import pytest

import modelwright as mw
from modelwright.app.commands.ingest import into_log, source_paths
from modelwright.app.wiring import open_log, workspace_of
from modelwright.control.candidate import load_release, train_candidate
from modelwright.control.material import read_material
from modelwright.core.clock import SimulatedClock
from modelwright.monitoring import tail
from modelwright.monitoring.tail import LogReader

DAY = 86_400_000_000


@pytest.fixture
def tickets(declare):
    """A log of tickets with the two releases that answer in it, of which the first does not know "security"."""
    system = mw.load(declare("tickets"))
    workspace = workspace_of(system)
    with closing(open_log(system, workspace, SimulatedClock(0))) as log:
        into_log(system, log, source_paths(system))
        material = read_material(log, system)
        times = (int(material.examples.at_us[300]), int(material.examples.known_us[-1]))
        releases = [
            load_release(workspace.releases, train_candidate(system, material, at, n, workspace.releases).name)
            for n, at in enumerate(times, start=1)
        ]
        yield log, releases, times[1]


def answer(write, release, seq, id, at_us, probabilities, role="champion"):
    value = release.manifest.classes[int(np.argmax(probabilities))]
    features = json.dumps({"last_queue": "access", "queues_2d": 2})
    write.prediction(seq, id, at_us, at_us, release.name, role, value, None, probabilities, features)


def feed(log, releases, now_us, look):
    """Live tickets, each answered by one release and scored in shadow by the other; outcomes come two tickets later."""
    first, second = releases
    queues = ["security", "finance", "access"]
    for number in range(120):
        at_us = now_us + number * 60_000_000
        id = f"live{number}"
        with log.write() as write:
            values = [id, at_us, ["bill", "login", "new topic"][number % 3], number]
            seq = write.event(id, at_us, values, digest=id.encode())
            answer(write, first, seq, id, at_us, [0.5, 0.25, 0.25])
            answer(write, second, seq, id, at_us, [0.125, 0.125, 0.25, 0.5], "challenger")
            if number >= 2:
                write.outcome(f"live{number - 2}", queues[number % 3], at_us)
        look(number)


def followed(log, release):
    reader = LogReader(log, "log_loss", ("",))
    reader.drift.follow(release)
    return reader


def test_the_log_read_in_any_steps_gives_the_same_account(tickets):
    log, releases, now_us = tickets
    often, seldom = followed(log, releases[0]), followed(log, releases[0])
    feed(log, releases, now_us, lambda number: often.catch_up())
    seldom.catch_up()
    log.drain()
    late = followed(log, releases[0])  # from the tables
    late.catch_up()
    for reader in (seldom, late):
        assert reader.ledger.account == often.ledger.account
        assert reader.drift.monitor.report() == often.drift.monitor.report()
        assert reader.ledger.value() == often.ledger.value()
    assert len(often.ledger.account) == 118
    assert often.ledger.predictions == 120
    assert often.catch_up() == 0


def test_each_release_is_held_against_the_classes_it_knows(tickets):
    log, releases, now_us = tickets
    reader = followed(log, releases[0])
    feed(log, releases, now_us, lambda number: None)
    reader.catch_up()
    assert [release.manifest.classes for release in releases] == [
        ("access", "finance", "network"),
        ("access", "finance", "network", "security"),
    ]
    pairs = reader.ledger.take_pairs(releases[0].name, releases[1].name, 2**62)
    # The outcomes go round access, security, finance; a class the first has not learnt has probability 0 with it.
    assert pairs[:3] == [(0.5, 0.875), (1.0, 0.5), (0.75, 0.875)]
    assert len(pairs) == 118


def test_drift_is_of_the_inputs_as_they_were_served(tickets):
    log, releases, now_us = tickets
    reader = followed(log, releases[0])
    feed(log, releases, now_us, lambda number: None)
    reader.catch_up()
    report = msgspec.to_builtins(reader.drift.monitor.report())
    place = list(report["columns"]).index
    assert report["rows"] == 120
    assert report["unseen"][place("topic")] == pytest.approx(1 / 3)
    assert report["missing"][place("words")] == 0.0
    assert report["unseen"][place("last_queue")] == 0.0
    assert report["score_psi"] is None


def test_events_without_a_prediction_are_let_go_of_while_a_long_log_is_read(tickets, monkeypatch):
    log, releases, now_us = tickets
    monkeypatch.setattr(tail, "PAGE", 100)
    monkeypatch.setattr(tail, "WAITING", 50)
    with log.write() as write:
        for number in range(1_000):
            at_us = now_us + number * 60_000_000
            write.event(f"live{number}", at_us, [f"live{number}", at_us, "bill", number], digest=b"")
    reader, most = followed(log, releases[0]), []
    read = log.tail
    monkeypatch.setattr(log, "tail", lambda *given: most.append(len(reader._events)) or read(*given))
    assert reader.catch_up() >= 1_000
    assert max(most) == 50


def test_following_another_release_begins_drift_anew(tickets):
    log, releases, now_us = tickets
    reader = followed(log, releases[0])
    feed(log, releases, now_us, lambda number: None)
    reader.catch_up()
    reader.drift.follow(releases[1])
    assert reader.drift.monitor.report().rows == 0
    reader.catch_up()
    assert reader.drift.monitor.report().rows == 0


def test_clocks_are_judged_where_events_have_an_arrival_of_their_own(tickets):
    log, releases, _ = tickets
    live, replayed = (LogReader(log, "log_loss", ("",), arrival=arrival) for arrival in (True, False))
    for reader in (live, replayed):
        reader.quality.follow(releases[0], 0)
    log.clock.advance(DAY)
    for number in range(400):
        with log.write() as write:
            at_us = log.clock.now_us() + (240_000_000 if number % 2 else 0)
            values = [f"live{number}", at_us, "bill", number]
            write.event(f"live{number}", at_us, values, digest=b"")
        log.clock.advance(log.clock.now_us() + 60_000_000)
        for reader in (live, replayed):
            reader.catch_up()
    now_us = log.clock.now_us()
    (skew,) = [one for one in live.quality.changes(now_us) if one.what in ("clock", "delay")]
    assert skew.summary.startswith("clock skew since 1970-01-02 00:00: ")
    assert 0.4 < skew.size < 0.6 and "half of them by 240s or more" in skew.change
    assert [one for one in replayed.quality.changes(now_us) if one.what in ("clock", "delay")] == []


def test_ranges_are_of_what_the_followed_release_was_asked(tickets):
    log, releases, now_us = tickets
    reader = followed(log, releases[0])
    reader.quality.follow(releases[0], now_us)
    for number in range(100):
        at_us = now_us + number * 60_000_000
        with log.write() as write:
            values = [f"live{number}", at_us, "bill", -5_000 - number if number >= 50 else 10]
            seq = write.event(f"live{number}", at_us, values, digest=b"")
            answer(write, releases[0], seq, f"live{number}", at_us, [0.5, 0.25, 0.25])
    reader.catch_up()
    (found,) = [one for one in reader.quality.changes(now_us) if one.what == "range"]
    assert (found.of, found.state, found.size) == ("words", "raised", 1.0)
    assert found.since_us == now_us + 50 * 60_000_000
    assert found.change.startswith("50 of the last 50 values (such as -5099) are outside ")
