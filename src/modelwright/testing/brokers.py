"""Message brokers on this machine, started for a test or a benchmark: NATS and Mosquitto as they are, Kafka as librdkafka's
mock. `Channel` is one input with its outputs, seen from the other side: who sends events and reads answers.

Blocking throughout. Ends what it started.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from modelwright.adapters.address import addresses
from modelwright.app.streams import stream_of
from modelwright.serving.stream import Stream
from modelwright.testing.ports import free_port

WAIT_S = 60.0
"""How long anything here is waited for."""


class Channel(Protocol):
    """One input of a broker with its answers and rejections."""

    url: str

    def stream(self, member: str = "") -> Stream:
        """A stream of it, always of the same group."""
        ...

    def send(self, bodies: Sequence[bytes]) -> None:
        """Into the input; the broker has them when this returns."""
        ...

    def answers(self, count: int) -> list[bytes]:
        """All that was published as an answer, once there are so many. AssertionError where they do not come."""
        ...

    def rejections(self, count: int) -> list[bytes]:
        """The same of rejections."""
        ...

    def stop(self) -> bool:
        """The broker goes away; False where it cannot."""
        ...

    def start(self) -> None:
        """It comes back, with what it held."""
        ...


class ServerProcess:
    """A broker's own server in a process, on a free port of this machine; a context manager."""

    binary = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str:
        """What to say where its program is absent; nothing where it is there."""
        return "" if shutil.which(cls.binary) else f"{cls.binary} is not installed: apt-get install {cls.binary}"

    def command(self) -> list[str]:
        """How its program is started; each broker says so itself."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it on what its folder holds, and wait until it listens."""
        with (self.folder / "server.log").open("ab") as messages:
            self._process = subprocess.Popen(self.command(), stdout=messages, stderr=messages)
        until = time.monotonic() + WAIT_S
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise AssertionError((self.folder / "server.log").read_text()) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """End it in its orderly way."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(WAIT_S)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class NatsServer(ServerProcess):
    """NATS with JetStream."""

    binary = "nats-server"

    def command(self) -> list[str]:
        return [self.binary, "-js", "-sd", str(self.folder), "-a", "127.0.0.1", "-p", str(self.port)]


class Mosquitto(ServerProcess):
    """Mosquitto, which keeps sessions over a restart."""

    binary = "mosquitto"

    def command(self) -> list[str]:
        config = self.folder / "mosquitto.conf"
        config.write_text(  # started as root it stays so: its folder is ours; who is not root stays what he is
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\n"
            f"persistence true\npersistence_location {self.folder}{os.sep}\n"
        )
        return [self.binary, "-c", str(config)]


class _Located:
    """A channel of a URL."""

    url: str

    def stream(self, member: str = "") -> Stream:
        options = "&member=" + member if member and self.url.startswith("mqtt") else ""
        return stream_of(addresses(self.url + options, "test", ["predict"])[0])


class NatsChannel(_Located):
    """A subject of a NATS server. Unacknowledged messages of a killed process come again after `ack_wait_s`; so do those
    that a slow machine has not worked off by then."""

    def __init__(self, server: NatsServer, name: str, ack_wait_s: int = 60) -> None:
        self._server = server
        self._name = name
        self.url = f"nats://127.0.0.1:{server.port}/{name}?ack_wait={ack_wait_s}&group={name}"

    def send(self, bodies: Sequence[bytes]) -> None:
        async def publish(stream: Any) -> None:
            await _declared(stream, self._name)
            for first in range(0, len(bodies), 1000):
                taken = [await stream.publish_async(self._name, body) for body in bodies[first : first + 1000]]
                await asyncio.gather(*taken)

        self._with(publish)

    def answers(self, count: int) -> list[bytes]:
        return self._read(f"{self._name}.predictions", count)

    def rejections(self, count: int) -> list[bytes]:
        return self._read(f"{self._name}.rejected", count)

    def stop(self) -> bool:
        self._server.stop()
        return True

    def start(self) -> None:
        self._server.start()

    def _read(self, subject: str, count: int) -> list[bytes]:
        async def read(stream: Any) -> list[bytes]:
            await _declared(stream, subject)
            subscription = await stream.subscribe(subject, ordered_consumer=True)
            found: list[bytes] = []
            until = time.monotonic() + WAIT_S
            while True:
                try:
                    found.append((await subscription.next_msg(timeout=0.3)).data)
                except TimeoutError:
                    if len(found) >= count:
                        return found
                    assert time.monotonic() < until, f"{len(found)} of {count} in {subject}"

        found: list[bytes] = self._with(read)
        return found

    def _with(self, work: Callable[[Any], Any]) -> Any:
        async def connected() -> Any:
            import nats

            connection = await nats.connect(f"nats://127.0.0.1:{self._server.port}")
            try:
                return await work(connection.jetstream(timeout=WAIT_S))
            finally:
                await connection.close()

        return asyncio.run(connected())


async def _declared(stream: Any, subject: str) -> None:
    from nats.js.errors import BadRequestError, NotFoundError

    try:
        await stream.find_stream_name_by_subject(subject)
    except NotFoundError:
        try:
            await stream.add_stream(name=subject.replace(".", "_"), subjects=[subject])
        except BadRequestError:  # who reads it has made it meanwhile, as it wants it
            await stream.find_stream_name_by_subject(subject)


class MqttChannel(_Located):
    """A topic of Mosquitto. Reads answers from its beginning on: MQTT keeps none for who was not there."""

    def __init__(self, server: Mosquitto, name: str) -> None:
        self._server = server
        self._name = name
        self.url = f"mqtt://127.0.0.1:{server.port}/{name}?group={name.replace('/', '-')}"
        self._read: dict[str, list[bytes]] = {f"{name}/predictions": [], f"{name}/rejected": []}
        self._client = self._connected(f"reader-{name}", lasting=True)
        subscribed = threading.Semaphore(0)
        self._client.on_subscribe = lambda *_: subscribed.release()
        for topic in self._read:
            self._client.subscribe(topic, qos=1)
        for _ in self._read:
            assert subscribed.acquire(timeout=WAIT_S), "the broker does not answer"

    def send(self, bodies: Sequence[bytes]) -> None:
        client = self._connected("", lasting=False)
        try:
            for sent in [client.publish(self._name, body, qos=1) for body in bodies]:
                sent.wait_for_publish(WAIT_S)
                assert sent.is_published()
        finally:
            client.disconnect()
            client.loop_stop()

    def answers(self, count: int) -> list[bytes]:
        return self._wait(f"{self._name}/predictions", count)

    def rejections(self, count: int) -> list[bytes]:
        return self._wait(f"{self._name}/rejected", count)

    def stop(self) -> bool:
        self._server.stop()
        return True

    def start(self) -> None:
        self._server.start()

    def close(self) -> None:
        """Let go of the reader."""
        self._client.disconnect()
        self._client.loop_stop()

    def _wait(self, topic: str, count: int) -> list[bytes]:
        until = time.monotonic() + WAIT_S
        while len(self._read[topic]) < count:
            assert time.monotonic() < until, f"{len(self._read[topic])} of {count} in {topic}"
            time.sleep(0.05)
        time.sleep(0.3)  # and what comes too much
        return list(self._read[topic])

    def _connected(self, id: str, *, lasting: bool) -> Any:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2, id, clean_session=not lasting)
        client.on_message = lambda client, data, message: self._read[message.topic].append(bytes(message.payload))
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", self._server.port)
        client.loop_start()
        until = time.monotonic() + WAIT_S
        while not client.is_connected():
            assert time.monotonic() < until, "the broker does not answer"
            time.sleep(0.01)
        return client


class KafkaMock:
    """librdkafka's mock cluster, in this process and at a port that others reach too. It keeps nothing when it ends."""

    def __init__(self) -> None:
        from confluent_kafka import Producer

        self.producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": ""})
        brokers = self.producer.list_topics(timeout=WAIT_S).brokers.values()
        self.address = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


