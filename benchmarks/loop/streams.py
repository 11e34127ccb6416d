"""The streams of the drift contest, the same for everybody: numpy alone, so that each peer's environment can make them."""

from collections.abc import Iterator

import numpy as np

COLUMNS = 25
REFERENCE = 100_000
STATIONARY = 200_000
"""Events of one stationary stream; one false alarm may happen in so many, over all columns together."""
BEFORE = 20_000
"""Events before the shift."""
AFTER = 50_000
"""Events after it; who has said nothing by then counts as having taken so many."""
SHIFT = 0.3
SHIFTED = 3


def reference(seed: int, columns: int = COLUMNS) -> np.ndarray:
    """[REFERENCE, columns] standard normal values."""
    return np.random.default_rng([seed, 0]).normal(size=(REFERENCE, columns))


def stationary(seed: int, columns: int = COLUMNS, rows: int = STATIONARY) -> np.ndarray:
    """[rows, columns] of the same distribution."""
    return np.random.default_rng([seed, 1]).normal(size=(rows, columns))


def shifted(seed: int) -> tuple[np.ndarray, int]:
    """[BEFORE + AFTER, COLUMNS] in which one column shifts for good, and the place from which it does: not at the beginning of
    anybody's block."""
    random = np.random.default_rng([seed, 2])
    rows = random.normal(size=(BEFORE + AFTER, COLUMNS))
    begins = BEFORE - int(random.integers(0, 5_000))
    rows[begins:, SHIFTED] += SHIFT
    return rows, begins


def column(seed: int) -> tuple[np.ndarray, int]:
    """The column that shifts, alone."""
    rows, begins = shifted(seed)
    return np.ascontiguousarray(rows[:, SHIFTED]), begins


def singles(rows: int, seed: int = 99) -> Iterator[np.ndarray]:
    """Stationary columns of `STATIONARY` values, `rows` values in all: to find how often a threshold is crossed."""
    for number in range(max(1, rows // STATIONARY)):
        yield np.random.default_rng([seed, 3, number]).normal(size=min(rows, STATIONARY))
