"""What every implementation of the stream port must do, as a test case to inherit from, and the one in memory.

class TestMyBroker(StreamConformance):
    @pytest.fixture
    def channel(self): ...    # a `brokers.Channel` with an input that no other test uses
"""

import asyncio
import itertools
from collections.abc import Coroutine, Sequence
from typing import Any

from modelwright.core.errors import StreamError
from modelwright.serving.stream import Received, Sent, Stream
from modelwright.testing.brokers import WAIT_S, Channel

LARGE = 2_000_000
"""Bytes of a body that a broker without a practical limit is asked to take."""


class MemoryStream:
    """The port without a broker: a list in this process. For tests of what drives a stream; `trouble` makes it fail."""

    name = "memory://events"
    largest = 100_000

    def __init__(self, held: "MemoryChannel") -> None:
        self._held = held
        self._open = False
        self.trouble = ""

    async def open(self) -> None:
        self._check()
        self._open = True
        self._held.given.clear()

    async def receive(self, most: int) -> list[Received]:
        self._check()
        assert self._open
        waiting = [place for place in self._held.waiting if place not in self._held.given][:most]
        if not waiting:
            await asyncio.sleep(0.01)
            return []
        self._held.given.update(waiting)
        found = []
        for place in waiting:
            self._held.delivered[place] = self._held.delivered.get(place, 0) + 1
            again = self._held.delivered[place] > 1
            found.append(Received(self._held.waiting[place], f"memory:{place}", again, place))
        return found

    async def publish(self, sent: Sequence[Sent]) -> None:
        self._check()
        await asyncio.sleep(0)
        for one in sent:
            (self._held.refused if one.rejected else self._held.answered).append(one.body)

    async def ack(self, received: Sequence[Received]) -> None:
        self._check()
        for one in received:
            del self._held.waiting[one.token]

    async def close(self) -> None:
        self._open = False

    def _check(self) -> None:
        if self.trouble or self._held.lost:
            raise StreamError(self.trouble or "the broker is gone")


class MemoryChannel:
    """What a `MemoryStream` reads and writes."""

    url = "memory://events"

    def __init__(self) -> None:
        self.waiting: dict[int, bytes] = {}
        self.given: set[int] = set()
        self.delivered: dict[int, int] = {}
        self.answered: list[bytes] = []
        self.refused: list[bytes] = []
        self.lost = False
        self._places = itertools.count()

    def stream(self, member: str = "") -> MemoryStream:
        return MemoryStream(self)

    def send(self, bodies: Sequence[bytes]) -> None:
        self.waiting.update(zip(self._places, bodies, strict=False))

    def answers(self, count: int) -> list[bytes]:
        assert len(self.answered) >= count
        return list(self.answered)

    def rejections(self, count: int) -> list[bytes]:
        assert len(self.refused) >= count
        return list(self.refused)

    def stop(self) -> bool:
        self.lost = True
        return True

    def start(self) -> None:
        self.lost = False


