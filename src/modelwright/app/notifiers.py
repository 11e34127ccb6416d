"""From `System(alerts=)` to notifiers: which adapter, and what the environment says. The only place that names them.

Secrets are read here, when messages are about to be sent, and handed to the adapter alone.
"""

import os
import shutil
from collections.abc import Mapping

from modelwright.control.notifier import Notifier
from modelwright.core.errors import DeclarationError
from modelwright.spec.alert import VARIABLE, Alert, Email, Webhook, check_smtp, check_url
from modelwright.spec.system import System

Named = tuple[str, str, tuple[str, ...], Notifier]
"""A receiver as the outbox takes it: key, name, kinds, notifier."""


def notifiers_of(system: System, environment: Mapping[str, str] = os.environ) -> list[Named]:
    """A notifier for each declared alert. Raises `DeclarationError` where a variable is not set or a program not found."""
    return [(one.key, one.name, one.kinds, _notifier(one, system, environment)) for one in system.alerts]


def _notifier(alert: Alert, system: System, environment: Mapping[str, str]) -> Notifier:
    if isinstance(alert, Webhook):
        from modelwright.adapters.webhook.notifier import WebhookNotifier

        url = filled(alert.url, "alert.webhook", environment)
        check_url(url, f"alert.webhook({alert.url!r})" if "$" in alert.url else "alert.webhook")
        headers = {
            name: filled(value, f"alert.webhook(headers={{{name!r}: ...}})", environment)
            for name, value in alert.headers
        }
        for name, value in headers.items():
            if not (value.isascii() and value.isprintable()):
                raise DeclarationError(f"alert.webhook(headers={{{name!r}: ...}}): the value is no line of plain text")
        return WebhookNotifier(url, headers)
    if isinstance(alert, Email):
        from modelwright.adapters.smtp.notifier import SmtpNotifier

        server = filled(alert.smtp, "alert.email(smtp=)", environment)
        check_smtp(server, "alert.email")
        return SmtpNotifier(server, alert.to, alert.sender)
    from modelwright.adapters.command.notifier import CommandNotifier

    program, *rest = alert.arguments
    where = str(system.home / program) if "/" in program else program
    found = shutil.which(where, path=environment.get("PATH"))
    if found is None:
        place = "there is no such program" if "/" in program else "no such program on the path"
        raise DeclarationError(f"alert.command({program!r}): {place} that may be executed; looked for {where}")
    return CommandNotifier([found, *rest], system.home)


def filled(text: str, where: str, environment: Mapping[str, str]) -> str:
    """The text with each `$NAME` replaced by what the environment says. Raises `DeclarationError`.

    >>> filled("Bearer $TOKEN", "alert.webhook", {"TOKEN": "abc"})
    'Bearer abc'
    """
    for match in VARIABLE.finditer(text):
        name = match[1] or match[2]
        if not environment.get(name):
            raise DeclarationError(f"{where}: the environment variable {name} is not set; export it, then start again")
    return VARIABLE.sub(lambda match: environment[match[1] or match[2]], text)
