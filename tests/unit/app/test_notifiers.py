"""Secrets come from the environment, when messages are sent; what is missing is one line that does not tell them."""

import json
import shlex
from types import SimpleNamespace

import pytest

from modelwright import alert
from modelwright.app.alert_metrics import alert_metrics
from modelwright.app.commands.alerts import TriedAlert, try_alerts
from modelwright.app.notifiers import notifiers_of
from modelwright.control.receiver import Receiver
from modelwright.core.errors import DeclarationError, UsageError
from modelwright.testing.notifiers import NOTICE
from modelwright.testing.receivers import MailServer, Program, WebServer


def system_of(home, *alerts):
    return SimpleNamespace(name="fraud", alerts=alerts, home=home)


@pytest.mark.parametrize(
    ("declared", "environment", "said"),
    [
        (alert.webhook("$HOOK"), {}, r"alert.webhook: the environment variable HOOK is not set; export it"),
        (alert.webhook("$HOOK"), {"HOOK": ""}, "HOOK is not set"),
        (alert.webhook("$HOOK"), {"HOOK": "very-secret"}, r"alert.webhook\('\$HOOK'\): this is no address to post to"),
        (
            alert.webhook("http://h/", headers={"X": "${T}"}),
            {},
            r"headers=\{'X': ...\}\): the environment variable T is",
        ),
        (alert.webhook("http://h/", headers={"X": "$T"}), {"T": "very-secret\n"}, "no line of plain text"),
        (alert.email("a@b.org"), {}, r"alert.email\(smtp=\): the environment variable MODELWRIGHT_SMTP is not set"),
        (alert.email("a@b.org"), {"MODELWRIGHT_SMTP": "very-secret"}, r"alert.email\(smtp=\): give smtp://"),
        (alert.command("no-such-program -v"), {"PATH": "/nowhere"}, "no such program on the path"),
        (alert.command("./no-such-program"), {}, "there is no such program that may be executed; looked for"),
    ],
)
def test_what_is_missing_is_said_before_anything_starts(declared, environment, said, tmp_path):
    with pytest.raises(DeclarationError, match=said) as caught:
        notifiers_of(system_of(tmp_path, declared), environment)
    assert "very-secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_the_environment_says_where_and_with_what(tmp_path):
    with WebServer() as server:
        hook = alert.webhook("${HOOK}/a", headers={"Authorization": "Bearer $TOKEN"})
        ((_, name, _, notifier),) = notifiers_of(system_of(tmp_path, hook), {"HOOK": server.url, "TOKEN": "abc"})
        notifier.send(NOTICE)
        assert server.headers["Authorization"] == "Bearer abc"
    assert name == "webhook ${HOOK}"


def test_a_program_beside_the_system_file_is_found(tmp_path):
    program = tmp_path / "tell"
    program.write_text("#!/bin/sh\ncat > told.json\n")
    program.chmod(0o755)
    ((_, _, _, notifier),) = notifiers_of(system_of(tmp_path, alert.command("./tell")), {})
    notifier.send(NOTICE)
    assert json.loads((tmp_path / "told.json").read_text())["id"] == NOTICE.id


def test_everybody_is_tried_though_one_refuses(tmp_path, monkeypatch):
    program = Program(tmp_path)
    program.mood = "refuses"
    with WebServer() as web, MailServer() as mail:
        monkeypatch.setenv("MODELWRIGHT_SMTP", f"smtp://127.0.0.1:{mail.port}")
        arguments = shlex.join(program.arguments)
        receivers = (alert.command(arguments), alert.webhook(web.url), alert.email("ops@example.org"))
        tried = try_alerts(system_of(tmp_path, *receivers))
        assert [one.error for one in tried] == ["it ended with 1: nobody is in", "", ""]
        assert tried[2] == TriedAlert(to="email ops@example.org", error="")
        assert "this is a test; nothing has happened" in web.messages[0]
        assert "this is a test; nothing has happened" in mail.messages[0]


def test_a_system_that_tells_nobody_says_how(tmp_path):
    with pytest.raises(UsageError, match=r"System\(fraud\) tells nobody; declare receivers, such as alerts=\["):
        try_alerts(system_of(tmp_path))


def test_metrics_say_who_cannot_be_reached():
    well = Receiver(key="a", name='webhook "x"', upto=3, sent=2)
    dead = Receiver(key="b", name="email ops", upto=1, waiting=4, dropped=1, failing_us=5, error="no")
    lines = alert_metrics([well, dead]).splitlines()
    assert 'modelwright_alerts_sent_total{to="webhook \\"x\\""} 2' in lines
    assert 'modelwright_alerts_failing{to="webhook \\"x\\""} 0' in lines
    for line in (
        'alerts_waiting{to="email ops"} 4',
        'alerts_dropped_total{to="email ops"} 1',
        'alerts_failing{to="email ops"} 1',
    ):
        assert f"modelwright_{line}" in lines
    assert alert_metrics([]) == ""
