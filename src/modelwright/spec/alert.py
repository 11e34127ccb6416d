"""Whom to tell when something happens: `alert.webhook(...)`, `alert.email(...)`, `alert.command(...)`.

Declares, and checks what can be checked without a network or an environment. Secrets are named, not written: `"$NAME"` in an
address or a header stands for an environment variable, which is read when messages are sent and stands nowhere else. The
journal says what happened, `control.notice` puts it into words, `adapters` send it.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from modelwright.core.canonical import sha256_hex
from modelwright.core.errors import DeclarationError

KINDS = (
    "trained", "gated", "registered", "shadow_started", "canary", "promoted", "rejected", "rolled_back", "trigger",
    "alert", "parity", "paused", "resumed", "error",
)  # fmt: skip
"""What a journal row may be, and so what may be asked for."""
VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")
_ADDRESS = re.compile(r"[^\s@<>,;\"\\]+@[^\s@<>,;\"\\]+")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A POST of JSON to `url`, with `headers`. `kinds`: of journal rows, () for all that is trouble or waits for a person."""

    technology: ClassVar[str] = "webhook"
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The receiver without what may be secret: a webhook's path often is."""
        host = urlsplit(self.url).hostname if "$" not in self.url else None
        return f"webhook {host or self.url.partition('/')[0]}"

    @property
    def key(self) -> str:
        """What the state folder knows it by; says nothing of the address."""
        return _key("webhook", self.url)


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """A message to each address of `to`, by the server that `smtp` names."""

    technology: ClassVar[str] = "smtp"
    to: tuple[str, ...]
    sender: str
    smtp: str
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The receiver."""
        return f"email {', '.join(self.to)}"

    @property
    def key(self) -> str:
        """What the state folder knows it by."""
        return _key("email", *self.to)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A program that is started with the message on its standard input."""

    technology: ClassVar[str] = "command"
    arguments: tuple[str, ...]
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The program, without its arguments."""
        return f"command {self.arguments[0]}"

    @property
    def key(self) -> str:
        """What the state folder knows it by."""
        return _key("command", *self.arguments)


Alert = Webhook | Email | Command
SMTP = "$MODELWRIGHT_SMTP"


def webhook(url: str, *, headers: Mapping[str, str] | None = None, kinds: Sequence[str] = ()) -> Webhook:
    """POST each message as JSON to an address. Its member `text` is what Slack, Mattermost and Teams show.

    `"$NAME"`, in the URL and in `headers`, stands for an environment variable: `alert.webhook("$SLACK_URL")`,
    `headers={"Authorization": "Bearer $TOKEN"}`. `kinds`: rows of the journal to tell, such as `["rolled_back", "promoted"]`;
    by default what is trouble and what waits for a person.
    """
    where = "alert.webhook"
    if not isinstance(url, str):
        raise DeclarationError(f"{where}({url!r}): give the address as a string, https://HOST/PATH")
    if "$" not in url:
        check_url(url, where)
    if not (headers is None or isinstance(headers, Mapping)):
        raise DeclarationError(f"{where}(headers=): give a dictionary of names and values")
    for name, value in (headers or {}).items():
        if not (isinstance(name, str) and _HEADER.fullmatch(name)):
            raise DeclarationError(f"{where}(headers=): {name!r} is no name of a header")
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            # The value itself may be secret, so it is not repeated.
            raise DeclarationError(f"{where}(headers=): the value of {name!r} is no line of plain text")
    return Webhook(url=url, headers=tuple((headers or {}).items()), kinds=_kinds(where, kinds))


def email(*to: str, sender: str = "", smtp: str = SMTP, kinds: Sequence[str] = ()) -> Email:
    """Send each message to these addresses.

    `smtp`: the server, `smtp://USER:PASSWORD@HOST:PORT` (STARTTLS where it is offered; always where there is a password) or
    `smtps://...` (TLS from the first byte); by default what the environment variable `MODELWRIGHT_SMTP` says. `sender`: the
    address it comes from, by default the server's user or `modelwright@` this host. `kinds` as of `webhook`.
    """
    where = "alert.email"
    if not to:
        raise DeclarationError(f'{where}(): give at least one address, alert.email("ops@example.org")')
    for one in (*to, *([sender] if sender else [])):
        if not (isinstance(one, str) and one.isascii() and _ADDRESS.fullmatch(one)):
            raise DeclarationError(f"{where}({one!r}): this is no address; give one such as ops@example.org")
    if not isinstance(smtp, str):
        raise DeclarationError(f'{where}(smtp=): give smtp://HOST:PORT, smtps://HOST:PORT or "$NAME"')
    if "$" not in smtp:
        check_smtp(smtp, where)
    return Email(to=to, sender=sender, smtp=smtp, kinds=_kinds(where, kinds))


def command(line: str, *, kinds: Sequence[str] = ()) -> Command:
    """Start a program for each message, with the message as JSON on its standard input and its text in the environment
    variable `MODELWRIGHT_ALERT`. Exit code 0 says that it is told.

    `line` is split as a shell would, but no shell runs it; the program is looked up on the path, or beside the system file
    where it has a `/`. `kinds` as of `webhook`.
    """
    where = "alert.command"
    try:
        arguments = shlex.split(line) if isinstance(line, str) else []
    except ValueError as error:
        raise DeclarationError(f"{where}({line!r}): {error}; close what is quoted") from None
    if not arguments or not arguments[0]:
        raise DeclarationError(f"{where}({line!r}): give a program and its arguments as one string")
    return Command(arguments=tuple(arguments), kinds=_kinds(where, kinds))


def check_url(url: str, where: str) -> None:
    """Raises `DeclarationError`, which does not repeat the URL: it may be secret."""
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is none
        well = False
    if not well or not url.isascii() or not url.isprintable() or " " in url:
        raise DeclarationError(f'{where}: this is no address to post to; give http(s)://HOST[:PORT]/PATH, or "$NAME"')
    if "@" in parts.netloc:
        raise DeclarationError(
            f'{where}: there is a password in the address; give it as headers={{"Authorization": "$NAME"}}'
        )


def check_smtp(url: str, where: str) -> None:
    """Raises `DeclarationError`, which does not repeat the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well = False
    if not well or parts.path.strip("/") or parts.query or parts.fragment:
        raise DeclarationError(f"{where}(smtp=): give smtp://[USER:PASSWORD@]HOST[:PORT], or smtps://...")


def check_alerts(name: str, alerts: Sequence[Any]) -> None:
    """What `System(alerts=)` may be. Raises `DeclarationError`."""
    for one in alerts:
        if not isinstance(one, Alert):
            raise DeclarationError(
                f"System({name}, alerts=): {type(one).__name__} is no alert; use alert.webhook(...), alert.email(...) or "
                "alert.command(...)"
            )
    keys = [one.key for one in alerts]
    for one in alerts:
        if keys.count(one.key) > 1:
            raise DeclarationError(f"System({name}, alerts=): {one.name} stands twice; name it once, with all kinds=")


def _kinds(where: str, kinds: Sequence[str]) -> tuple[str, ...]:
    if isinstance(kinds, str) or not isinstance(kinds, Sequence):
        raise DeclarationError(f"{where}(kinds={kinds!r}): give a list, [...], also of one")
    for kind in kinds:
        if kind not in KINDS:
            raise DeclarationError(f"{where}(kinds=): no decision is called {kind!r}; choose from {', '.join(KINDS)}")
    return tuple(kinds)


def _key(*parts: str) -> str:
    return sha256_hex("\0".join(parts).encode())[:12]
