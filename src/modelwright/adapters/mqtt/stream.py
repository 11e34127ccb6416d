"""The stream port on MQTT 5: quality of service 1 both ways, a session that outlives the connection, acknowledged by hand.

The client's name is the group, so the broker keeps what comes while nobody listens, and a second process of the same group
would take the first one's place. With `member=` several share the input (`$share/GROUP/...`), each with a session of its own.
MQTT gives messages no lasting name: one without an id is known by its topic and its bytes.

paho's thread reads and writes; everything else happens in the event loop. Never reconnects by itself: `open` does.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from modelwright.adapters.address import Address
from modelwright.adapters.tls import context_of
from modelwright.core.errors import StreamError, first_line
from modelwright.serving.stream import Received, Sent

WAIT_S = 1.0
ANSWER_S = 5.0
KEEPALIVE_S = 15
FOR_EVER = 0xFFFFFFFF
LARGEST = 268_000_000
"""What the protocol allows, where the broker says nothing."""


class MqttStream:
    """See `serving.stream.Stream`."""

    largest = LARGEST

    def __init__(self, address: Address) -> None:
        self.name = address.name
        self._address = address
        member = address.options.get("member", "")
        self._client_id = f"{address.group}-{member}" if member else address.group
        self._topic = f"$share/{address.group}/{address.input}" if member else address.input
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived: deque[MQTTMessage] = deque()
        self._news = asyncio.Event()
        self._lost = ""
        self._connected: asyncio.Future[Any] | None = None
        self._subscribed: asyncio.Future[Any] | None = None
        self._taken: dict[int, asyncio.Future[Any]] = {}

    async def open(self) -> None:
        address = self._address
        self._loop = asyncio.get_running_loop()
        self._arrived.clear()
        self._taken.clear()
        self._lost = ""
        self._connected, self._subscribed = self._loop.create_future(), self._loop.create_future()
        failed = ""
        for server in address.servers:
            client = self._client = self._made()
            host, _, port = server.rpartition(":")
            session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            session.SessionExpiryInterval = FOR_EVER
            session.ReceiveMaximum = min(address.in_flight, 65_535)
            try:
                await asyncio.to_thread(
                    client.connect, host.strip("[]"), int(port), KEEPALIVE_S, clean_start=False, properties=session
                )
                break
            except (OSError, ValueError) as error:
                failed, self._client = first_line(error), None
        if self._client is None:
            raise StreamError(f"MQTT at {', '.join(address.servers)}: {failed}")
        self._client.loop_start()
        reason, properties = await self._within(self._connected, "the broker does not answer")
        if reason.is_failure:
            raise StreamError(f"MQTT at {', '.join(address.servers)}: the broker refuses the connection: {reason}")
        self.largest = int(getattr(properties, "MaximumPacketSize", LARGEST)) - 1_000
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        self._client.subscribe(self._topic, options=options)
        for code in await self._within(self._subscribed, "the broker does not answer"):
            if code.is_failure:
                raise StreamError(f"the broker refuses the subscription to {self._topic}: {code}")

    async def receive(self, most: int) -> list[Received]:
        if not self._arrived and not self._lost:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), WAIT_S)
            except TimeoutError:
                pass
        self._check()
        found: list[Received] = []
        while self._arrived and len(found) < most:
            message = self._arrived.popleft()
            body = bytes(message.payload)
            named = hashlib.sha256(message.topic.encode() + b"\0" + body)
            found.append(Received(body, f"mqtt:{named.hexdigest()[:32]}", message.dup, message))
        return found

    async def publish(self, sent: Sequence[Sent]) -> None:
        self._check()
        assert self._client is not None
        assert self._loop is not None
        taken = []
        for one in sent:
            topic = self._address.rejected if one.rejected else self._address.output
            said = self._client.publish(topic, one.body, qos=1)
            future = self._taken[said.mid] = self._loop.create_future()
            taken.append(future)
        for reason in await self._within(asyncio.gather(*taken), "the broker does not acknowledge"):
            if reason.is_failure:
                raise StreamError(f"the broker refuses to publish to {self._address.output}: {reason}")

    async def ack(self, received: Sequence[Received]) -> None:
        self._check()
        assert self._client is not None
        for one in received:
            self._client.ack(one.token.mid, one.token.qos)

    async def close(self) -> None:
        client, self._client = self._client, None
        for future in (self._connected, self._subscribed, *self._taken.values()):
            if future is not None:
                future.cancel()
        if client is not None:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    def _made(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2, self._client_id, protocol=MQTTv5, manual_ack=True, reconnect_on_failure=False
        )
        client.connect_timeout = ANSWER_S
        if self._address.user:
            client.username_pw_set(self._address.user, self._address.password or None)
        context = context_of(self._address)
        if context is not None:
            client.tls_set_context(context)
        client.on_connect = lambda client, data, flags, reason, properties: self._soon(
            _resolve, self._connected, (reason, properties)
        )
        client.on_subscribe = lambda client, data, mid, codes, properties: self._soon(_resolve, self._subscribed, codes)
        client.on_publish = lambda client, data, mid, reason, properties: self._soon(self._acknowledged, mid, reason)
        client.on_message = lambda client, data, message: self._soon(self._come, client, message)
        client.on_disconnect = lambda client, data, flags, reason, properties: self._soon(self._gone, client, reason)
        return client

    def _soon(self, call: Any, *arguments: Any) -> None:
        """From paho's thread into the loop."""
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _come(self, client: Client, message: MQTTMessage) -> None:
        if client is self._client:
            self._arrived.append(message)
            self._news.set()

    def _acknowledged(self, mid: int, reason: Any) -> None:
        _resolve(self._taken.pop(mid, None), reason)

    def _gone(self, client: Client, reason: Any) -> None:
        if client is self._client:
            self._lost = f"the connection is lost: {reason}"
            self._news.set()
            for future in (self._connected, self._subscribed, *self._taken.values()):
                if future is not None and not future.done():
                    future.set_exception(StreamError(self._lost))
            self._taken.clear()

    def _check(self) -> None:
        if self._lost:
            raise StreamError(self._lost)

    async def _within(self, future: "asyncio.Future[Any]", otherwise: str) -> Any:
        try:
            return await asyncio.wait_for(future, ANSWER_S)
        except TimeoutError:
            raise StreamError(f"{otherwise} within {ANSWER_S:.0f} s") from None


def _resolve(future: "asyncio.Future[Any] | None", value: Any) -> None:
    if future is not None and not future.done():
        future.set_result(value)
