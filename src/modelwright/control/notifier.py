"""The notifier port: how a message reaches people. Its implementations are in `adapters`; it never decides what is told."""

from typing import Protocol

from modelwright.control.notice import Notice
from modelwright.core.errors import ModelwrightError


class Notifier(Protocol):
    """Sends messages to one receiver.

    `send` returns when the receiver has acknowledged the message, and raises `NotifyError` in every other case, within a
    bounded time, with a line that holds no secret. It may be called from any thread, by one at a time, and again with the
    same message: the notice's `id` is passed on. It keeps nothing open and nothing in memory between two messages.
    """

    def send(self, notice: Notice) -> None: ...


class InMemory:
    """The port without a receiver: a list in this process, for tests of what drives it; `trouble` makes it fail."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        self.trouble: ModelwrightError | None = None

    def send(self, notice: Notice) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.sent.append(notice)
