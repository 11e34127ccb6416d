"""Where a stream is: the one grammar of `--stream`, for every broker.

    nats|kafka|mqtt[+tls]://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...]/INPUT[?OPTION=VALUE&...]

INPUT is the subject or topic of the events to predict. Between the command line and the adapters; opens nothing.
"""

import re
from collections.abc import Collection
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from modelwright.core.errors import UsageError

Technology = Literal["nats", "kafka", "mqtt"]
GRAMMAR = "nats|kafka|mqtt[+tls]://[USER:PASSWORD@]HOST[:PORT]/INPUT[?OPTION=VALUE&...]"
PORTS = {"nats": 4222, "kafka": 9092, "mqtt": 1883, "mqtt+tls": 8883}
MOST = 65_536
"""The largest `in_flight`."""
COMMON = ("group", "output", "rejected", "outcomes", "events", "in_flight", "ca", "cert", "key")
OWN: dict[str, tuple[str, ...]] = {"nats": ("ack_wait", "creds"), "kafka": ("sasl", "partitions"), "mqtt": ("member",)}
"""Options that only one technology has."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a broker with its output and its rejections. `group` is the durable name, its operation included.

    `options` are those of the technology alone, and `ca`, `cert` and `key`, files of TLS.
    """

    technology: Technology
    tls: bool
    servers: tuple[str, ...]
    user: str
    password: str
    operation: str
    input: str
    output: str
    rejected: str
    group: str
    in_flight: int
    options: dict[str, str]

    @property
    def name(self) -> str:
        """The address without what is secret."""
        return f"{self.technology}{'+tls' if self.tls else ''}://{','.join(self.servers)}/{self.input}"


def addresses(url: str, group: str, operations: Collection[str]) -> list[Address]:
    """The address of every input that a URL names: of the predictions, and those of `events=` and `outcomes=`.

    `group` is the durable name where the URL has none, `operations` what may be asked. Raises UsageError.

    >>> [one.input for one in addresses("nats://bus/payments?outcomes=frauds", "mw", ["predict", "outcomes"])]
    ['payments', 'frauds']
    """
    parts = urlsplit(url)
    technology, _, security = parts.scheme.partition("+")
    if technology not in get_args(Technology) or security not in ("", "tls"):
        # The URL itself may hold a password, so it is not repeated.
        raise UsageError(f"--stream: {parts.scheme or 'no scheme'} is not known; give {GRAMMAR}")
    where = f"--stream {parts.scheme}://..."
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    inputs = {"predict": unquote(parts.path.removeprefix("/"))}
    for option in list(options):
        kind, _, event = option.partition(".")
        if kind in ("events", "outcomes"):
            operation = f"events/{event}" if kind == "events" and event else option
            if operation not in operations:
                raise UsageError(f"{where}: {option}= names no event of the system; give events= or events.NAME=")
            inputs[operation] = options.pop(option)
        elif option not in COMMON and option not in OWN[technology]:
            known = ", ".join(sorted({*COMMON, "events.NAME", *OWN[technology]}))
            raise UsageError(f"{where}: there is no option {option}=; there are {known}")
    if not hosts or not inputs["predict"] or "#" in url:
        raise UsageError(f"{where}: give a host and the input's subject or topic (write # as %23): {GRAMMAR}")
    if technology != "mqtt" and "/" in inputs["predict"]:
        raise UsageError(f"{where}: {inputs['predict']!r} is one name too many; give {GRAMMAR}")
    count = options.pop("in_flight", "256")
    if not (count.isascii() and count.isdigit() and 1 <= int(count[:9]) <= MOST):
        raise UsageError(f"{where}: in_flight={count} is no count from 1 to {MOST}")
    port = PORTS.get(parts.scheme, PORTS[technology])
    group = options.pop("group", "") or group
    output, rejected = options.pop("output", ""), options.pop("rejected", "")
    for option, form, what in (
        ("partitions", r"\d+(,\d+)*", "partitions, such as 0,1"),
        ("ack_wait", r"[1-9]\d{0,4}", "whole seconds"),
        ("sasl", "PLAIN|SCRAM-SHA-256|SCRAM-SHA-512", "mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
    ):
        if option in options and not re.fullmatch(form, options[option]):
            raise UsageError(f"{where}: {option}={options[option]} is no {what}")
    made = []
    for operation, input in inputs.items():
        if _is_pattern(technology, input) and not (rejected and (output or operation != "predict")):
            raise UsageError(
                f"{where}: {input!r} stands for several names; say where answers go: output= and rejected="
            )
        one = Address(
            technology=cast(Technology, technology),
            tls=security == "tls",
            servers=tuple(_server(host, port) for host in hosts.split(",")),
            user=unquote(user),
            password=unquote(password),
            operation=operation,
            input=input,
            output=output or _below(technology, input, "predictions"),
            rejected=rejected or _below(technology, input, "rejected"),
            group=group if operation == "predict" else f"{group}-{operation.replace('/', '-')}",
            in_flight=int(count),
            options=options,
        )
        for name, goes in (("output", one.output), ("rejected", one.rejected)):
            if matches(technology, input, goes):
                raise UsageError(f"{where}: {name}={goes} is read as input again; give another {name}=")
        made.append(one)
    return made


def matches(technology: str, pattern: str, name: str) -> bool:
    """Whether a subject or topic is one that the pattern stands for.

    >>> matches("nats", "pay.*", "pay.de"), matches("nats", "pay.*", "pay.de.x"), matches("mqtt", "a/#", "a/b/c")
    (True, False, True)
    """
    if technology == "kafka":
        return pattern == name
    separator, one, rest = (".", "*", ">") if technology == "nats" else ("/", "+", "#")
    wanted, found = pattern.split(separator), name.split(separator)
    for place, part in enumerate(wanted):
        if part == rest:
            return len(found) > place or technology == "mqtt"
        if place >= len(found) or part not in (one, found[place]):
            return False
    return len(wanted) == len(found)


def _is_pattern(technology: str, name: str) -> bool:
    if technology == "kafka":
        return False
    separator, *wild = (".", "*", ">") if technology == "nats" else ("/", "+", "#")
    return any(part in wild for part in name.split(separator))


def _below(technology: str, name: str, last: str) -> str:
    return f"{name}{'/' if technology == 'mqtt' else '.'}{last}"


def _server(host: str, port: int) -> str:
    return host if host.rpartition(":")[2].isdigit() and not host.endswith("]") else f"{host}:{port}"
