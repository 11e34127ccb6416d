"""Drift of each input and of the score against the release's reference: distances, missing and unseen values.

Reported, not acted upon. The present is the newest `WINDOW` requests, kept as counts of blocks, so that memory does not
grow with traffic.
"""

from collections import deque
from typing import Any

import msgspec
import numpy as np

from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import References
from modelwright.stats.predictions import Array
from modelwright.stats.reference import PSI_LARGE

BLOCK = 250
WINDOW = 2_000
SMALLEST = 100
"""Fewer requests than this say nothing about a distribution."""


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """One entry a column, in the order of the inputs; `psi` is None before `SMALLEST` requests."""

    columns: tuple[str, ...]
    psi: tuple[float | None, ...]
    missing: tuple[float | None, ...]
    unseen: tuple[float | None, ...]
    score_psi: float | None
    rows: int
    threshold: float = PSI_LARGE


class DriftMonitor:
    """Counts requests into the reference's bins."""

    def __init__(self, references: References, columns: tuple[InputColumn, ...]) -> None:
        self._references = references
        self._columns = columns
        self._blocks: deque[list[Array]] = deque(maxlen=WINDOW // BLOCK)
        self._open: list[tuple[Array, tuple[str | None, ...], float | None]] = []

    def add(self, numbers: Array, texts: tuple[str | None, ...], score: float | None) -> None:
        """One request: its numbers [k], its texts (as they came, unseen ones too), its score."""
        self._open.append((numbers, texts, score))
        if len(self._open) == BLOCK:
            self._blocks.append(self._count())
            self._open = []

    def report(self) -> DriftReport:
        """The present against the reference."""
        blocks = [*self._blocks, *([self._count()] if self._open else [])]
        rows = len(self._blocks) * BLOCK + len(self._open)
        enough = rows >= SMALLEST
        totals = [np.sum(parts, axis=0) for parts in zip(*blocks, strict=True)] if blocks else []
        columns = self._references.columns
        score = self._references.score

        def rate(place: int, position: int) -> float | None:
            return float(totals[place][position] / rows) if enough else None

        return DriftReport(
            columns=tuple(column.name for column in columns),
            psi=tuple(column.distance(totals[i]) if enough else None for i, column in enumerate(columns)),
            missing=tuple(rate(i, -1) for i in range(len(columns))),
            unseen=tuple(rate(i, -2) if column.texts is not None else None for i, column in enumerate(columns)),
            score_psi=score.distance(totals[-1]) if enough and score is not None else None,
            rows=rows,
        )

    def _count(self) -> list[Array]:
        numbers = np.array([row for row, _, _ in self._open])
        texts = list(zip(*(row for _, row, _ in self._open), strict=True))
        scores = [np.nan if score is None else score for _, _, score in self._open]
        return count_columns(self._references, self._columns, Rows(numbers, tuple(map(list, texts))), np.array(scores))


def count_columns(
    references: References, columns: tuple[InputColumn, ...], rows: Rows, scores: Array | None
) -> list[Array]:
    """Bin counts of each column, then of the score where the reference has one."""
    number, text = 0, 0
    counts: list[Array] = []
    for column, reference in zip(columns, references.columns, strict=True):
        values: Any
        if column.kind == "number":
            values, number = rows.numbers[:, number], number + 1
        else:
            values, text = rows.texts[text], text + 1
        counts.append(reference.count(values))
    if references.score is not None and scores is not None:
        counts.append(references.score.count(scores))
    return counts