class KafkaChannel(_Located):
    """A topic of the mock. Read by partitions, since the mock lets nobody into a group again whose last member has left."""

    def __init__(self, mock: KafkaMock, name: str) -> None:
        self._mock = mock
        self._name = name
        self.url = f"kafka://{mock.address}/{name}?group={name}&partitions=0"
        for topic in (name, f"{name}.predictions", f"{name}.rejected"):
            mock.producer.list_topics(topic, timeout=WAIT_S)  # which makes it

    def send(self, bodies: Sequence[bytes]) -> None:
        for body in bodies:
            self._mock.producer.produce(self._name, body, partition=0)
        assert self._mock.producer.flush(WAIT_S) == 0

    def answers(self, count: int) -> list[bytes]:
        return self._read(f"{self._name}.predictions", count)

    def rejections(self, count: int) -> list[bytes]:
        return self._read(f"{self._name}.rejected", count)

    def stop(self) -> bool:
        return False

    def start(self) -> None:
        """Never asked for: `stop` says that the mock, which ends with the test's process, cannot be stopped."""
        raise NotImplementedError

    def _read(self, topic: str, count: int) -> list[bytes]:
        from confluent_kafka import Consumer, TopicPartition

        reader = Consumer({"bootstrap.servers": self._mock.address, "group.id": "reader"})
        try:
            partitions = reader.list_topics(topic, timeout=WAIT_S).topics[topic].partitions
            reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            found: list[bytes] = []
            until = time.monotonic() + WAIT_S
            while True:
                message = reader.poll(0.5)
                if message is not None and message.error() is None:
                    found.append(message.value())
                elif len(found) >= count:
                    return found
                assert time.monotonic() < until, f"{len(found)} of {count} in {topic}"
        finally:
            reader.close()
