"""The port to a message broker: messages come, answers go, and what is acknowledged never comes again.

`consumer.Consumer` drives it; implementations lie in `adapters/<technology>/stream.py`, and
`modelwright.testing.streams.StreamConformance` holds each of them to what is written here. A stream knows nothing of the
data plane and never looks into a body.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Received(NamedTuple):
    """A message. `identity`: its name at the broker, the same whenever it is delivered again. `again`: the broker says that
    it was delivered before (False where brokers do not say). `token` is the stream's own."""

    body: bytes
    identity: str
    again: bool
    token: Any


class Sent(NamedTuple):
    """What goes out for a message: an answer, or with `rejected` the reason why there is none. `id` is the same for the
    same answer, so that a broker, or who reads it, can tell a repeat."""

    body: bytes
    id: str
    to: Received
    rejected: bool = False


class Stream(Protocol):
    """One input of a broker with the output of its answers and that of its rejections, under a durable name.

    - **Thread.** All methods are coroutines of one event loop. One task calls `receive` while another calls `publish` and
      `ack`; `open` and `close` are called while nobody else calls.
    - **Order.** `receive` gives messages in the broker's order, within whatever the broker keeps in order (a partition, a
      subject, a topic). Redelivered ones come when the broker sends them. `ack` is called in the order received, with gaps
      where a message is to come again.
    - **Redelivery.** What was received and not acknowledged, for whatever reason, is received again after the next `open`,
      by this process or another of the same name, at once or after the broker's time for that. What was acknowledged is not,
      but for acknowledgements lost with a connection: delivery is at least once.
    - **Bounds.** No more than about `in_flight` (as the stream was made) messages wait in the process unacknowledged, in the
      stream's own buffers too.
    - **Trouble.** Every method but `close` raises `StreamError`, in one line, within seconds where the broker is not there
      or refuses. After that only `close` may be called, then `open`. No method tries again by itself.
    """

    @property
    def name(self) -> str:
        """What people are told: where it is, without a secret."""
        ...

    @property
    def largest(self) -> int:
        """Bytes of the largest body that `publish` takes; known once open."""
        ...

    async def open(self) -> None:
        """Connect, and make sure that the durable name is there. Nothing is lost between two openings."""
        ...

    async def receive(self, most: int) -> list[Received]:
        """Between one and `most` messages as soon as there are any; an empty list after a second or so without."""
        ...

    async def publish(self, sent: Sequence[Sent]) -> None:
        """Return once the broker has all of them; after an error some may be there."""
        ...

    async def ack(self, received: Sequence[Received]) -> None:
        """These need not come again."""
        ...

    async def close(self) -> None:
        """Let go of the connection, and where the broker allows it of what is unacknowledged. Raises nothing."""
        ...
