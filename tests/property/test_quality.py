"""The rate of false alarms of ranges and clocks holds, whatever a column holds and however late events usually come."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from modelwright.control.figures import references_of
from modelwright.monitoring.clocks import FIRST, ClockWatch
from modelwright.monitoring.ranges import RangeWatch
from modelwright.monitoring.shares import ShareWatch
from modelwright.release.inputs import InputColumn, Rows

SLOW = os.environ.get("HYPOTHESIS_PROFILE") == "slow"
STREAMS = 60 if SLOW else 12
DAY = 86_400_000_000
EVERY = 30 * DAY
BLOCK = 50
COLUMNS = tuple(InputColumn(name=f"c{place}", kind="number") for place in range(5))
STILL = {
    "normal": lambda random, n: random.normal(size=(n, 5)),
    "heavy": lambda random, n: np.exp(3 * random.normal(size=(n, 5))),
    "counts": lambda random, n: random.poisson(3, (n, 5)).astype(float),
    "missing": lambda random, n: np.where(random.random((n, 5)) < 0.3, np.nan, random.normal(size=(n, 5))),
    "alike": lambda random, n: np.repeat(random.normal(size=(-(-n // 20), 5)), 20, axis=0)[:n],
}


def released(numbers):
    contract = SimpleNamespace(names=[column.name for column in COLUMNS])
    references = references_of(COLUMNS, Rows(numbers, ()), None)
    return SimpleNamespace(manifest=SimpleNamespace(inputs=COLUMNS), references=references, contract=contract)


def raised(changes):
    return sum(change.state == "raised" for change in changes)


@pytest.mark.parametrize("kind", STILL)
@pytest.mark.parametrize("rows", [500, 20_000])
def test_values_that_the_reference_happened_not_to_meet_alarm_no_more_often_than_stated(kind, rows):
    """The watch has the whole rate here, and ten of the periods in which one false alarm may happen."""
    random = np.random.default_rng([rows, *kind.encode()])
    alarms, apart = 0, EVERY // 5_000  # so many requests in a period
    for _ in range(STREAMS):
        watch = RangeWatch(released(STILL[kind](random, rows)), 0, EVERY, 1.0)
        asked = STILL[kind](random, 50_000)
        for first in range(0, len(asked), BLOCK):
            alarms += raised(watch.block(asked[first : first + BLOCK], first * apart, (first + BLOCK - 1) * apart))
    assert alarms <= 10 * STREAMS / 4  # an inequality keeps the rate: it is far from reached


LATE = {
    "at once": lambda random, n: random.exponential(0.2, n) - 0.1,
    "minutes": lambda random, n: random.lognormal(5, 1, n),
    "some hours": lambda random, n: np.where(random.random(n) < 0.1, random.exponential(20_000, n), 0.2),
    "clocks apart": lambda random, n: random.normal(0.0, 0.6, n),  # 5% of them by more than a second
    "in turns": lambda random, n: np.repeat(random.lognormal(3, 2, -(-n // 10)), 10)[:n],
}


@pytest.mark.parametrize("kind", LATE)
def test_delays_that_stay_what_they_were_alarm_no_more_often_than_stated(kind):
    random = np.random.default_rng([7, *kind.encode()])
    alarms, apart = 0, EVERY // 5_000
    for _ in range(STREAMS):
        watch = ClockWatch(0, EVERY, 1.0)
        delays = LATE[kind](random, FIRST + 50_000)
        for place, delay in enumerate((1e6 * delays).astype(int).tolist()):
            alarms += raised(watch.event(delay, place * apart))
    assert alarms <= 10 * STREAMS / 4


def test_the_rate_holds_for_the_mean_of_capital():
    """At its bound a share's capital is on average what was put in, or less, also where quiet rows are told later."""
    random = np.random.default_rng(3)
    streams, blocks, bound, capital = (8_000 if SLOW else 2_000), 12, 0.01, []
    for _ in range(streams):
        watch = ShareWatch("range", "x", bound, 1_000 * blocks, 1.0, lambda *_: "", times=(3.0, 1.5), since_us=0)
        waiting = 0
        for block in range(blocks):
            faults = int(random.binomial(BLOCK, bound))
            waiting += BLOCK
            if faults or block == blocks - 1:
                if waiting > BLOCK:
                    list(watch.add(waiting - BLOCK, 0, 1_000 * block))
                list(watch.add(BLOCK, faults, 1_000 * (block + 1)))
                waiting = 0
        capital.append(sum(bet.capital for bet in watch._bets))
    assert 0.2 < np.mean(capital) <= 1 + 4 * np.std(capital) / np.sqrt(streams)
