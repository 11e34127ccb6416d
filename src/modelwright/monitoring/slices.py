"""How well a system does by slice: the metric for each value of declared columns, with its interval, and the worst slice of all.

Made from predictions whose outcome is known, whenever somebody looks; a slice of few outcomes is shown with the wide
interval it has. The worst one is looked for among the values of every column of the event, by row losses, and is named only
where it is worse than the whole beyond what so many slices would bring about by chance (Bonferroni). Decides nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from modelwright.lake.log import Log
from modelwright.monitoring.ledger import Ledger, as_outcomes, as_predictions
from modelwright.spec.monitor import Monitor
from modelwright.stats.intervals import CONFIDENCE, PARTS, metric_interval, student
from modelwright.stats.losses import row_losses
from modelwright.stats.predictions import Array, Predictions

LATEST = 20_000
"""Outcomes that are looked at, the newest."""
VALUES = 20
"""Of a column, the most frequent ones; the others are one slice."""
FEWEST = 40
"""A slice of fewer outcomes is not called the worst."""


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one column (both empty for the whole): how many outcomes, the metric, and where it is with 95%. None
    where it is not defined."""

    column: str
    value: str
    rows: int
    metric: float | None
    low: float | None
    high: float | None


class Slices(msgspec.Struct, frozen=True, kw_only=True):
    """The metric over the latest outcomes, by slice of the declared columns, and of the `worst` slice found, if one is surely
    worse than the whole."""

    metric: str
    whole: Slice
    slices: tuple[Slice, ...]
    worst: Slice | None
    searched: int


def slices_of(
    metric: str, outcomes: Array, said: Predictions, columns: Mapping[str, Sequence[Any]], declared: Sequence[str]
) -> Slices:
    """`outcomes` [n] and answers in order of time; `columns`: of each, [n] values, of which those `declared` are told for."""
    grouped = {name: _grouped(values) for name, values in columns.items()}

    def measured(column: str, value: str, rows: Array) -> Slice:
        found = metric_interval(metric, outcomes[rows], said.take(rows))
        return Slice(
            column=column, value=value, rows=len(rows), metric=found.value, low=found.low, high=found.high
        )  # fmt: skip

    def sliced(name: str, code: int) -> Slice:
        names, codes = grouped[name]
        return measured(name, names[code], np.flatnonzero(codes == code))

    worst, searched = _worst(row_losses(metric, outcomes, said), grouped) if len(outcomes) else (None, 0)
    return Slices(
        metric=metric,
        whole=measured("", "", np.arange(len(outcomes))),
        slices=tuple(sliced(name, code) for name in declared for code in range(len(grouped[name][0]))),
        worst=None if worst is None else sliced(*worst),
        searched=searched,
    )


def latest_slices(log: Log, ledger: Ledger, monitor: Monitor) -> Slices:
    """Of the system's latest answers with an outcome, by the columns of their events."""
    account = ledger.account
    seqs = account.event_seq[-LATEST:]
    outcomes = as_outcomes(account.outcome[-LATEST:], ledger.classes)
    said = as_predictions(account.scored[-LATEST:], ledger.classes)
    order = np.argsort(np.array(account.at_us[-LATEST:], dtype=np.int64), kind="stable")
    columns = columns_at(log, [seqs[place] for place in order.tolist()])
    return slices_of(ledger.metric, outcomes[order], said.take(order), columns, monitor.slices)


def columns_at(log: Log, seqs: Sequence[int]) -> dict[str, list[Any]]:
    """The event's columns but for id and time, at these sequence numbers."""
    contract = log.schema.contract
    table = log.events_at(np.array(sorted(set(seqs)), dtype=np.int64))
    place = {seq: row for row, seq in enumerate(table["_seq"].to_pylist())}
    rows = [place[seq] for seq in seqs]
    names = [f.name for f in contract.fields if f.name not in (contract.id, contract.time) and f.kind != "time"]
    columns = {name: table[name].to_pylist() for name in names}
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def _grouped(values: Sequence[Any]) -> tuple[list[str], Array]:
    """What the groups are called, and [n] the group of each value: frequent texts and the others, thirds of numbers, missing."""
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if numbers and len(set(numbers)) > VALUES:
        low, high = (float(cut) for cut in np.quantile(numbers, (1 / 3, 2 / 3), method="lower"))
        names = [f"up to {low:g}", f"{low:g} to {high:g}", f"over {high:g}", "missing"]
        found = [3 if value is None else int(value > low) + int(value > high) for value in values]
    else:
        texts = ["missing" if value is None else _shown(value) for value in values]
        frequency: dict[str, int] = {}
        for text in texts:
            frequency[text] = frequency.get(text, 0) + 1
        names = sorted(frequency, key=lambda text: (-frequency[text], text))[:VALUES]
        index = {name: place for place, name in enumerate(names)}
        names.append("all others")
        found = [index.get(text, len(names) - 1) for text in texts]
    codes = np.array(found, dtype=np.intp)
    used = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    return [names[code] for code in used.tolist()], np.searchsorted(used, codes)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _worst(losses: Array, grouped: Mapping[str, tuple[list[str], Array]]) -> tuple[tuple[str, int] | None, int]:
    """The slice whose mean loss is surely the furthest above that of all, and among how many it was looked for."""
    part = np.arange(len(losses)) * PARTS // len(losses)
    tried: list[tuple[str, int, float, float]] = []
    for name, (names, codes) in grouped.items():
        shape = (len(names), PARTS)
        place = codes * PARTS + part
        rows = np.bincount(place, minlength=shape[0] * PARTS).reshape(shape)
        excess = np.bincount(place, losses - losses.mean(), shape[0] * PARTS).reshape(shape)
        total = rows.sum(axis=1)
        mean = excess.sum(axis=1) / np.maximum(total, 1)
        spread = np.sqrt(PARTS / (PARTS - 1) * np.sum((excess - mean[:, None] * rows) ** 2, axis=1))
        for code in np.flatnonzero((total >= FEWEST) & (total < len(losses))).tolist():
            tried.append((name, code, float(mean[code]), float(spread[code] / total[code])))
    if not tried:
        return None, 0
    reach = student(1 - 2 * (1 - CONFIDENCE) / len(tried), PARTS - 1)  # one side of it
    sure = [(mean - reach * error, name, code) for name, code, mean, error in tried]
    least, name, code = max(sure, key=lambda one: one[0])
    return ((name, code) if least > 0 else None), len(tried)
