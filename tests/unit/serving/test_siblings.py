"""The metrics of several workers, as one text."""

import os
import time
from pathlib import Path

from modelwright.serving.siblings import STALE_S, Siblings, added, parsed

OWN = """# HELP modelwright_predictions_total Predictions answered, by release.
# TYPE modelwright_predictions_total counter
modelwright_predictions_total{release="r1-a b"} 3
# HELP modelwright_waiting Requests taken.
# TYPE modelwright_waiting gauge
modelwright_waiting 2
# HELP modelwright_log_head Sequence number.
# TYPE modelwright_log_head gauge
modelwright_log_head 40
# HELP modelwright_canary_share Of the requests.
# TYPE modelwright_canary_share gauge
modelwright_canary_share 0.250000
# HELP modelwright_request_seconds Time.
# TYPE modelwright_request_seconds histogram
modelwright_request_seconds_bucket{route="/predict",le="0.001"} 2
modelwright_request_seconds_bucket{route="/predict",le="+Inf"} 3
modelwright_request_seconds_sum{route="/predict"} 0.250000
modelwright_request_seconds_count{route="/predict"} 3
"""


def values(text: str) -> dict[str, float]:
    return {sample: value for family in parsed(text).values() for sample, value in family.values.items()}


def test_one_alone_says_what_it_says(tmp_path: Path) -> None:
    assert added([parsed(OWN)]) == OWN
    assert Siblings(tmp_path, 0).whole(OWN) == OWN


def test_counts_add_up_and_what_is_the_same_of_all_does_not(tmp_path: Path) -> None:
    one, two = Siblings(tmp_path, 0), Siblings(tmp_path, 1)
    two.publish(OWN.replace("head 40", "head 41").replace("r1-a b", "r2"))
    said = values(one.whole(OWN))
    assert said['modelwright_predictions_total{release="r1-a b"}'] == 3
    assert said['modelwright_predictions_total{release="r2"}'] == 3
    assert said["modelwright_waiting"] == 4
    assert said["modelwright_log_head"] == 41
    assert said["modelwright_canary_share"] == 0.25
    assert said['modelwright_request_seconds_bucket{route="/predict",le="+Inf"}'] == 6
    assert said['modelwright_request_seconds_sum{route="/predict"}'] == 0.5


def test_what_was_said_holds_though_the_worker_that_said_it_dies(tmp_path: Path) -> None:
    said = values(Siblings(tmp_path, 0).whole(OWN))
    other = values(Siblings(tmp_path, 1).whole(OWN))
    counter = 'modelwright_predictions_total{release="r1-a b"}'
    assert (said[counter], other[counter]) == (3, 6)
    again = Siblings(tmp_path, 0)  # in its place
    assert values(again.whole(""))[counter] == 6
    assert values(again.whole(OWN))[counter] == 9
    assert values(Siblings(tmp_path, 1).whole(""))[counter] == 9


def test_who_is_silent_has_no_present_state(tmp_path: Path) -> None:
    Siblings(tmp_path, 1).publish(OWN)
    before = time.time() - STALE_S - 1
    os.utime(tmp_path / "1.metrics", (before, before))
    said = values(Siblings(tmp_path, 0).whole(OWN))
    assert said["modelwright_waiting"] == 2
    assert said['modelwright_request_seconds_count{route="/predict"}'] == 6
