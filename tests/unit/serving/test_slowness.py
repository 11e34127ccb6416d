"""A release that is slower than declared is told of once, soon; one that is fast enough never is."""

import numpy as np
import pytest

from modelwright.app.server import following_plane
from modelwright.lake.journal import Pointer
from modelwright.serving.slowness import SlownessGuard


@pytest.fixture
def told():
    return []


@pytest.fixture
def guard(told):
    return SlownessGuard(0.020, lambda release, slow: told.append((release, slow)))


def test_one_in_a_hundred_may_be_slow(guard, told):
    random = np.random.default_rng(3)
    for slow in random.random(200_000) < 0.01:
        guard.took("r1", 0.5 if slow else 0.001)
    assert told == []


def test_a_pause_of_the_machine_is_no_slow_release(guard, told):
    for _ in range(100):
        for _ in range(1_000):
            guard.took("r1", 0.001)
        for _ in range(10):
            guard.took("r1", 0.5)
    assert told == []


def test_a_slow_release_is_told_of_once_with_what_was_measured(guard, told):
    for _ in range(1_000):
        guard.took("r1", 0.001)
    for call in range(1_000):
        guard.took("r1", 0.030)
        if told:
            break
    assert call < 25
    (release, slow), *_ = told
    assert (release, slow.calls, slow.slow, slow.bound_ms, slow.p99_ms) == ("r1", 1_000, call + 1, 20.0, 30.0)
    for _ in range(1_000):
        guard.took("r1", 0.030)
    assert len(told) == 1


def test_one_in_ten_slow_is_told_of(guard, told):
    for call in range(2_000):
        guard.took("r1", 0.5 if call % 10 == 0 else 0.001)
    assert [release for release, _ in told] == ["r1"]


def test_releases_are_told_apart_and_begin_anew_when_they_are_loaded_again(guard, told):
    for _ in range(15):
        guard.took("r1", 0.5)
        guard.took("r2", 0.001)
    guard.keep({"r2"})
    for _ in range(15):
        guard.took("r1", 0.5)
    assert told == []


def test_a_release_that_is_slow_live_gives_way_to_the_one_before_it(log, contract, label, release, pay):
    log.journal.append("promoted", 1, release="r2", summary="r2", point=Pointer(champion="r2", previous="r1"))
    plane = following_plane(log, contract, label, slowest_us=1)
    plane.swap(plane.prepare(release("r2", 0.75)[0]), plane.prepare(release("r1", 0.25)[0]), None)
    asked = 0
    while len(rows := list(log.journal.rows())) == 1:
        plane.work([("predict", [pay(asked)])])
        asked += 1
        assert asked < 25
    row = rows[-1]
    assert (row.kind, row.release) == ("rolled_back", "r2")
    assert row.summary == f"r1 is back: {asked} of its latest {asked} calls took more than 0.001 ms"
    assert row.evidence == {"by": "latency", "bound_ms": 0.001}  # measured times stand outside the hash
    assert (row.observed["calls"], row.observed["slow"]) == (asked, asked)
    assert log.journal.pointer().champion == "r1"
    assert log.counts()["predictions"] == asked  # each request has its answer
