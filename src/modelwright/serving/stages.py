"""Where the time of a batch goes: when each stage of a plane's work ended. Told by planes, shown in /metrics and in traces.

A stage is timed once a batch, not once a row, and every request of the batch has waited for all of it: what a histogram
counts is requests.
"""

import time

STAGES = ("decode", "wait", "begin", "features", "model", "encode", "commit")
"""In the order a request meets them; a plane without a log has `model` and `encode` alone.

- `decode`: the body, checked against the contract. `wait`: for the requests it is worked off with.
- `begin`: the log's turn is there and rows of others are read; the challenger's scores of earlier requests, if any wait.
- `features`: ids are looked up, history is read, events are written down. `model`: one call for all of them.
- `encode`: answers, and their rows of the log. `commit`: all of it is durable.
"""


class Stages:
    """The marks of the batch that is being worked off, or was last: a stage and when it ended, on the monotonic clock.

    Owned by a plane, changed by its one thread.
    """

    __slots__ = ("marks",)

    def __init__(self) -> None:
        self.marks: list[tuple[str, float]] = []

    def begin(self) -> None:
        """A batch begins."""
        self.marks = []

    def mark(self, stage: str) -> None:
        """A stage has ended; what comes now is of the next one."""
        self.marks.append((stage, time.perf_counter()))
