"""The offline host: features of many requests at once, from whole tables.

For training sets, batch scoring, parity checks and rehearsals. Rows are sorted once for each key of the views, and each
request's windows found once; then the kernel sweeps shares of the keys on a pool of threads, aggregates of one column
together. Reads nothing but its arguments.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelwright.core.errors import DataError
from modelwright.features import table
from modelwright.features.encoded import NO_EVENTS, NO_VALUES, Dictionaries, SourceLog, encoded_events, encoded_outcomes
from modelwright.features.kernel.operations import OPERATIONS, SEES_ALL
from modelwright.features.plan import LabelColumn, Plan, Source, Step, plans_by_key
from modelwright.features.shares import Each
from modelwright.spec.contract import Contract
from modelwright.spec.view import ViewSpec

Others = Sequence[tuple[Contract, pa.Table]]
"""Other events than the system's own, each with its rows."""
MOST_ROWS: Final = 2**31
"""Row numbers have 32 bits."""


class _Placed:
    """Rows or requests sorted by key and time: their numbers, their times, and where each key starts."""

    def __init__(
        self, key: NDArray[np.int32], times: NDArray[np.int64], order: NDArray[np.int64], keys: int, each: Each
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
        self, log: SourceLog, placed: _Placed, plan: Plan, source: Source, asked: _Placed, limit: NDArray[np.int64],
        strings: Any, each: Each,
    ) -> None:  # fmt: skip
        from modelwright.features.kernel.place import gather, gather_marks
        from modelwright.features.kernel.prefix import MOST_ROWS, lowest_unit
        from modelwright.features.kernel.sweep import cut, frame, seen_whole

        self.steps = [step for step in plan.steps if step.source == source]
        self.starts, self.times = placed.starts, placed.times
        self.columns: dict[int, NDArray[np.float64]] = {-1: NO_VALUES}
        self.units: dict[int, int] = {-1: 0}
        self.masks = {0: np.ones(len(placed.rows), np.uint8)}
        self.frames = {window: w for w, window in enumerate(sorted({_window(step) for step in self.steps}))}
        self.lo = np.zeros((len(self.frames), len(asked.rows)), np.int64)
        self.hi = np.zeros(len(asked.rows), np.int64)
        self.whole = np.ones(len(self.starts) - 1, np.uint8)
        self.seq = self.event = NO_EVENTS
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
            self.event = log.event[placed.rows] if len(log.event) else NO_EVENTS
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
    encoded: dict[str | None, tuple[SourceLog, Dictionaries]] = {}
    threads = os.cpu_count() or 1
    results: dict[str, pa.Array] = {}
    with ThreadPoolExecutor(threads) as pool:
        each = Each(pool, threads)
        for event, (of, of_event) in tables.items():
            read = [plan.reads for plan in plans if plan.other == event]
            if (read or event is None) and of.time is not None:
                strings = Dictionaries()
                encoded[event] = encoded_events(of, of.time, of_event, frozenset().union(*read), strings, each), strings
        event_log, strings = encoded[None]
        outcome_log, outcome_rows = encoded_outcomes(contract, label, events, outcomes, event_log, strings)
        at = table.instants(requests, contract.time, "requests")
        limit = table.limits(requests)
        for plan in plans:
            kinds = {field.name: str(field.kind) for field in contract.fields}
            history, strings = encoded[plan.other]
            keyed = [tables[plan.other][1], requests]
            (event_key, request_key), count = table.keys(keyed, plan.by, ["events", "requests"], kinds)
            asked = _Placed(request_key, at, NO_EVENTS, count, each)
            sorted_limit = limit[asked.rows]
            logs: dict[Source, tuple[SourceLog, NDArray[np.int32]]] = {
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
    plan: Plan, rows: _Sorted, requests: pa.Table, asked: _Placed, limit: NDArray[np.int64], count: int, each: Each
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


def _arrow(step: Step, answer: NDArray[np.float64], strings: Dictionaries) -> pa.Array:
    if step.output == "int":
        return pa.array(answer.astype(np.int64))
    if step.output == "str" and step.text_column is not None:
        missing = np.isnan(answer)
        codes = pa.array(np.where(missing, 0, answer).astype(np.int32), mask=missing)
        texts = strings.texts.get(step.text_column, [])
        return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string()))
    return pa.array(answer)
