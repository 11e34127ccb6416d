"""Shares of requests that go wrong are held against their bounds: told when surely above, told when back, and else not."""

import numpy as np
import pytest

from modelwright.monitoring.requests import BOUNDS, RequestWatch, counted, words
from modelwright.monitoring.shares import ShareWatch
from modelwright.serving.exposition import request_seconds

SECOND = 1_000_000
EVERY = 30 * 86_400 * SECOND


def exposition(served=0, rejected=0, conflicts=0, failed=0, route="/predict", repeats=0):
    given = {200: served, 422: rejected, 409: conflicts, 503: failed}
    lines = [f'modelwright_responses_total{{route="{route}",status="{code}"}} {n}' for code, n in given.items()]
    lines += [f'modelwright_predictions_total{{release="r1"}} {served}', f"modelwright_repeats_total {repeats}"]
    return "\n".join(lines)


def watched(looks):
    watch = RequestWatch(EVERY)
    for place, given in enumerate(looks):
        watch.look(exposition(**given), place * 10 * SECOND)
    return [(change.what, change.state) for change in watch.changes]


def rising(steps):
    total = dict.fromkeys(("served", "rejected", "conflicts", "failed", "repeats"), 0)
    for step in steps:
        total = {name: total[name] + step.get(name, 0) for name in total}
        yield total


WAYS = [("rejected", "rejected"), ("conflicts", "conflicts"), ("errors", "failed"), ("repeats", "repeats")]


@pytest.mark.parametrize(("what", "kind"), WAYS)
def test_each_way_to_go_wrong_is_told_once_and_again_when_it_has_ended(what, kind):
    bad = [{"served": 60, kind: 40}] * 20
    assert watched(rising([{"served": 100}] * 20 + bad + [{"served": 100}] * 60)) == [
        (what, "raised"),
        (what, "cleared"),
    ]


def test_slow_answers_are_found_in_the_server_s_own_histogram():
    seconds = request_seconds()
    watch = RequestWatch(EVERY)
    for place in range(30):
        seconds.observe("/predict", 0.002, 95)
        seconds.observe("/predict", 3.0, 5)
        seconds.observe("/metrics", 3.0, 500)
        watch.look("\n".join(seconds.lines()), place * 10 * SECOND)
    (change,) = watch.changes
    assert (change.what, change.size) == ("latency", 0.05)
    assert change.summary.endswith("took longer than 1 s; up to 1% is taken as usual")


def test_what_is_at_its_bound_or_below_is_usual_however_often_one_looks():
    alarms = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        watch = ShareWatch("errors", "requests", BOUNDS["errors"], EVERY, 0.025, words("errors", BOUNDS["errors"]))
        for place in range(2_000):  # five and a half hours
            alarms += len(list(watch.add(20, int(random.binomial(20, 0.01)), place * 10 * SECOND)))
    assert alarms == 0


def test_rows_whose_time_goes_back_put_in_no_capital_twice():
    watch = ShareWatch("range", "amount", 0.01, EVERY, 1.0, words("errors", 0.01), since_us=0)
    for _ in range(1_000):  # of one hour, told in an order of its own
        assert not list(watch.add(0, 0, 3_600 * SECOND))
        assert not list(watch.add(0, 0, 0))


@pytest.mark.parametrize("route", ["/score", "/inference.GRPCInferenceService/ModelInfer", "/v2/models/{name}/infer"])
def test_requests_are_watched_whatever_protocol_they_come_by(route):
    assert counted(exposition(failed=9, route=route))["errors"] == (9, 9)


def test_a_server_that_counts_anew_and_other_routes_are_no_trouble():
    assert watched([{"served": 1_000}, {"served": 3}, {"served": 900}]) == []
    assert counted(exposition(failed=9, route="/console.json"))["errors"] == (0, 0)
    assert counted(exposition(failed=9, route="/v2/models/m/infer"))["errors"] == (9, 9)


def test_a_client_that_sends_all_twice_is_told_by_rows_and_one_that_sends_some_again_is_not():
    watch = RequestWatch(EVERY)
    for place in range(30):  # each request brings ten rows
        watch.look(exposition(served=100 * place, repeats=100 * place), place * 10 * SECOND)
    (change,) = watch.changes
    assert (change.what, change.state, change.size) == ("repeats", "raised", 0.5)
    assert change.summary.startswith("repeated ids since 1970-01-01 00:00: 50.0% of ")
    assert change.summary.endswith(" repeat a known id with the same body; up to 5% is taken as usual")
    assert watched(rising([{"served": 96, "repeats": 4}] * 500)) == []


def test_what_a_server_takes_is_read_from_its_own_metrics():
    said = """
modelwright_predictions_total{release="r1-a"} 40
modelwright_predictions_total{release="r2-b"} 2
modelwright_events_total 7
modelwright_outcomes_total 9
modelwright_repeats_total 5
modelwright_shadow_predictions_total 1000
"""
    assert counted(said)["repeats"] == (63, 5)
