"""The grammar of `--stream`."""

import sys

import pytest

from modelwright.adapters.address import addresses, matches
from modelwright.app.streams import checked
from modelwright.core.errors import MissingExtraError, UsageError

OPERATIONS = ("predict", "events", "outcomes", "events/Login")


def one(url):
    (found,) = addresses(url, "mw", OPERATIONS)
    return found


def test_what_is_not_said_follows_from_the_input():
    found = one("nats://bus/payments")
    assert (found.servers, found.input, found.output, found.rejected) == (
        ("bus:4222",), "payments", "payments.predictions", "payments.rejected",
    )  # fmt: skip
    assert (found.group, found.in_flight, found.tls, found.user) == ("mw", 256, False, "")
    assert one("mqtt://bus/plant/hall").output == "plant/hall/predictions"
    assert one("mqtt+tls://bus/plant/hall").servers == ("bus:8883",)
    assert one("kafka://a,b:1,[::1]/t").servers == ("a:9092", "b:1", "[::1]:9092")


def test_what_is_said_holds_and_secrets_stay_out_of_the_name():
    found = one("kafka+tls://me:p%40ss@bus/t?output=o&rejected=r&group=g&in_flight=7&sasl=SCRAM-SHA-256&ca=/x.pem")
    assert (found.user, found.password, found.tls) == ("me", "p@ss", True)
    assert (found.output, found.rejected, found.group, found.in_flight) == ("o", "r", "g", 7)
    assert found.options == {"sasl": "SCRAM-SHA-256", "ca": "/x.pem"}
    assert found.name == "kafka+tls://bus:9092/t"


def test_every_input_is_an_address_under_a_durable_name_of_its_own():
    found = addresses("nats://bus/pay?outcomes=frauds&events.Login=logins&group=g", "mw", OPERATIONS)
    assert [(each.operation, each.input, each.rejected, each.group) for each in found] == [
        ("predict", "pay", "pay.rejected", "g"),
        ("outcomes", "frauds", "frauds.rejected", "g-outcomes"),
        ("events/Login", "logins", "logins.rejected", "g-events-Login"),
    ]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("bus/payments", "no scheme"),
        ("amqp://bus/payments", "amqp is not known"),
        ("nats+ssl://bus/payments", "not known"),
        ("nats://bus", "give a host"),
        ("nats:///payments", "give a host"),
        ("mqtt://bus/plant/#", "write # as %23"),
        ("nats://bus/a/b", "one name too many"),
        ("nats://bus/a?colour=red", "no option colour="),
        ("nats://bus/a?sasl=PLAIN", "no option sasl="),
        ("kafka://bus/a?sasl=MAGIC", "mechanism"),
        ("kafka://bus/a?partitions=one", "partitions"),
        ("nats://bus/a?ack_wait=soon", "seconds"),
        ("nats://bus/a?in_flight=0", "in_flight"),
        ("nats://bus/a?events.Logout=b", "no event"),
        ("nats://bus/a.*", "output= and rejected="),
        ("nats://bus/a.*?output=a.out&rejected=r", "output=a.out is read as input again"),
        ("nats://bus/a?output=a", "read as input again"),
        ("mqtt://bus/a/%23?output=out&rejected=a/b/c", "rejected=a/b/c is read"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_without_the_password(url, says):
    url = url.replace("://", "://me:secret@", 1)
    with pytest.raises(UsageError) as refused:
        addresses(url, "mw", OPERATIONS)
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("technology", "pattern", "name", "does"),
    [
        ("nats", "a.>", "a.b.c", True),
        ("nats", "a.>", "a", False),
        ("nats", "a.*.c", "a.b.c", True),
        ("nats", "a.*", "a", False),
        ("mqtt", "a/#", "a", True),
        ("mqtt", "+/b", "a/b", True),
        ("mqtt", "+/b", "a/b/c", False),
        ("kafka", "a", "a", True),
        ("kafka", "a.*", "a.b", False),
    ],
)
def test_a_pattern_stands_for_names(technology, pattern, name, does):
    assert matches(technology, pattern, name) is does


@pytest.mark.parametrize("module", ["nats", "confluent_kafka", "paho"])
def test_a_library_that_is_absent_is_named_with_its_install_command(module, monkeypatch):
    technology = {"nats": "nats", "confluent_kafka": "kafka", "paho": "mqtt"}[module]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'modelwright\[{technology}\]'"):
        checked(f"{technology}://bus/payments", "pay", OPERATIONS)
