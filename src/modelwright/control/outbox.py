"""Messages on their way to people: every row of the journal that a receiver wants, in order, at least once each.

The journal is the queue; all this keeps is how far each receiver has been told, in a note of the log. So a process that is
killed loses none, and one that starts again repeats none whose acknowledgement it had noted. Sending is done by a thread for
each receiver, so that one that is dead holds up neither the loop nor the others. Never decides anything.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from modelwright.control.notice import Notice, Told, notice_of, wanted
from modelwright.control.notifier import Notifier
from modelwright.control.receiver import NOTE, Receiver, receivers
from modelwright.core.clock import Clock
from modelwright.core.durations import duration_us
from modelwright.core.errors import ModelwrightError, first_line
from modelwright.lake.journal import Journal, JournalRow
from modelwright.spec.system import System

FIRST_PAUSE_US = duration_us("5s")
LONGEST_PAUSE_US = duration_us("5m")
"""A receiver that did not take a message is tried again after the first pause, then after twice as long, up to this."""
GIVE_UP_US = duration_us("1d")
"""A message that could not be delivered for so long is dropped, and counted."""

Spawn = Callable[[Callable[[], None]], None]


@dataclass
class Channel:
    """A receiver with the way to it. `result`: of the message under way, left by the thread that sends it."""

    receiver: Receiver
    kinds: tuple[str, ...]
    notifier: Notifier
    queue: deque[tuple[int, JournalRow]] = field(default_factory=deque)
    tries: int = 0
    next_us: int = 0
    sending: bool = False
    result: deque[str | None] = field(default_factory=deque)


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(
        target=work, daemon=True, name="alert"
    ).start()  # a receiver that hangs keeps no process from ending


class Outbox:
    """One thread calls this, often. A receiver that the journal has not heard of is told from now on, not of the past."""

    def __init__(
        self,
        system: System,
        journal: Journal,
        notifiers: Sequence[tuple[str, str, tuple[str, ...], Notifier]],
        clock: Clock,
        spawn: Spawn = _in_a_thread,
    ) -> None:
        """`notifiers`: key, name, kinds and notifier of each receiver."""
        self._system = system
        self._journal = journal
        self._clock = clock
        self._spawn = spawn
        self._told = Told()
        self._seen = 0
        rows = list(journal.rows())
        known = {one.key: one for one in receivers(journal)}
        head = rows[-1].seq if rows else 0
        self._channels = []
        for key, name, kinds, notifier in notifiers:
            receiver = known.get(key) or Receiver(key=key, name=name, upto=head)
            self._channels.append(Channel(msgspec.structs.replace(receiver, name=name), kinds, notifier))
        self._noted = b""
        self._take(rows)
        self._note()

    def keep(self) -> None:
        """Note what was acknowledged, and send what there is to send; waits for nobody.

        Raises `WorkspaceError` where it cannot be noted now; what was acknowledged is not sent again all the same.
        """
        now_us = self._clock.now_us()
        self._take(list(self._journal.rows(after=self._seen)))
        for channel in self._channels:
            while channel.result:
                self._settle(channel, channel.result.popleft(), now_us)
            if channel.queue and not channel.sending and now_us >= channel.next_us:
                channel.sending = True
                self._spawn(_delivery(channel, notice_of(channel.queue[0][1], self._system)))
        self._note()

    @property
    def busy(self) -> bool:
        """Whether a message is being sent."""
        return any(channel.sending for channel in self._channels)

    def _take(self, rows: Sequence[JournalRow]) -> None:
        now_us = self._clock.now_us()
        for row in rows:
            self._seen, fresh = row.seq, self._told.is_new(row)
            for channel in self._channels:
                if fresh and row.seq > channel.receiver.upto and wanted(row, channel.kinds):
                    channel.queue.append((now_us, row))

    def _settle(self, channel: Channel, error: str | None, now_us: int) -> None:
        receiver, (since_us, row) = channel.receiver, channel.queue[0]
        channel.sending = False
        if error is None:
            channel.queue.popleft()
            receiver.upto, receiver.sent = row.seq, receiver.sent + 1
            receiver.failing_us, receiver.error, channel.tries, channel.next_us = 0, "", 0, 0
            return
        receiver.error, receiver.failing_us = error, receiver.failing_us or now_us
        pause_us = min(LONGEST_PAUSE_US, FIRST_PAUSE_US << min(channel.tries, 16))
        channel.tries, channel.next_us = channel.tries + 1, now_us + pause_us
        if now_us - since_us >= GIVE_UP_US:
            channel.queue.popleft()
            receiver.upto, receiver.dropped = row.seq, receiver.dropped + 1

    def _note(self) -> None:
        for channel in self._channels:
            if not channel.queue:  # nothing in between is wanted: later kinds= do not bring it up again
                channel.receiver.upto = max(channel.receiver.upto, self._seen)
            channel.receiver.waiting = len(channel.queue)
        note = msgspec.json.encode([channel.receiver for channel in self._channels])
        if note != self._noted:
            self._journal.note(NOTE, note)
            self._noted = note


def _delivery(channel: Channel, notice: Notice) -> Callable[[], None]:
    def deliver() -> None:
        error: str | None = None
        try:
            channel.notifier.send(notice)
        except ModelwrightError as refused:
            error = str(refused)
        except Exception as unexpected:  # whatever a notifier does, the loop goes on and the message is tried again
            error = first_line(unexpected)
        channel.result.append(error)

    return deliver
