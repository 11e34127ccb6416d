"""The notifier port by e-mail: one message to all addresses, acknowledged when the server has taken it for every one."""

import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from modelwright.control.notice import Notice
from modelwright.core.errors import NotifyError

TIMEOUT_S = 20.0
PORTS = {"smtp": 25, "smtps": 465}
SUBMISSION = 587
"""The port where there is a user and no TLS from the first byte."""


class SmtpNotifier:
    """Sends by the server of `url`, as `spec.alert.email` describes it. A password never goes over a connection in the
    clear. Its errors name neither user nor password."""

    def __init__(
        self,
        url: str,
        to: Sequence[str],
        sender: str,
        *,
        context: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        parts = urlsplit(url)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or (SUBMISSION if self._user and not self._tls else PORTS[parts.scheme])
        self._to = list(to)
        self._sender = sender or (self._user if "@" in self._user else f"modelwright@{socket.gethostname()}")
        self._context = context
        self._timeout_s = timeout_s

    def send(self, notice: Notice) -> None:
        try:
            with self._connected() as server:
                refused = server.send_message(self._message(notice), self._sender, self._to)
        except smtplib.SMTPAuthenticationError as error:
            raise NotifyError(f"the mail server refuses the user and password ({error.smtp_code})") from None
        except smtplib.SMTPRecipientsRefused as error:
            raise NotifyError(f"the mail server takes nothing for {', '.join(error.recipients)}") from None
        except smtplib.SMTPResponseException as error:
            raise NotifyError(f"the mail server answers {error.smtp_code} {_text(error.smtp_error)}") from None
        except ssl.SSLError as error:
            raise NotifyError(f"no TLS with the mail server: {error.reason or 'it breaks off'}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise NotifyError(f"the mail server cannot be reached: {_reason(error)}") from None
        if refused:
            raise NotifyError(f"the mail server takes nothing for {', '.join(refused)}")

    def _connected(self) -> smtplib.SMTP:
        if self._tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=self._timeout_s, context=self._secure()
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._timeout_s)
        try:
            server.ehlo_or_helo_if_needed()
            if not self._tls and server.has_extn("starttls"):
                server.starttls(context=self._secure())
                server.ehlo()
            elif not self._tls and self._user:
                raise NotifyError("the mail server offers no TLS, so the password was not sent; use smtps://")
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _secure(self) -> ssl.SSLContext:
        return self._context or ssl.create_default_context()

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = " ".join(notice.title.split())[:200]
        message["From"] = self._sender
        message["To"] = ", ".join(self._to)
        message["Message-ID"] = f"<{notice.id}@modelwright>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(notice.text + "\n")
        return message


def _text(said: bytes | str) -> str:
    """What a server says, in one line."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[:200]


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
