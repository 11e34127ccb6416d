"""The offline host: features of many requests at once, from whole tables.

For training sets, batch scoring, parity checks and rehearsals. Rows are sorted once for each key of the views; then each
aggregate is one sweep of the kernel over all keys, on a pool of threads. Reads nothing but its arguments.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelwright.core.errors import DataError
from modelwright.features import table
from modelwright.features.plan import LabelColumn, Plan, Source, Step, plans_by_key
from modelwright.spec.contract import Contract
from modelwright.spec.view import ViewSpec

Others = Sequence[tuple[Contract, pa.Table]]
"""Other events than the system's own, each with its rows."""
_NO_VALUES = np.empty(0)
_NO_EVENTS = np.empty(0, np.int64)
_NONE_LIVE = np.empty(0, np.uint8)


class _Dictionaries:
    """The texts of each string column, as the `Strings` that conditions look constants up in."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self._ids: dict[str, dict[str, int]] = {}

    def hold(self, column: str, texts: list[str]) -> None:
        self.texts[column] = texts
        self._ids[column] = {text: i for i, text in enumerate(texts)}

    def find(self, column: str, text: str) -> int | None:
        return self._ids.get(column, {}).get(text)

    def text_of(self, column: str, id: int) -> str:
        return self.texts[column][id]

    def id_of(self, column: str, text: str) -> int:
        raise KeyError(f"{column}: the dictionary of a table is closed")


class _Log:
    """Rows of one source, encoded and unsorted: times, sequence numbers, which are live, events (outcomes) and columns by
    place."""

    def __init__(
        self, times: NDArray[np.int64], seq: NDArray[np.int64], live: NDArray[np.uint8], event: NDArray[np.int64],
        columns: list[NDArray[np.float64]],
    ) -> None:  # fmt: skip
        self.times = times
        self.seq = seq
        self.live = live
        self.event = event
        self.columns = columns

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Row numbers by (time, sequence)."""
        rising = np.diff(self.times)
        if bool(((rising > 0) | ((rising == 0) & (np.diff(self.seq) > 0))).all()):
            return np.arange(len(self.times))
        return np.lexsort((self.seq, self.times))

    def in_time(self, key: NDArray[np.int64], keys: int, lateness_us: int | None) -> NDArray[np.int64]:
        """The rows' keys, -1 for those that came too late for their key."""
        if lateness_us is None or not self.live.any():
            return key
        from modelwright.features.kernel.visible import too_late

        arrival = np.argsort(self.seq, kind="stable")
        return np.where(too_late(self.times, self.live, key, keys, arrival, lateness_us), -1, key)


class _Sorted:
    """One source's rows placed by one plan's key; columns and masks are sorted when first wanted."""

    def __init__(self, log: _Log, key: NDArray[np.int64], keys: int, plan: Plan, source: Source, strings: Any) -> None:
        from modelwright.features.kernel.sweep import place_by_key

        self._log = log
        self._rows, self.starts = place_by_key(key, log.order, keys)
        self.times = log.times[self._rows]
        self.seq = log.seq[self._rows]
        self.event = log.event[self._rows] if len(log.event) else _NO_EVENTS
        self._columns: dict[int, NDArray[np.float64]] = {-1: _NO_VALUES}
        self._masks = {0: np.ones(len(self._rows), np.uint8)}
        for step in plan.steps:
            if step.source == source and step.column not in self._columns:
                self._columns[step.column] = log.columns[step.column][self._rows]
        for i, mask in enumerate(plan.masks[source], start=1):
            self._masks[i] = mask.evaluate(log.columns, strings)[self._rows]

    def column(self, place: int) -> NDArray[np.float64]:
        return self._columns[place]

    def mask(self, place: int) -> NDArray[np.uint8]:
        return self._masks[place]


def compute(
    views: Sequence[ViewSpec],
    contract: Contract,
    label: LabelColumn | None,
    events: pa.Table,
    requests: pa.Table,
    outcomes: pa.Table | None = None,
    others: Others = (),
) -> pa.Table:
    """One column a feature, in order of the views, one row a request, in order of the requests.

    `events` has the contract's fields as columns, and may have `_seq` (else the input order), `_id`, and `_live` (else
    none is), which says which may be too late for a view with a lateness. `requests` has the
    key, the time, the columns `change` and `delta` read, and may have `_seq` and `_live`: a live request sees the rows of lower
    sequence number, any other sees rows by their time. `outcomes` has `_id`, the label's column, `_known_at`, and may
    have `_seq`; a later one of the same event corrects the earlier; one of an unknown event is passed over. `others` are
    the other events that views are over, each with its rows, which have columns as `events` has.

    Counts are int64, strings dictionary<int32, string>, all else float64 with NaN for missing. Raises
    `DeclarationError` for a feature that cannot be, `DataError` for a table without what the views read.
    """
    plans, names = plans_by_key(views, contract, label, [other for other, _ in others])
    if contract.time is None:
        raise DataError(f"{contract.name} declares no time, so its features have no history")
    rows = {None: (contract, events)} | {other.name: (other, table) for other, table in others}
    logs: dict[str | None, tuple[_Log, _Dictionaries]] = {}
    for event, (of, of_event) in rows.items():
        read = [plan.reads for plan in plans if plan.other == event]
        if (read or event is None) and of.time is not None:
            strings = _Dictionaries()
            logs[event] = _event_log(of, of.time, of_event, frozenset().union(*read), strings), strings
    event_log, strings = logs[None]
    outcome_log, outcome_rows = _outcome_log(contract, label, events, outcomes, event_log, strings)
    at = table.instants(requests, contract.time, "requests")
    limit = table.limits(requests)
    request_order = np.argsort(at, kind="stable")
    results: dict[str, pa.Array] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for plan in plans:
            kinds = {field.name: str(field.kind) for field in contract.fields}
            history, strings = logs[plan.other]
            keyed = [rows[plan.other][1], requests]
            (event_key, request_key), count = table.keys(keyed, plan.by, ["events", "requests"], kinds)
            counted = history.in_time(event_key, count, plan.lateness_us)
            sources = {"event": _Sorted(history, counted, count, plan, "event", strings)}
            if any(step.source == "outcome" for step in plan.steps):
                outcome_key = event_key[outcome_rows]
                sources["outcome"] = _Sorted(outcome_log, outcome_key, count, plan, "outcome", strings)
            answers = _run(plan, sources, requests, request_key, request_order, count, at, limit, pool)
            for step, answer in zip(plan.steps, answers, strict=True):
                results[step.name] = _arrow(step, answer, strings)
    return pa.table({name: results[name] for name in names})


