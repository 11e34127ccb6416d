"""A consumer on a stream in memory: what is acknowledged, what is rejected and why, what waits."""

import asyncio
import json

import msgspec
import pytest

from modelwright.core.errors import NoRoomError, StreamError
from modelwright.serving.consumer import Consumer
from modelwright.serving.entries import EntryReader
from modelwright.serving.events import EventForm
from modelwright.serving.http import HttpApp
from modelwright.serving.plane import Operation
from modelwright.testing.streams import MemoryChannel, MemoryStream


@pytest.fixture
def app(plane, release):
    plane.swap(plane.prepare(release("r1", 0.25)[0]), None, None)
    return HttpApp(plane, "pay")


@pytest.fixture
def channel():
    return MemoryChannel()


def body_of(number, **changes):
    body = {"pid": f"p{number}", "card": "c", "at": "2023-11-14T22:13:20Z", "amount": 1.0, "shop": "a"}
    return json.dumps({**body, **changes}).encode()


def consume(channel, app, plane, until, operation="predict", in_flight=8, meanwhile=None):
    """Consume until something holds; the stream that was used."""
    stream = channel.stream()

    async def work():
        consumer = asyncio.create_task(Consumer(stream, app, plane, operation, in_flight).run())
        try:
            async with asyncio.timeout(100):
                while not until():
                    assert not consumer.done()
                    if meanwhile is not None:
                        meanwhile(stream)
                    await asyncio.sleep(0.005)
        finally:
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)

    asyncio.run(work())
    return stream


def all_taken(channel):
    return lambda: not channel.waiting


def stored(plane, id):
    with plane.log.write() as write:
        known = write.identity(id)
    return None if known is None else known.answer


def test_each_message_is_answered_with_what_the_log_holds_and_many_share_a_commit(app, plane, channel):
    channel.send([body_of(number) for number in range(40)])
    commits = plane.counters.commits
    consume(channel, app, plane, all_taken(channel))
    assert [msgspec.json.decode(body)["id"] for body in channel.answered] == [f"p{number}" for number in range(40)]
    assert [stored(plane, f"p{number}") for number in range(40)] == channel.answered
    assert plane.log.counts()["predictions"] == 40
    assert plane.counters.commits - commits <= 20
    assert plane.counters.stream_answered == {"predict": 40}
    assert plane.counters.stream_in_flight == {"predict": 0}
    assert channel.refused == []


def test_a_list_is_answered_with_a_list(app, plane, channel):
    channel.send([b"[" + body_of(1) + b"," + body_of(2) + b"]"])
    consume(channel, app, plane, all_taken(channel))
    (answer,) = channel.answered
    assert [one["id"] for one in msgspec.json.decode(answer)] == ["p1", "p2"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"no json", 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[]", 422, "empty"),
        (body_of(9, amount="much"), 422, "amount"),
        (body_of(9, amout=3.0), 422, "amout"),
        (body_of(1, amount=7.0), 409, "another body"),
    ],
)
def test_what_can_never_be_taken_is_rejected_with_the_reason_and_blocks_nothing(
    app, plane, channel, body, status, says
):
    channel.send([body_of(1)])
    consume(channel, app, plane, all_taken(channel))
    channel.send([body_of(2), body, body_of(3)])
    consume(channel, app, plane, all_taken(channel))
    (rejection,) = map(msgspec.json.decode, channel.refused)
    assert rejection["status"] == status
    assert says in rejection["detail"]
    assert rejection.get("message", "") == body.decode(errors="replace")
    assert [msgspec.json.decode(body)["id"] for body in channel.answered] == ["p1", "p2", "p3"]
    assert plane.log.counts()["events"] == 3
    assert plane.counters.stream_rejected == {"predict": 1}


