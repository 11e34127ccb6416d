"""The offline host: features of many requests at once, from whole tables.

For training sets, batch scoring, parity checks and rehearsals. Rows are sorted once for each key of the views, and each
request's windows found once; then the kernel sweeps shares of the keys on a pool of threads, aggregates of one column
together. Reads nothing but its arguments.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelwright.core.errors import DataError
from modelwright.features import table
from modelwright.features.kernel.operations import OPERATIONS, SEES_ALL
from modelwright.features.plan import LabelColumn, Plan, Source, Step, plans_by_key
from modelwright.spec.contract import Contract
from modelwright.spec.view import ViewSpec

Others = Sequence[tuple[Contract, pa.Table]]
"""Other events than the system's own, each with its rows."""
_NO_VALUES = np.empty(0)
_NO_EVENTS = np.empty(0, np.int64)
_NONE_LIVE = np.empty(0, np.uint8)

SHARES: Final = 4
"""Shares of the keys for each thread: a popular key makes one larger than the others."""

MOST_ROWS: Final = 2**31
"""Row numbers have 32 bits."""


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
        self, times: NDArray[np.int64], seq: NDArray[np.int64] | None, live: NDArray[np.uint8], event: NDArray[np.int64],
        columns: list[NDArray[np.float64]],
    ) -> None:  # fmt: skip
        self.times = times
        self._seq = seq
        self.live = live
        self.event = event
        self.columns = columns

    @cached_property
    def seq(self) -> NDArray[np.int64]:
        """The sequence numbers; of rows that bring none, by the order they stand in."""
        return np.arange(table.BEFORE_ALL, table.BEFORE_ALL + len(self.times)) if self._seq is None else self._seq

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Row numbers by sequence; empty where they stand so."""
        if self._seq is None or bool((self._seq[1:] > self._seq[:-1]).all()):
            return _NO_EVENTS
        return np.argsort(self._seq, kind="stable")

    def in_time(self, key: NDArray[np.int32], keys: int, lateness_us: int | None) -> NDArray[np.int32]:
        """The rows' keys, -1 for those that came too late for their key."""
        if lateness_us is None or not self.live.any():
            return key
        from modelwright.features.kernel.visible import too_late

        arrival = self.order if len(self.order) else np.arange(len(key))
        return np.where(too_late(self.times, self.live, key, keys, arrival, lateness_us), -1, key)


class _Placed:
    """Rows or requests sorted by key and time: their numbers, their times, and where each key starts."""

    def __init__(
        self, key: NDArray[np.int32], times: NDArray[np.int64], order: NDArray[np.int64], keys: int, each: "_Each"
    ) -> None:
        from modelwright.features.kernel.place import place, starts_of

        if len(key) >= MOST_ROWS:
            raise DataError(
                f"{len(key):,} rows at once are more than {MOST_ROWS - 1:,}; compute a part of the keys at a time"
            )
        times = times.view()
        times.flags.writeable = False  # as Arrow gives them; else the kernel is compiled twice
        self.starts = starts_of(key, keys)
        self.rows = np.empty(self.starts[-1], np.int32)
        self.times = np.empty(self.starts[-1], np.int64)
        each.share(
            self.starts, lambda first, end: place(key, times, order, self.starts, first, end, self.rows, self.times), 1
        )