class StreamConformance:
    """The contract of `serving.stream.Stream`, sentence by sentence."""

    def test_messages_come_in_order_as_they_were_sent_and_no_more_than_asked_for(self, channel: Channel) -> None:
        bodies = [b"%d" % number for number in range(50)] + [b"", b"\x00\xff", "naïve".encode()]

        async def work(stream: Stream) -> None:
            await self.send(channel, bodies)
            found: list[Received] = []
            while len(found) < len(bodies):
                some = await take(stream, 1, most=7)
                assert len(some) <= 7
                found += some
            assert [one.body for one in found] == bodies
            assert not any(one.again for one in found)
            assert len({one.identity for one in found}) == len(bodies)
            await stream.ack(found)
            assert await stream.receive(7) == []

        run(channel, work)

    def test_what_is_not_acknowledged_comes_again_under_its_name_and_what_is_does_not(self, channel: Channel) -> None:
        first: list[Received] = []

        async def begin(stream: Stream) -> None:
            await self.send(channel, [b"%d" % number for number in range(10)])
            first.extend(await take(stream, 10))
            await stream.ack([one for one in first[:6] if one.body not in (b"2", b"4")])

        async def go_on(stream: Stream) -> None:
            left = {one.body: one for one in first if one.body in self.left_after_gaps()}
            found: dict[bytes, Received] = {}
            while set(found) != set(left):
                for one in await take(stream, 1):
                    assert one.identity == left[one.body].identity
                    found[one.body] = one
                    await stream.ack([one])
            assert await stream.receive(10) == []

        run(channel, begin)
        run(channel, go_on)

    def left_after_gaps(self) -> set[bytes]:
        """Of ten messages, with 0, 1, 3 and 5 acknowledged. A broker of offsets gives back what is behind the first gap."""
        return {b"2", b"4", b"6", b"7", b"8", b"9"}

    def test_what_is_sent_while_nobody_listens_is_received_later(self, channel: Channel) -> None:
        async def nothing(stream: Stream) -> None:
            pass

        async def work(stream: Stream) -> None:
            found = await take(stream, 3)
            assert [one.body for one in found] == [b"a", b"b", b"c"]
            await stream.ack(found)

        run(channel, nothing)  # the durable name is there from the first opening on
        channel.send([b"a", b"b", b"c"])
        run(channel, work)

    def test_answers_and_rejections_are_with_the_broker_when_publish_returns(self, channel: Channel) -> None:
        async def work(stream: Stream) -> None:
            await self.send(channel, [b"one", b"two"])
            one, two = await take(stream, 2)
            large.append(b"x" * min(stream.largest, LARGE))
            odd = "an\r\nid: größer\x00"
            await stream.publish(
                [Sent(large[0], "1", one), Sent(b"odd", odd, one), Sent(b"no", "2", two, rejected=True)]
            )
            await stream.ack([one, two])

        large: list[bytes] = []
        run(channel, work)
        assert len(large[0]) > 10_000
        assert sorted(channel.answers(2)) == [b"odd", *large]
        assert channel.rejections(1) == [b"no"]

    def test_a_broker_that_goes_away_is_told_within_seconds_and_what_was_not_acknowledged_comes_again(
        self, channel: Channel
    ) -> None:
        async def work(stream: Stream) -> None:
            await self.send(channel, [b"kept", b"done"])
            kept, done = await take(stream, 2)
            await stream.publish([Sent(b"an answer", "1", done)])
            await stream.ack([done])
            assert await stream.receive(1) == []  # by now the acknowledgement has left
            if not await asyncio.to_thread(channel.stop):
                return
            for call in (lambda: stream.receive(1), lambda: stream.publish([Sent(b"", "2", kept)])):
                await told(call)
            await stream.close()
            await told(stream.open)
            await stream.close()
            await asyncio.to_thread(channel.start)
            await stream.open()
            (found,) = await take(stream, 1)
            assert (found.body, found.identity) == (b"kept", kept.identity)
            await stream.ack([found])
            assert await stream.receive(1) == []

        run(channel, work)

    @staticmethod
    async def send(channel: Channel, bodies: Sequence[bytes]) -> None:
        """Without holding up the loop."""
        await asyncio.to_thread(channel.send, bodies)


async def take(stream: Stream, count: int, most: int = 1000) -> list[Received]:
    """At least `count` messages; AssertionError where they do not come."""
    found: list[Received] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            found += await stream.receive(most)
    return found


async def told(call: Any) -> None:
    """AssertionError unless the call raises StreamError, at the latest when it is made again and again for a while."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await call()
            except StreamError as error:
                said = str(error)
                break
    assert "\n" not in said


def run(channel: Channel, work: Any) -> None:
    """Work with an open stream of a channel, in a loop of its own."""

    async def opened() -> None:
        stream = channel.stream()
        await stream.open()
        try:
            done: Coroutine[Any, Any, None] = work(stream)
            await done
        finally:
            await stream.close()

    asyncio.run(opened())
