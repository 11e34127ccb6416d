"""Every notifier against the port's contract, with real receivers, and what each promises beyond it."""

import base64
import email
import json
import os
import socket
import ssl
import subprocess
import time

import pytest

from modelwright.adapters.command.notifier import CommandNotifier
from modelwright.adapters.smtp.notifier import SmtpNotifier
from modelwright.adapters.webhook.notifier import WebhookNotifier
from modelwright.core.errors import NotifyError
from modelwright.testing.notifiers import NOTICE, SECRET, NotifierConformance, check_error
from modelwright.testing.receivers import MailServer, Program, WebServer

SOON_S = 0.3
TO = ["ops@example.org", "anna@example.org"]


@pytest.fixture
def nowhere():
    """A port where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mail")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


class TestWebhook(NotifierConformance):
    @pytest.fixture
    def receiver(self):
        with WebServer() as server:
            yield server

    @pytest.fixture
    def notifier(self, receiver):
        return WebhookNotifier(f"{receiver.url}/{SECRET}", {"Authorization": f"Bearer {SECRET}"})

    @pytest.fixture
    def hasty(self, receiver):
        return WebhookNotifier(f"{receiver.url}/{SECRET}", {}, SOON_S)

    @pytest.fixture
    def absent(self, nowhere):
        return WebhookNotifier(f"http://127.0.0.1:{nowhere}/{SECRET}", {})

    def test_the_body_is_the_documented_json(self, notifier, receiver):
        notifier.send(NOTICE)
        body = json.loads(receiver.messages[0])
        assert list(body) == [
            "text", "id", "system", "kind", "release", "at", "what", "since", "sure", "did", "advice",
        ]  # fmt: skip
        assert body["text"].splitlines()[0] == "fraud: drift of amount: median 1, now 2 €"
        assert receiver.headers["Authorization"] == f"Bearer {SECRET}"
        assert receiver.headers["Idempotency-Key"] == NOTICE.id

    @pytest.mark.parametrize("status", [301, 307, 404, 500])
    def test_whatever_is_not_taken_is_not_told(self, notifier, receiver, status):
        receiver.mood, receiver.status = "refuses", status
        with pytest.raises(NotifyError, match=str(status)):
            notifier.send(NOTICE)
        assert len(receiver.messages) == 1  # a redirect is not followed, with the headers, to wherever it leads


class TestEmail(NotifierConformance):
    @pytest.fixture
    def receiver(self):
        with MailServer() as server:
            yield server

    @pytest.fixture
    def notifier(self, receiver):
        return SmtpNotifier(f"smtp://127.0.0.1:{receiver.port}", TO, "mw@example.org")

    @pytest.fixture
    def hasty(self, receiver):
        return SmtpNotifier(f"smtp://127.0.0.1:{receiver.port}", TO, "mw@example.org", timeout_s=SOON_S)

    @pytest.fixture
    def absent(self, nowhere):
        return SmtpNotifier(f"smtp://anna:{SECRET}@127.0.0.1:{nowhere}", TO, "")

    def test_it_is_a_mail_to_everybody(self, notifier, receiver):
        notifier.send(NOTICE)
        mail = email.message_from_bytes(receiver.messages[0].encode(), policy=email.policy.default)
        assert (mail["From"], mail["To"]) == ("mw@example.org", ", ".join(TO))
        assert mail["Subject"] == "fraud: drift of amount: median 1, now 2 €"
        assert mail.get_content().replace("\r\n", "\n").strip() == NOTICE.text
        assert sum(line.lower().startswith("rcpt") for line in receiver.clear) == 2

    def test_a_password_does_not_go_over_a_connection_in_the_clear(self, receiver):
        notifier = SmtpNotifier(f"smtp://anna:{SECRET}@127.0.0.1:{receiver.port}", TO, "")
        with pytest.raises(NotifyError, match="offers no TLS, so the password was not sent"):
            notifier.send(NOTICE)
        assert not receiver.messages
        assert all(word.upper().startswith(("EHLO", "QUIT")) for word in receiver.clear)

    def test_with_tls_the_user_is_known(self, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        trusts = ssl.create_default_context(cafile=str(certificate[0]))
        with MailServer(context) as server:
            url = f"smtp://anna%40example.org:{SECRET}@localhost:{server.port}"
            SmtpNotifier(url, TO, "", context=trusts).send(NOTICE)
            (said,) = server.logins
            assert base64.b64decode(said.split()[-1]).decode() == f"\0anna@example.org\0{SECRET}"
            assert email.message_from_string(server.messages[0])["From"] == "anna@example.org"
            assert not any(SECRET in line for line in server.clear)
            check_error(SmtpNotifier(url, TO, ""))  # a certificate that nobody vouches for


class TestCommand(NotifierConformance):
    @pytest.fixture
    def receiver(self, tmp_path):
        return Program(tmp_path)

    @pytest.fixture
    def notifier(self, receiver, tmp_path):
        return CommandNotifier(receiver.arguments, tmp_path)

    @pytest.fixture
    def hasty(self, receiver, tmp_path):
        return CommandNotifier(receiver.arguments, tmp_path, SOON_S)

    @pytest.fixture
    def absent(self, tmp_path):
        return CommandNotifier([str(tmp_path / "nothing")], tmp_path)

    def test_it_has_the_json_and_the_text(self, notifier, receiver):
        notifier.send(NOTICE)
        said = json.loads(receiver.messages[0])
        assert (said["text"], said["did"]) == (NOTICE.text, "trained r4")

    def test_why_it_failed_is_its_last_line(self, notifier, receiver):
        receiver.mood = "refuses"
        with pytest.raises(NotifyError, match="it ended with 1: nobody is in"):
            notifier.send(NOTICE)

    def test_what_it_started_ends_with_it(self, tmp_path):
        os.mkfifo(tmp_path / "held")
        held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
        try:
            with pytest.raises(NotifyError, match="did not end within"):
                CommandNotifier(["sh", "-c", "(sleep 60 > held) & wait"], tmp_path, 1.0).send(NOTICE)
            assert any(let_go(held) for _ in range(600))
        finally:
            os.close(held)


def let_go(pipe):
    """Whether nobody holds the other side, or a moment later not."""
    try:
        return os.read(pipe, 1) == b""
    except BlockingIOError:
        time.sleep(0.05)
        return False
