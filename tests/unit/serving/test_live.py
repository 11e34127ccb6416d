import math

import numpy as np

from modelwright.serving.live import Hosts, LiveRelease


def test_releases_of_equal_views_share_a_host(log, contract, release):
    log.history.require([("card",)])
    hosts = Hosts(contract, log.strings, log.history)
    one, two, other = release("r1", 0.1)[0], release("r2", 0.2)[0], release("r3", 0.3, over="sum")[0]
    assert hosts.host(one) is hosts.host(two)
    assert hosts.host(one) is not hosts.host(other)
    kept = hosts.host(one)
    hosts.keep([two])
    assert hosts.host(one) is kept


def test_an_event_and_its_features_become_the_models_row(log, contract, release):
    log.history.require([("card",)])
    made = release("r1", 0.1)[0]
    live = LiveRelease(made, Hosts(contract, log.strings, log.history).host(made), contract)
    rows = live.rows_of([(["p", "c", 0, 2.5, "z"], [4, 1.0]), (["q", "c", 0, None, None], [0, 0.0])])
    assert rows.numbers[0].tolist() == [2.5, 4.0]
    assert math.isnan(rows.numbers[1][0])
    assert rows.numbers.dtype == np.float64
    assert [list(column) for column in rows.texts] == [["z", None]]
    assert live.unseen_in(rows) == {"shop": 1}


def test_features_are_logged_as_json_with_null_for_nan(log, contract, release):
    log.history.require([("card",)])
    made = release("r1", 0.1)[0]
    live = LiveRelease(made, Hosts(contract, log.strings, log.history).host(made), contract)
    assert live.features_json([3, math.nan]) == '{"n":3,"frauds":null}'
