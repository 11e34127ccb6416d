"""The stream port on NATS JetStream: a durable pull consumer, each message acknowledged by itself.

Whoever runs the server declares the streams; where none holds a subject, one is made that keeps its messages for 7 days.
What is published carries `Nats-Msg-Id`, the subject and the answer's id, so that JetStream drops a repeat within its window (two
minutes unless declared otherwise). A message that a killed process held is delivered again after `ack_wait`.

Never reconnects by itself: the port's `open` does.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import nats
import nats.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from nats.js.errors import NotFoundError

from modelwright.adapters.address import Address
from modelwright.adapters.tls import context_of
from modelwright.core.errors import StreamError, first_line
from modelwright.serving.stream import Received, Sent

WAIT_S = 1.0
ANSWER_S = 5.0
"""A server that does not answer for so long is lost."""
ASK_S = 10.0
"""How long a request for messages stands at the server."""
KEPT_S = 7 * 24 * 3600
"""How long streams made here keep their messages."""
ACK_WAIT_S = 30.0
PENDING = 1_000
"""Unacknowledged messages that a server allows a durable name, over all its processes, unless one may hold more."""


class NatsStream:
    """See `serving.stream.Stream`."""

    largest = 1_000_000

    def __init__(self, address: Address) -> None:
        self.name = address.name
        self._address = address
        self._connection: Any = None
        self._lost: asyncio.Event = asyncio.Event()
        self._source = ""
        self._inbox = ""
        self._arrived: deque[Msg] = deque()
        self._news = asyncio.Event()
        self._asked = 0
        self._ask_ends = 0.0
        self._held: dict[str, Msg] = {}
        self._met = ""
        self._coming: Any = None

    async def open(self) -> None:
        address = self._address
        self._arrived.clear()
        self._held.clear()
        self._asked, self._lost = 0, asyncio.Event()
        async with self._told():
            given: dict[str, Any] = {"user": address.user, "password": address.password}
            if address.user and not address.password:
                given = {"token": address.user}
            elif not address.user:
                given = {}
            if address.options.get("creds"):
                given["user_credentials"] = address.options["creds"]
            scheme = "tls" if address.tls else "nats"
            self._connection = await nats.connect(
                [f"{scheme}://{server}" for server in address.servers],
                name=address.group, tls=context_of(address), connect_timeout=int(ANSWER_S),
                allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0,
                ping_interval=10, max_outstanding_pings=2,
                error_cb=self._erred, disconnected_cb=self._disconnected, closed_cb=self._disconnected, **given,
            )  # fmt: skip
            self.largest = int(self._connection.max_payload) - 1_000  # its headers count too
            self._stream = self._connection.jetstream(timeout=ANSWER_S)
            outputs = (address.output, address.rejected) if address.operation == "predict" else (address.rejected,)
            self._source = await self._holding(address.input)
            for subject in outputs:
                await self._holding(subject)
            await self._durable()
            self._inbox = self._connection.new_inbox()
            self._coming = await self._connection.subscribe(self._inbox, cb=self._come)

    async def receive(self, most: int) -> list[Received]:
        async with self._told():
            if not self._arrived:
                await self._ask(most)
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), WAIT_S)
                except TimeoutError:
                    pass
            if self._lost.is_set():
                raise StreamError("the connection is lost")
            found: list[Received] = []
            while self._arrived and len(found) < most:
                message = self._arrived.popleft()
                self._held[message.reply] = message
                said = message.metadata
                identity = f"nats:{said.stream}/{said.sequence.stream}/{said.timestamp.timestamp():.6f}"
                found.append(Received(message.data, identity, said.num_delivered > 1, message))
            return found

    async def publish(self, sent: Sequence[Sent]) -> None:
        async with self._told():
            taken = []
            for one in sent:
                subject = self._address.rejected if one.rejected else self._address.output
                headers = {"Nats-Msg-Id": f"{subject}/{quote(one.id)}"}  # an id may hold line ends
                taken.append(await self._stream.publish_async(subject, one.body, headers=headers))
            await asyncio.wait_for(asyncio.gather(*taken), ANSWER_S)

    async def ack(self, received: Sequence[Received]) -> None:
        async with self._told():
            for one in received:
                await self._connection.publish(one.token.reply, b"+ACK")
                self._held.pop(one.token.reply, None)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        coming, self._coming = self._coming, None
        if connection is None:
            return
        try:
            if connection.is_connected:
                if coming is not None:
                    await coming.unsubscribe()  # else what is given back may come here again
                for message in (*self._held.values(), *self._arrived):  # at once, for whoever asks next
                    await connection.publish(message.reply, b"-NAK")
                await connection.flush(timeout=1)
            await connection.close()
        except (nats.errors.Error, OSError, TimeoutError):
            pass

    async def _ask(self, most: int) -> None:
        """Let the server send up to `most` messages, unless an earlier request still stands."""
        now = asyncio.get_running_loop().time()
        if self._asked > 0 and now < self._ask_ends:
            return
        self._asked, self._ask_ends = most, now + ASK_S + WAIT_S
        wanted = {"batch": most, "expires": int(ASK_S * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._source}.{self._address.group}"
        await self._connection.publish(subject, json.dumps(wanted).encode(), self._inbox)

    async def _come(self, message: Msg) -> None:
        if message.reply:
            self._asked -= 1
            self._arrived.append(message)
            self._news.set()
        elif (message.headers or {}).get("Status") != "100":  # the request is over: timed out, or refused
            self._asked = 0
            if (message.headers or {}).get("Status") == "503":
                await self._disconnected()

    async def _holding(self, subject: str) -> str:
        """The name of the stream that holds a subject; one is made where there is none."""
        try:
            return str(await self._stream.find_stream_name_by_subject(subject))
        except NotFoundError:
            name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in subject)
            await self._stream.add_stream(StreamConfig(name=name, subjects=[subject], max_age=KEPT_S))
            return name

    async def _durable(self) -> None:
        address = self._address
        try:
            found = (await self._stream.consumer_info(self._source, address.group)).config
        except NotFoundError:
            await self._stream.add_consumer(
                self._source,
                ConsumerConfig(
                    durable_name=address.group, filter_subject=address.input, ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=float(address.options.get("ack_wait") or ACK_WAIT_S),
                    max_ack_pending=max(PENDING, address.in_flight),
                ),
            )  # fmt: skip
            return
        if found.filter_subject != address.input or found.ack_policy != AckPolicy.EXPLICIT:
            raise StreamError(
                f"the durable consumer {address.group} of stream {self._source} is of {found.filter_subject!r} with "
                f"acknowledgements {found.ack_policy}; give another group="
            )

    async def _disconnected(self) -> None:
        self._lost.set()
        self._news.set()

    async def _erred(self, error: Exception) -> None:
        """What the client meets between calls."""
        self._met = first_line(error)

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """The client's errors as ours."""
        try:
            yield
        except (nats.errors.Error, OSError, TimeoutError) as error:
            said = self._met if isinstance(error, nats.errors.NoServersError) else first_line(error)
            raise StreamError(f"NATS at {', '.join(self._address.servers)}: {said}") from None
