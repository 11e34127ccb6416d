"""What the online host holds of one key: its rows, its running states, and tiles for rows that were given up."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelwright.features.plan import Source
from modelwright.features.rows import NEVER, Rows

NO_ARENA: Final = np.empty(0, np.int64)
NO_TILES: Final = np.zeros(1, np.int64)


class Held:
    """One key's rows and running states, owned by the keys of its plan. `arena` is empty while the key has few rows."""

    __slots__ = ("arena", "drop_at", "events", "newest_us", "outcomes", "settled", "tiles")

    def __init__(self, events: Rows, outcomes: Rows, drop_at: int) -> None:
        self.events = events
        self.outcomes = outcomes
        self.arena: NDArray[np.int64] = NO_ARENA
        self.settled: NDArray[np.int64] = NO_ARENA
        self.tiles: NDArray[np.int64] = NO_TILES
        self.drop_at = drop_at
        """The number of rows at which to look for some to drop."""
        self.newest_us = NEVER
        """The time of the newest event, kept where late ones do not count."""

    def rows(self, source: Source) -> Rows:
        """The rows of a source."""
        return self.events if source == "event" else self.outcomes