def test_a_message_of_a_known_event_gets_the_bytes_of_its_first_answer(app, plane, channel, release):
    channel.send([body_of(1), body_of(1)])
    consume(channel, app, plane, all_taken(channel))
    plane.swap(plane.prepare(release("r2", 0.75)[0]), None, None)
    channel.send([body_of(1)])
    consume(channel, app, plane, all_taken(channel))
    first, second, third = channel.answered
    assert first == second == third
    assert plane.log.counts()["predictions"] == 1


def test_an_event_without_an_id_is_known_by_its_message(contract):
    """Delivered again, it is the same event; sent again, it is another."""
    unnamed = msgspec.structs.replace(contract, id=None, fields=contract.fields[1:])
    bodies = EntryReader(Operation("predict", unnamed.struct(), EventForm(unnamed).event))
    body = json.dumps({name: value for name, value in json.loads(body_of(1)).items() if name != "pid"}).encode()

    def id_of(body, *identity):
        return bodies.decode(body, *identity)[0][0].id

    assert id_of(body, "memory:7") == "memory:7"
    assert id_of(b"[" + body + b"]", "memory:7") == "memory:7-0"
    assert id_of(body.replace(b"{", b'{"id": "own", '), "memory:7") == "own"
    assert id_of(body) != id_of(body)


def test_no_room_in_the_log_acknowledges_nothing_until_there_is(app, plane, channel, monkeypatch):
    channel.send([body_of(number) for number in range(5)])
    work, tried = plane.work, []

    def full(jobs):
        tried.append(len(jobs))
        raise NoRoomError("the disk is full")

    monkeypatch.setattr(plane, "work", full)

    def room(stream):
        if len(tried) > 12 and plane.work is full:
            assert len(channel.waiting) == 5
            assert not channel.answered
            assert not channel.refused
            monkeypatch.setattr(plane, "work", work)

    consume(channel, app, plane, all_taken(channel), meanwhile=room)
    assert len(channel.answered) == 5
    assert plane.counters.stream_redelivered["predict"] >= 5
    assert plane.log.counts()["predictions"] == 5


def test_what_only_one_message_meets_takes_its_neighbours_with_it_only_for_a_moment(app, plane, channel, monkeypatch):
    """An error that nobody expected fails a whole commit: each message is tried again by itself."""
    monkeypatch.setattr("modelwright.serving.consumer.LATER_S", (0.01, 0.01))
    work = plane.work

    def stumbling(jobs):
        if any(event.id == "p2" for _, events in jobs for event in events):
            raise RuntimeError("a mistake of ours")
        return work(jobs)

    monkeypatch.setattr(plane, "work", stumbling)
    channel.send([body_of(number) for number in range(4)])
    consume(channel, app, plane, all_taken(channel))
    assert {msgspec.json.decode(body)["id"] for body in channel.answered} == {"p0", "p1", "p3"}
    (rejection,) = map(msgspec.json.decode, channel.refused)
    assert rejection["status"] == 500
    assert "mistake" not in rejection["detail"]


def test_a_release_that_cannot_answer_an_event_rejects_it_and_goes_on(app, plane, channel, release):
    made, model = release("r2", 0.5)
    plane.swap(plane.prepare(made), None, None)
    model.fails_at = 13.0
    channel.send([body_of(1, amount=13.0), body_of(2)])
    consume(channel, app, plane, all_taken(channel))
    assert [msgspec.json.decode(body)["id"] for body in channel.answered] == ["p2"]
    assert msgspec.json.decode(channel.refused[0])["status"] == 503


def test_without_a_release_events_wait_at_the_broker(app, plane, channel, release):
    plane.swap(None, None, None)
    channel.send([body_of(1)])
    looks = []

    def later(stream):
        looks.append(1)
        if len(looks) == 30:
            assert channel.delivered == {}
            plane.swap(plane.prepare(release("r1", 0.5)[0]), None, None)

    consume(channel, app, plane, all_taken(channel), meanwhile=later)
    assert len(channel.answered) == 1
    assert len(looks) > 30


