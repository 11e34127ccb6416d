"""The stream port on Kafka: a consumer group whose offsets move by our commits alone, and an idempotent producer.

A partition's offset moves up to the first message that is not acknowledged. Answers carry the key of the message they
are of, or the answer's id, and the header `id`. With `partitions=` these are read, and the group divides nothing. Kafka does
not say whether a message was delivered before.

librdkafka has threads of its own; its blocking calls are made in two of ours, one that polls and one that publishes and commits.
It reconnects by itself while a stream is open; what it cannot mend within seconds is a StreamError.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from modelwright.adapters.address import Address
from modelwright.core.errors import StreamError
from modelwright.serving.stream import Received, Sent

WAIT_S = 1.0
ANSWER_S = 10.0
QUIET = logging.getLogger("modelwright.kafka")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
LOST = (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._FATAL, KafkaError._SSL)  # noqa: SLF001


class _Offsets:
    """What was received of one partition and not committed: in order, and which of it is acknowledged."""

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self._done: set[int] = set()

    def received(self, offset: int) -> None:
        self._waiting.append(offset)

    def acknowledged(self, offset: int) -> None:
        self._done.add(offset)

    def next(self) -> int | None:
        """The offset to go on from, where it has moved."""
        moved = None
        while self._waiting and self._waiting[0] in self._done:
            moved = self._waiting.popleft()
            self._done.discard(moved)
        return None if moved is None else moved + 1


class KafkaStream:
    """See `serving.stream.Stream`."""

    largest = 990_000  # a producer's message.max.bytes, less key and headers

    def __init__(self, address: Address) -> None:
        self.name = address.name
        self._address = address
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._reading: ThreadPoolExecutor | None = None
        self._writing: ThreadPoolExecutor | None = None
        self._trouble = ""
        self._offsets: dict[tuple[str, int], _Offsets] = {}

    async def open(self) -> None:
        self._trouble = ""
        self._offsets.clear()
        self._reading = ThreadPoolExecutor(1, "kafka-reading")
        self._writing = ThreadPoolExecutor(1, "kafka-writing")
        await self._do(self._reading, self._connect)

    async def receive(self, most: int) -> list[Received]:
        assert self._reading is not None
        messages: list[Message] = await self._do(self._reading, partial(self._poll, most))
        found = []
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            self._offsets.setdefault((topic, partition), _Offsets()).received(offset)
            identity = f"kafka:{topic}/{partition}/{offset}/{message.timestamp()[1]}"
            found.append(Received(message.value() or b"", identity, False, message))
        return found

    async def publish(self, sent: Sequence[Sent]) -> None:
        assert self._writing is not None
        await self._do(self._writing, partial(self._produce, sent))

    async def ack(self, received: Sequence[Received]) -> None:
        assert self._writing is not None
        moved = {}
        for one in received:
            key = one.token.topic(), one.token.partition()
            self._offsets[key].acknowledged(one.token.offset())
            moved[key] = self._offsets[key]
        ends = [TopicPartition(*key, offset) for key, of in moved.items() if (offset := of.next()) is not None]
        if ends:
            await self._do(self._writing, partial(self._commit, ends))

    async def close(self) -> None:
        consumer, self._consumer, self._producer = self._consumer, None, None
        for pool in (self._reading, self._writing):
            if pool is not None:
                await asyncio.to_thread(pool.shutdown)
        if consumer is not None:
            await asyncio.to_thread(consumer.close)

    def _connect(self) -> None:
        address = self._address
        common = {"bootstrap.servers": ",".join(address.servers), "error_cb": self._erred, "client.id": address.group}
        security = "SASL_" if address.user else ""
        common["security.protocol"] = f"{security}{'SSL' if address.tls else 'PLAINTEXT'}"
        if address.user:
            common |= {
                "sasl.mechanism": address.options.get("sasl") or "PLAIN",
                "sasl.username": address.user,
                "sasl.password": address.password,
            }
        files = {"ca": "ssl.ca.location", "cert": "ssl.certificate.location", "key": "ssl.key.location"}
        common |= {files[name]: value for name, value in address.options.items() if name in files}
        self._producer = Producer(
            {**common, "enable.idempotence": True, "linger.ms": 0, "message.timeout.ms": int(ANSWER_S * 1000)},
            logger=QUIET,
        )
        self._consumer = Consumer(
            {
                **common, "group.id": address.group, "enable.auto.commit": False, "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest", "queued.min.messages": min(address.in_flight, 100_000),
            },
            logger=QUIET,
        )  # fmt: skip
        self._consumer.list_topics(address.input, timeout=ANSWER_S)
        if partitions := address.options.get("partitions"):
            self._consumer.assign([TopicPartition(address.input, int(number)) for number in partitions.split(",")])
        else:
            self._consumer.subscribe([address.input])

    def _poll(self, most: int) -> list[Message]:
        assert self._consumer is not None
        first = self._consumer.poll(WAIT_S)
        found = [] if first is None else [first, *(self._consumer.consume(most - 1, 0) if most > 1 else ())]
        for message in found:
            if message.error() is not None:
                raise KafkaException(message.error())
        if not found and self._trouble:
            raise StreamError(self._trouble)
        self._trouble = ""
        return found

    def _produce(self, sent: Sequence[Sent]) -> None:
        assert self._producer is not None
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failed.append(error)

        for one in sent:
            topic = self._address.rejected if one.rejected else self._address.output
            key = one.to.token.key() or one.id.encode()
            self._patiently(
                partial(self._producer.produce, topic, one.body, key, headers={"id": one.id}, on_delivery=delivered)
            )
        left = self._producer.flush(ANSWER_S + 1)
        if failed:
            raise KafkaException(failed[0])
        if left:
            raise StreamError(f"{left} answers were not taken within {ANSWER_S:.0f} s")

    def _patiently(self, produce: Callable[[], None]) -> None:
        """librdkafka's own queue has an end: room is made by what is delivered."""
        assert self._producer is not None
        until = time.monotonic() + ANSWER_S
        while True:
            try:
                return produce()
            except BufferError:
                if time.monotonic() > until:
                    raise StreamError("the producer's queue stays full") from None
                self._producer.poll(0.1)

    def _commit(self, ends: list[TopicPartition]) -> None:
        assert self._consumer is not None
        for end in self._consumer.commit(offsets=ends, asynchronous=False):
            if end.error is not None:
                raise KafkaException(end.error)

    def _erred(self, error: KafkaError) -> None:
        if error.code() in LOST:
            self._trouble = f"Kafka at {', '.join(self._address.servers)}: {error.str()}"

    async def _do(self, pool: ThreadPoolExecutor, call: Callable[[], Any]) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, call)
        except KafkaException as error:
            said = error.args[0]
            text = said.str() if isinstance(said, KafkaError) else str(said)
            raise StreamError(f"Kafka at {', '.join(self._address.servers)}: {text}") from None
