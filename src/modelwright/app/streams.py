"""From `--stream URL` to consumers: which adapter, and what it needs. The only place that names them."""

import importlib.util
from collections.abc import Collection

from modelwright.adapters.address import Address, Technology, addresses
from modelwright.core.errors import MissingExtraError
from modelwright.serving.consumer import Consumer
from modelwright.serving.http import HttpApp
from modelwright.serving.plane import Plane
from modelwright.serving.stream import Stream
from modelwright.spec.system import System

ENVIRONMENT = "MODELWRIGHT_STREAM"
"""Holds the URL where the command line does not: who lists processes does not see it."""
LIBRARY: dict[Technology, tuple[str, str]] = {
    "nats": ("nats", "nats-py"),
    "kafka": ("confluent_kafka", "confluent-kafka"),
    "mqtt": ("paho.mqtt", "paho-mqtt"),
}
"""The module that each needs, and the package that brings it; the extra has the technology's name."""


def checked(url: str, system: str, operations: Collection[str]) -> list[Address]:
    """The addresses that a URL names for a system. Raises UsageError, and MissingExtraError where a library is absent."""
    found = addresses(url, f"modelwright-{system}", operations)
    technology = found[0].technology
    module, package = LIBRARY[technology]
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise MissingExtraError(package, technology, f"--stream {technology}://")
    return found


def declared(url: str, system: System) -> list[Address]:
    """The same for a declaration, before anything is started; none without a URL."""
    if not url:
        return []
    return checked(
        url, system.name, {"predict", "events", "outcomes", *(f"events/{one.name}" for one in system.others)}
    )


def stream_of(address: Address) -> Stream:
    """The stream at an address."""
    if address.technology == "nats":
        from modelwright.adapters.nats.stream import NatsStream

        return NatsStream(address)
    if address.technology == "kafka":
        from modelwright.adapters.kafka.stream import KafkaStream

        return KafkaStream(address)
    from modelwright.adapters.mqtt.stream import MqttStream

    return MqttStream(address)


def consumers_of(url: str, system: str, app: HttpApp, plane: Plane) -> list[Consumer]:
    """A consumer for each input that the URL names; none without a URL."""
    if not url:
        return []
    return [
        Consumer(stream_of(address), app, plane, address.operation, address.in_flight)
        for address in checked(url, system, plane.operations)
    ]