class _Sorted:
    """One source's rows placed by one plan's key: the columns and masks its steps read, and each request's windows."""

    def __init__(
        self, log: _Log, placed: _Placed, plan: Plan, source: Source, asked: _Placed, limit: NDArray[np.int64],
        strings: Any, each: "_Each",
    ) -> None:  # fmt: skip
        from modelwright.features.kernel.place import gather, gather_marks
        from modelwright.features.kernel.prefix import MOST_ROWS, lowest_unit
        from modelwright.features.kernel.sweep import cut, frame, seen_whole

        self.steps = [step for step in plan.steps if step.source == source]
        self.starts, self.times = placed.starts, placed.times
        self.columns: dict[int, NDArray[np.float64]] = {-1: _NO_VALUES}
        self.units: dict[int, int] = {-1: 0}
        self.masks = {0: np.ones(len(placed.rows), np.uint8)}
        self.frames = {window: w for w, window in enumerate(sorted({_window(step) for step in self.steps}))}
        self.lo = np.zeros((len(self.frames), len(asked.rows)), np.int64)
        self.hi = np.zeros(len(asked.rows), np.int64)
        self.whole = np.ones(len(self.starts) - 1, np.uint8)
        self.seq = self.event = _NO_EVENTS
        largest = int(np.diff(self.starts).max(initial=0))

        def hold_column(column: int) -> None:
            values = log.columns[column]
            self.columns[column] = np.empty(len(placed.rows))
            gather(values, placed.rows, self.columns[column])
            self.units[column] = lowest_unit(values) if largest < MOST_ROWS else -1

        def hold_mask(place: int) -> None:
            mask = plan.masks[source][place - 1].evaluate(log.columns, strings)
            self.masks[place] = np.empty(len(placed.rows), np.uint8)
            gather_marks(mask, placed.rows, self.masks[place])

        def find_windows(first: int, end: int) -> None:
            for (over, step, _), w in self.frames.items():
                frame(
                    placed.times, placed.starts, asked.times, asked.starts, over, step, source == "outcome", first, end,
                    self.lo[w], self.hi,
                )  # fmt: skip

        def cut_windows(first: int, end: int) -> None:
            for (_, _, most), w in self.frames.items():
                cut(asked.starts, most, first, end, self.whole, self.lo[w], self.hi)

        each.of([partial(hold_column, column) for column in sorted({step.column for step in self.steps} - {-1})])
        each.of([partial(hold_mask, place) for place in sorted({step.condition for step in self.steps} - {0})])
        each.share(self.starts, find_windows)
        if len(log.event) or bool((limit != SEES_ALL).any()):
            self.seq = log.seq[placed.rows]
            self.event = log.event[placed.rows] if len(log.event) else _NO_EVENTS
            each.share(
                self.starts,
                lambda first, end: seen_whole(
                    self.seq, self.event, self.starts, limit, asked.starts, self.hi, first, end, self.whole
                ),
            )
        if any(most for _, _, most in self.frames):
            each.share(self.starts, cut_windows)


def _window(step: Step) -> tuple[int, int, int]:
    """What steps of one window have in common: its length, the step of its far edge, and the most rows it holds."""
    return step.over_us, step.step_us, step.most