def test_an_outcome_that_overtook_its_event_waits_for_it_and_one_of_no_event_is_rejected(
    app, plane, channel, monkeypatch
):
    monkeypatch.setattr("modelwright.serving.consumer.LATER_S", (0.05,) * 6)
    outcomes = MemoryChannel()
    outcomes.send([b'{"id": "p1", "outcome": true}', b'{"id": "nobody", "outcome": true}'])

    def event_comes(stream):
        if outcomes.delivered and not channel.delivered:
            channel.send([body_of(1)])
            app.in_flight.work_off(
                ("predict", app._post["/predict"].decode(channel.waiting[0])[0]), lambda result: None, 0.0
            )
            channel.delivered[0] = 1

    consume(outcomes, app, plane, all_taken(outcomes), operation="outcomes", meanwhile=event_comes)
    assert plane.log.counts()["outcomes"] == 1
    assert [msgspec.json.decode(body)["status"] for body in outcomes.refused] == [404]
    assert outcomes.answered == []


def test_what_is_committed_and_not_published_is_published_later_and_counts_once(app, plane, channel, monkeypatch):
    publish, said = MemoryStream.publish, []

    async def refusing(stream, sent):
        said.append([one.body for one in sent])
        if len(said) <= 2:
            raise StreamError("the output is full")
        await publish(stream, sent)

    monkeypatch.setattr(MemoryStream, "publish", refusing)
    channel.send([body_of(1), body_of(2)])
    consume(channel, app, plane, all_taken(channel))
    assert said[0] == said[1] == channel.answered
    assert plane.log.counts()["predictions"] == 2


def test_a_lost_broker_is_told_once_and_opened_again(app, plane, channel, capsys):
    channel.send([body_of(1)])
    channel.lost = True
    looks = []

    def back(stream):
        looks.append(plane.counters.stream_connected["predict"])
        if len(looks) == 60:
            channel.lost = False

    consume(channel, app, plane, all_taken(channel), meanwhile=back)
    assert set(looks[:60]) == {0}
    said = capsys.readouterr().err.splitlines()
    assert said == ["modelwright: memory://events: the broker is gone; trying again"]
    assert len(channel.answered) == 1


def test_an_answer_that_the_broker_does_not_take_is_rejected_with_its_size(app, plane, channel):
    channel.send([b"[" + b",".join(body_of(number) for number in range(1500)) + b"]"])
    consume(channel, app, plane, all_taken(channel))
    (rejection,) = map(msgspec.json.decode, channel.refused)
    assert rejection["status"] == 413
    assert "100,000" in rejection["detail"]
    assert len(channel.refused[0]) < 100_000
    assert plane.log.counts()["predictions"] == 1500


def test_no_more_messages_are_in_flight_than_allowed(app, plane, channel):
    channel.send([body_of(number) for number in range(200)])
    seen = []

    def look(stream):
        seen.append(plane.counters.stream_in_flight["predict"])
        assert len(channel.given & set(channel.waiting)) <= 5

    consume(channel, app, plane, all_taken(channel), in_flight=5, meanwhile=look)
    assert max(seen) <= 5
    assert len(channel.answered) == 200


def test_messages_and_requests_share_a_commit(app, plane, channel):
    """Both are in the batch of one turn of the loop."""
    channel.send([body_of(number) for number in range(4)])
    sizes, work = [], plane.work
    plane.work = lambda jobs: (sizes.append(len(jobs)), work(jobs))[1]
    stream = channel.stream()

    async def together():
        consumer = asyncio.create_task(Consumer(stream, app, plane, "predict", 8).run())
        answered = []
        while not channel.delivered:
            await asyncio.sleep(0)
        app.submit("/predict", (), body_of(100), answered.append)
        async with asyncio.timeout(100):
            while channel.waiting or not answered:
                await asyncio.sleep(0)
        consumer.cancel()
        await asyncio.gather(consumer, return_exceptions=True)

    asyncio.run(together())
    assert 5 in sizes
