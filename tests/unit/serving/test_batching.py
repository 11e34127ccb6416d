"""When a batch is closed, and that what waits is answered. Waits of minutes would not pass in a test that fails."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest

from modelwright.serving import in_flight
from modelwright.serving.batching import Batching
from modelwright.serving.http import HttpApp

LONG_S = 250.0


def body_of(number):
    body = {"pid": f"p{number}", "card": "c", "at": "2023-11-14T22:13:20Z", "amount": 1.0, "shop": "a"}
    return json.dumps(body).encode()


@pytest.fixture
def batched(plane, release):
    """An app that gathers so, and the number of rows in each call of its model."""

    def made(**batching):
        opened, model = release("r1", 0.5)
        plane.swap(plane.prepare(opened), None, None)
        return HttpApp(plane, "pay", batching=Batching(**batching)), model.calls

    return made


@pytest.fixture
def watch(monkeypatch):
    """By which a batch is closed: it stands still unless it is moved, however long the machine looks after others."""
    stopped = SimpleNamespace(now=time.perf_counter(), perf_counter=lambda: stopped.now)
    monkeypatch.setattr(in_flight, "time", stopped)
    return stopped


async def predict(app, number):
    answer = asyncio.get_running_loop().create_future()
    app.submit("/predict", (), body_of(number), answer.set_result)
    return (await answer)[0]


def closed(app):
    lines = app._get["/metrics"]()[2].decode().splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith("modelwright_batches_total{")]
    return {name.split('"')[1]: int(count) for name, _, count in found if int(count)}


def run(work):
    async def bounded():
        async with asyncio.timeout(100):
            return await work

    return asyncio.run(bounded())


def test_nothing_waits_where_it_is_not_asked_for(batched):
    app, calls = batched()

    async def work():
        return await asyncio.gather(*(predict(app, number) for number in range(5)))

    assert run(work()) == [200] * 5
    assert calls == [5]
    assert closed(app) == {"idle": 1}


def test_a_batch_that_is_full_waits_no_longer(batched):
    app, calls = batched(wait_s=LONG_S, rows=4)

    async def work():
        early = [asyncio.create_task(predict(app, number)) for number in range(2)]
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert calls == []  # the two wait
        return await asyncio.gather(*early, *(predict(app, number) for number in range(2, 4)))

    assert run(work()) == [200] * 4
    assert calls == [4]
    assert closed(app) == {"full": 1}


def test_one_that_was_full_at_once_never_waits(batched):
    app, calls = batched(wait_s=LONG_S, rows=3)

    async def work():
        return await asyncio.gather(*(predict(app, number) for number in range(6)))

    assert run(work()) == [200] * 6
    assert sum(calls) == 6
    assert set(closed(app)) == {"full"}


def test_a_wait_ends(batched, watch):
    app, calls = batched(wait_s=0.02, rows=100)

    async def work():
        return await asyncio.gather(*(predict(app, number) for number in range(2)))

    assert run(work()) == [200] * 2
    assert calls == [2]
    assert closed(app) == {"waited": 1}


def test_nobody_waits_for_what_does_not_come(batched, watch):
    """The first request ever, and one long after the others."""
    app, calls = batched(wait_s=0.05, rows=100)

    async def work():
        statuses = [await predict(app, 0)]
        for number in range(1, 4):
            watch.now += 0.2
            statuses.append(await predict(app, number))
        return statuses

    assert run(work()) == [200] * 4
    assert calls == [1] * 4
    assert closed(app) == {"idle": 4}


def test_a_batch_may_follow_one_that_waited(batched):
    app, calls = batched(wait_s=0.02, rows=2)

    async def work():
        said = []
        for number in range(0, 20, 2):
            said += await asyncio.gather(predict(app, number), predict(app, number + 1))
        return said

    assert run(work()) == [200] * 20
    assert calls == [2] * 10
    assert closed(app) == {"full": 10}