class _Each:
    """Work on several threads. The kernel holds no lock, so that they run side by side."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int) -> None:
        self._pool = pool
        self._threads = threads

    def of(self, work: Sequence[Callable[[], Any]]) -> list[Any]:
        """The results of all, in order."""
        return list(self._pool.map(lambda one: one(), work))

    def share(self, starts: NDArray[np.int64], work: Callable[[int, int], object], shares: int = SHARES) -> None:
        """Call `work(first, end)` on shares of the keys."""
        self.of([partial(work, first, end) for first, end in self.shares(starts, shares)])

    def shares(self, starts: NDArray[np.int64], shares: int = SHARES) -> list[tuple[int, int]]:
        """Ranges of keys with about as many rows each, so many for each thread."""
        keys = len(starts) - 1
        ends = np.searchsorted(starts, np.linspace(0, starts[-1], 1 + shares * self._threads))
        bounds = np.unique([0, *np.minimum(ends[1:-1], keys), keys]).tolist()
        return list(pairwise(bounds))


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
    tables = {None: (contract, events)} | {other.name: (other, table) for other, table in others}
    encoded: dict[str | None, tuple[_Log, _Dictionaries]] = {}
    threads = os.cpu_count() or 1
    results: dict[str, pa.Array] = {}
    with ThreadPoolExecutor(threads) as pool:
        each = _Each(pool, threads)
        for event, (of, of_event) in tables.items():
            read = [plan.reads for plan in plans if plan.other == event]
            if (read or event is None) and of.time is not None:
                strings = _Dictionaries()
                encoded[event] = _event_log(of, of.time, of_event, frozenset().union(*read), strings, each), strings
        event_log, strings = encoded[None]
        outcome_log, outcome_rows = _outcome_log(contract, label, events, outcomes, event_log, strings)
        at = table.instants(requests, contract.time, "requests")
        limit = table.limits(requests)
        for plan in plans:
            kinds = {field.name: str(field.kind) for field in contract.fields}
            history, strings = encoded[plan.other]
            keyed = [tables[plan.other][1], requests]
            (event_key, request_key), count = table.keys(keyed, plan.by, ["events", "requests"], kinds)
            asked = _Placed(request_key, at, _NO_EVENTS, count, each)
            sorted_limit = limit[asked.rows]
            logs: dict[Source, tuple[_Log, NDArray[np.int32]]] = {
                "event": (history, history.in_time(event_key, count, plan.lateness_us))
            }
            if any(step.source == "outcome" for step in plan.steps):
                logs["outcome"] = (outcome_log, event_key[outcome_rows])
            for source, (log, key) in logs.items():
                placed = _Placed(key, log.times, log.order, count, each)
                rows = _Sorted(log, placed, plan, source, asked, sorted_limit, strings, each)
                del placed
                for step, answer in _run(plan, rows, requests, asked, sorted_limit, len(at), each):
                    results[step.name] = _arrow(step, answer, strings)
    return pa.table({name: results[name] for name in names})


def _run(
    plan: Plan, rows: _Sorted, requests: pa.Table, asked: _Placed, limit: NDArray[np.int64], count: int, each: _Each
) -> list[tuple[Step, NDArray[np.float64]]]:
    """The answers of one source's steps, in order of the requests."""
    from modelwright.features.kernel.dispatch import take_from
    from modelwright.features.kernel.links import distincts
    from modelwright.features.kernel.peaks import peaks
    from modelwright.features.kernel.place import scatter
    from modelwright.features.kernel.prefix import counts, totals
    from modelwright.features.kernel.sweep import sweep
    from modelwright.features.kernel.window import per_second

    families: dict[str, Any] = {
        "count": counts, "rate": counts, "sum": totals, "mean": totals, "std": totals, "min": peaks, "max": peaks,
        "count_distinct": distincts, "distinct_ratio": distincts,
    }  # fmt: skip
    groups: dict[tuple[Any, ...], list[Step]] = {}
    for step in sorted(rows.steps, key=_window):
        operation = OPERATIONS[step.operation]
        family = families.get(operation)
        if family is None or (family is totals and rows.units[step.column] < 0):
            groups[None, step.name] = [step]
        else:
            apart = operation if family is peaks else ""
            groups.setdefault((family, apart, step.column, step.condition), []).append(step)

    out = np.empty((len(rows.steps), len(asked.rows)))
    shares = each.shares(rows.starts)
    all_whole = bool(rows.whole.all())
    work: list[Callable[[], Any]] = []
    answered = 0
    for (family, *_), steps in groups.items():
        values, mask = rows.columns[steps[0].column], rows.masks[steps[0].condition]
        answers = out[answered : answered + len(steps)]
        answered += len(steps)
        if family is not None:
            operations = np.array([step.operation for step in steps])
            windows = np.array([rows.frames[_window(step)] for step in steps])
            parameters = np.array([step.parameter for step in steps])
            work += [
                partial(
                    family, operations, windows, parameters, values, mask, rows.units[steps[0].column], rows.starts,
                    asked.starts, first, end, rows.whole, rows.lo, rows.hi, answers,
                )
                for first, end in shares
            ]  # fmt: skip
            if all_whole:
                continue
        work += [
            partial(
                sweep, step.operation, step.parameter, step.most, family is not None, rows.times, values, mask, rows.seq,
                rows.event, rows.starts, asked.times, limit, asked.starts, first, end, rows.whole,
                rows.lo[rows.frames[_window(step)]], rows.hi, answer,
            )
            for step, answer in zip(steps, answers, strict=True) for first, end in shares
        ]  # fmt: skip
    each.of(work)

    def in_order_of_requests(
        step: Step, answer: NDArray[np.float64], result: NDArray[np.float64]
    ) -> tuple[Step, NDArray[np.float64]]:
        if OPERATIONS[step.operation] == "rate":
            per_second(asked.times, step.over_us, step.step_us, answer)
        if step.minus:
            field = plan.asked.fields[step.own]
            own = table.numbers(table.column_of(requests, field.name, "requests"), field.kind, field.name)
            take_from(own[asked.rows], answer)
        result.fill(step.empty)
        scatter(answer, asked.rows, result)
        return step, result

    steps = [step for steps in groups.values() for step in steps]
    results = np.empty((len(steps), count))
    return each.of([partial(in_order_of_requests, *one) for one in zip(steps, out, results, strict=True)])


def _event_log(
    contract: Contract, time: str, events: pa.Table, wanted: frozenset[str], strings: _Dictionaries, each: _Each
) -> _Log:
    columns = [_NO_VALUES] * len(contract.fields)

    def encode(place: int, name: str, kind: str) -> None:
        array = table.column_of(events, name, "events")
        if kind == "str":
            columns[place], texts = table.texts(array, name)
            strings.hold(name, texts)
        else:
            columns[place] = table.numbers(array, kind, name)

    times, *_ = each.of([
        partial(table.instants, events, time, "events"),
        *(
            partial(encode, place, field.name, field.kind)
            for place, field in enumerate(contract.fields) if field.name in wanted
        ),
    ])  # fmt: skip
    sequence = table.sequences(events) if "_seq" in events.column_names else None
    return _Log(times, sequence, table.lives(events), _NO_EVENTS, columns)


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
