"""`modelwright try-alerts`: one message to every declared receiver, now, and what became of each."""

import msgspec

from modelwright.app.notifiers import notifiers_of
from modelwright.control.notice import trial_notice
from modelwright.core.clock import Clock, SystemClock
from modelwright.core.errors import NotifyError, UsageError
from modelwright.spec.system import System


class TriedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the message to one receiver: `error` is empty where it was acknowledged."""

    to: str
    error: str


def try_alerts(system: System, clock: Clock | None = None) -> list[TriedAlert]:
    """Send each a message that says it is a test; reads and writes no state. Raises `UsageError` where nobody is declared."""
    if not system.alerts:
        raise UsageError(
            f'System({system.name}) tells nobody; declare receivers, such as alerts=[alert.webhook("$SLACK_URL")]'
        )
    notice = trial_notice(system, (clock or SystemClock()).now_us())
    tried = []
    for _, name, _, notifier in notifiers_of(system):
        error = ""
        try:
            notifier.send(notice)
        except NotifyError as refused:
            error = str(refused)
        tried.append(TriedAlert(to=name, error=error))
    return tried
