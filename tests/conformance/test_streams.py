"""Every stream against the port's contract: in memory, NATS, Mosquitto, and Kafka as far as librdkafka's mock goes."""

import itertools

import pytest

from modelwright.testing.brokers import KafkaChannel, KafkaMock, Mosquitto, MqttChannel, NatsChannel, NatsServer
from modelwright.testing.streams import MemoryChannel, StreamConformance, run, take

names = (f"events{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def nats(service, tmp_path_factory):
    service(NatsServer)
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="module")
def mosquitto(service, tmp_path_factory):
    service(Mosquitto)
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as server:
        yield server


@pytest.fixture(scope="module")
def kafka():
    return KafkaMock()


class TestMemory(StreamConformance):
    @pytest.fixture
    def channel(self):
        return MemoryChannel()


class TestNats(StreamConformance):
    @pytest.fixture
    def channel(self, nats):
        return NatsChannel(nats, next(names), ack_wait_s=5)


class TestMqtt(StreamConformance):
    @pytest.fixture
    def channel(self, mosquitto):
        channel = MqttChannel(mosquitto, f"plant/{next(names)}")
        yield channel
        channel.close()


class TestKafka(StreamConformance):
    @pytest.fixture
    def channel(self, kafka):
        return KafkaChannel(kafka, next(names))

    def left_after_gaps(self):
        return {b"%d" % number for number in range(2, 10)}

    def test_a_group_divides_what_comes(self, kafka):
        channel = KafkaChannel(kafka, next(names))
        channel.url = channel.url.replace("&partitions=0", "")
        channel.send([b"a", b"b"])

        async def work(stream):
            found = await take(stream, 2)
            assert [one.body for one in found] == [b"a", b"b"]
            await stream.ack(found)

        run(channel, work)