def _run(
    plan: Plan, sources: dict[str, _Sorted], requests: pa.Table, key: NDArray[np.int64], order: NDArray[np.int64],
    keys: int, at: NDArray[np.int64], limit: NDArray[np.int64], pool: ThreadPoolExecutor,
) -> list[NDArray[np.float64]]:  # fmt: skip
    from modelwright.features.kernel.sweep import place_by_key, sweep

    rows, starts = place_by_key(key, order, keys)
    sorted_at, sorted_limit = at[rows], limit[rows]
    nothing = np.full(len(rows), np.nan)
    own: dict[int, NDArray[np.float64]] = {}
    for step in plan.steps:
        if step.minus and step.own not in own:
            field = plan.asked.fields[step.own]
            column = table.column_of(requests, field.name, "requests")
            own[step.own] = table.numbers(column, field.kind, field.name)[rows]

    def answer(step: Step) -> NDArray[np.float64]:
        source = sources[step.source]
        out = np.empty(len(rows))
        sweep(
            step.operation, step.parameter, step.over_us, step.step_us, step.most, step.minus, step.source == "outcome",
            source.times, source.column(step.column), source.mask(step.condition), source.seq, source.event,
            source.starts, sorted_at, sorted_limit, own[step.own] if step.minus else nothing, starts, out,
        )  # fmt: skip
        result = np.full(len(at), step.empty)
        result[rows] = out
        return result

    return list(pool.map(answer, plan.steps))


def _event_log(contract: Contract, time: str, events: pa.Table, wanted: frozenset[str], strings: _Dictionaries) -> _Log:
    columns = [_NO_VALUES] * len(contract.fields)
    for place, field in enumerate(contract.fields):
        if field.name in wanted:
            array = table.column_of(events, field.name, "events")
            if field.kind == "str":
                columns[place], texts = table.texts(array, field.name)
                strings.hold(field.name, texts)
            else:
                columns[place] = table.numbers(array, field.kind, field.name)
    times = table.instants(events, time, "events")
    return _Log(times, table.sequences(events), table.lives(events), _NO_EVENTS, columns)


def _outcome_log(
    contract: Contract, label: LabelColumn | None, events: pa.Table, outcomes: pa.Table | None, log: _Log,
    strings: _Dictionaries,
) -> tuple[_Log, NDArray[np.int64]]:  # fmt: skip
    """Outcomes with their events' columns beside them, and the row of each one's event."""
    if outcomes is None or label is None:
        columns = [column[:0] for column in log.columns]
        return _Log(_NO_EVENTS, _NO_EVENTS, _NONE_LIVE, _NO_EVENTS, [*columns, _NO_VALUES]), _NO_EVENTS
    ids_name = "_id" if "_id" in events.column_names else contract.id
    if ids_name is None:
        raise DataError(f"outcomes are joined by id, and the events have no `_id` and {contract.name} declares no id")
    wanted = table.plain(table.column_of(outcomes, "_id", "outcomes"))
    known = table.plain(table.column_of(events, ids_name, "events"))
    if wanted.type != known.type:
        wanted, known = wanted.cast(pa.string()), known.cast(pa.string())
    found = pc.fill_null(pc.index_in(wanted, value_set=known, skip_nulls=True), -1)
    event_rows = found.to_numpy(zero_copy_only=False).astype(np.int64)
    there = np.flatnonzero(event_rows >= 0)
    event_rows = event_rows[there]
    array = table.column_of(outcomes, label.name, "outcomes")
    if label.kind == "str":
        values, texts = table.texts(array, label.name)
        strings.hold(label.name, texts)
    else:
        values = table.numbers(array, label.kind, label.name)
    # An outcome is never known before its event has happened, whatever a file says.
    times = np.maximum(table.instants(outcomes, "_known_at", "outcomes")[there], log.times[event_rows] + 1)
    columns = [column[event_rows] if len(column) else column for column in log.columns]
    sequence = table.sequences(outcomes)[there]
    return _Log(times, sequence, _NONE_LIVE, event_rows, [*columns, values[there]]), event_rows


def _arrow(step: Step, answer: NDArray[np.float64], strings: _Dictionaries) -> pa.Array:
    if step.output == "int":
        return pa.array(answer.astype(np.int64))
    if step.output == "str" and step.text_column is not None:
        missing = np.isnan(answer)
        codes = pa.array(np.where(missing, 0, answer).astype(np.int32), mask=missing)
        texts = strings.texts.get(step.text_column, [])
        return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string()))
    return pa.array(answer)
