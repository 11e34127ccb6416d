"""The online host: features of one request, from its key's rows and running states in memory.

A cache over the log: keys are loaded when first touched, rows appended as the log grows, and everything may be
forgotten at any time. It sees every row appended so far, which is what "as known" means for a live request. It never
writes the log. Answers come from the kernel that offline uses too; a key with many rows keeps its running states, so
that a read costs the rows that entered and left its windows since the last one.

Where there is a history to load from, memory is bounded by the windows: rows that left the longest window are dropped, or
given up for tiles where windows begin at whole steps, and keys that were not touched for long are forgotten. A request or
a row from before what is held has its key loaded again.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from modelwright.core.durations import duration_us
from modelwright.features.encode import KeyReader, RowEncoder, encode_value
from modelwright.features.kernel.operations import OPERATIONS
from modelwright.features.mask import Mask
from modelwright.features.plan import LabelColumn, Plan, Source, Step, plans_by_key
from modelwright.features.rows import EVENT_ROW, NEVER, OUTCOME_ROW, Rows
from modelwright.features.strings import Scoped, Strings
from modelwright.spec.contract import Contract
from modelwright.spec.view import ViewSpec

__all__ = ["EVENT_ROW", "OUTCOME_ROW", "HistorySource", "OnlineHost"]

Key = tuple[object, ...]

FEW: Final = 128
"""A key with no more rows is scanned anew at each read, which costs less than its states would take."""

MOST_KEYS: Final = 200_000
"""Keys of one view held at least; up to twice as many are."""

SLACK_US: Final = duration_us("1h", "slack")
"""Rows are kept for this long beyond the longest window, for requests that come late."""


class EventHistory(Protocol):
    """Where a key's rows of one event come from when it is first touched, or again after `forget`."""

    def load(self, by: tuple[str, ...], key: Key) -> tuple[np.ndarray, np.ndarray]:
        """(events, outcomes) of a key in any order, as `EVENT_ROW` and `OUTCOME_ROW` of the contract's width.

        Every row whose append may have been missed must be there; string values are numbers of the host's `Strings`.
        `key` holds times as microseconds.
        """
        ...


class HistorySource(EventHistory, Protocol):
    """The same for the system's own event, and of the other events that views are over."""

    def of(self, event: str) -> EventHistory:
        """The history of another event, by its name: its rows have no outcomes."""
        ...


_NO_ARENA: Final = np.empty(0, np.int64)
_NO_TILES: Final = np.zeros(1, np.int64)


class _Held:
    """One key's rows and running states, owned by its history. `arena` is empty while the key has few rows."""

    __slots__ = ("arena", "drop_at", "events", "newest_us", "outcomes", "settled", "tiles")

    def __init__(self, events: Rows, outcomes: Rows, drop_at: int) -> None:
        self.events = events
        self.outcomes = outcomes
        self.arena: NDArray[np.int64] = _NO_ARENA
        self.settled: NDArray[np.int64] = _NO_ARENA
        self.tiles: NDArray[np.int64] = _NO_TILES
        self.drop_at = drop_at
        """The number of rows at which to look for some to drop."""
        self.newest_us = NEVER
        """The time of the newest event, kept where late ones do not count."""

    def rows(self, source: Source) -> Rows:
        return self.events if source == "event" else self.outcomes


class _History:
    """The keys of one plan: loads, appends and answers. Owned by the host."""

    def __init__(
        self, plan: Plan, places: list[int], strings: Strings, source: EventHistory | None, few: int, most_keys: int
    ) -> None:
        from modelwright.features.kernel import single

        self._kernel = single
        self._plan = plan
        self._strings = strings
        self._source = source
        self._few = few
        self._most_keys = most_keys
        self._lateness_us = plan.lateness_us
        self._reader = KeyReader(plan.contract, plan.by)
        self._asked = KeyReader(plan.asked, plan.by)
        self._latest_us = NEVER
        self._young: dict[Key, _Held] = {}
        self._old: dict[Key, _Held] = {}
        self._columns: dict[Source, list[int]] = {
            source: sorted({step.column for step in plan.steps if step.source == source and step.column >= 0})
            for source in plan.masks
        }
        self._windows = {
            source: {(step.over_us, step.step_us, step.most) for step in plan.steps if step.source == source}
            for source in plan.masks
        }
        self._steps = np.array(
            [
                (
                    step.operation, step.over_us, step.step_us, step.most, step.source == "outcome",
                    self._columns[step.source].index(step.column) if step.column >= 0 else -1,
                    step.condition, step.minus, step.own, place,
                )
                for step, place in zip(plan.steps, places, strict=True)
            ],
            np.int64,
        )  # fmt: skip
        self._parameters = np.array([step.parameter for step in plan.steps])
        self._empty = np.array([step.empty for step in plan.steps])
        self._places = np.array(places)
        windowed = [step for step in plan.steps if step.source == "event" and step.over_us]
        self._step_us = plan.step_us if windowed and all(map(_in_tiles, windowed)) else None
        self._worth = 1.0
        """How many bytes of tiles a byte of rows is worth."""
        self._longest_us = max((step.over_us for step in windowed), default=0)
        self._needs_outcomes = any(step.source == "outcome" for step in plan.steps)
        self._shared = single.begun(self._steps, self._parameters)
        nothing = self._nothing().events
        self._tile_bytes = single.tile_of(
            self._steps, self._parameters, nothing.times, nothing.values, nothing.masks, 0, 0, 0
        ).nbytes  # fmt: skip
        self._compile(len(plan.asked.fields), 1 + max(places))

    def _compile(self, width: int, places: int) -> None:
        """Run each kernel once over nothing, so that the first request does not wait for the compiler."""
        held = self._nothing()
        self._ask(held, np.full(width, math.nan), 0, np.empty(places))
        held.arena = self._kernel.begun(self._steps, self._parameters)
        for source in self._plan.masks:
            self._tell_of_row(held, source, 0)
            self._settle(held, source, 0, False)
            self._kernel.begin_anew(self._steps, held.arena, source == "outcome")

    def read(
        self, values: Sequence[object], own: NDArray[np.float64], at_us: int, out: NDArray[np.float64],
        before: int | None,
    ) -> None:  # fmt: skip
        key = self._asked.key(values)
        if key is None:
            out[self._places] = self._empty
            return
        self._latest_us = max(self._latest_us, at_us)
        held = self._held(key)
        events, outcomes = held.events, held.outcomes
        cut = before is not None and (events.highest_seq >= before or outcomes.highest_seq >= before)
        if cut or at_us <= events.wanted_until_us or at_us <= outcomes.wanted_until_us:
            if events.base or outcomes.base:
                held = self._load(key)
            if before is not None:
                held = _Held(held.events.before(before), held.outcomes.before(before), 0)
        elif held.arena is _NO_ARENA and events.n + outcomes.n > self._few:
            held.arena = self._kernel.begun(self._steps, self._parameters)
        self._ask(held, own, at_us, out)

    def _ask(self, held: _Held, own: NDArray[np.float64], at_us: int, out: NDArray[np.float64]) -> None:
        events, outcomes = held.events, held.outcomes
        kept = held.arena is not _NO_ARENA
        arena = self._kernel.answer(
            self._steps, self._parameters, held.arena if kept else self._shared, held.settled, held.tiles,
            kept, at_us, own,
            events.times, events.values, events.masks, events.n, events.base,
            outcomes.times, outcomes.values, outcomes.masks, outcomes.n, outcomes.base,
            outcomes.raw_masks, outcomes.seq, outcomes.following, outcomes.corrected, outcomes.latest_correction,
            out,
        )  # fmt: skip
        if kept:
            held.arena = arena
        else:
            self._shared = arena

    def is_too_late(self, values: Sequence[object], at_us: int) -> bool:
        if self._lateness_us is None:
            return False
        key = self._reader.key(values)
        return key is not None and at_us + self._lateness_us < self._held(key).newest_us

    def append_event(
        self, seq: int, at_us: int, values: Sequence[object], row: NDArray[np.float64], live: bool
    ) -> None:
        key = self._reader.key(values)
        if key is not None:
            self._append_event(key, at_us, seq, row, live)

    def _append_event(self, key: Key, at_us: int, seq: int, row: NDArray[np.float64], live: bool) -> None:
        if self._lateness_us is not None:
            held = self._held(key)
            if live and at_us + self._lateness_us < held.newest_us:
                return
            held.newest_us = max(held.newest_us, at_us)
        self._append(key, "event", at_us, seq, None, row)

    def append_outcome(
        self, seq: int, event_seq: int, known_us: int, values: Sequence[object], row: NDArray[np.float64]
    ) -> None:
        key = self._reader.key(values)
        if key is not None and self._needs_outcomes:
            self._append(key, "outcome", known_us, seq, event_seq, row)

    def _append(
        self, key: Key, source: Source, instant: int, seq: int, event: int | None, row: NDArray[np.float64]
    ) -> None:
        held = self._held(key)
        rows = held.rows(source)
        if rows.base:
            may_correct = event is not None and event <= rows.highest_event and not rows.has_outcome_of(event)
            if instant <= rows.dropped_us or may_correct:
                # It belongs among the rows that were dropped, or may correct one of them: the history knows.
                self._forget(key)
                return
        masks = _row_masks(self._plan.masks[source], row, self._strings)
        corrections = len(rows.corrected)
        number = rows.append(instant, seq, event, row[self._columns[source]], masks)
        if number < 0:
            return
        if held.arena is not _NO_ARENA:
            if len(rows.corrected) > corrections:
                self._kernel.begin_anew(self._steps, held.arena, True)
            elif number < rows.base + rows.n - 1:
                self._tell_of_row(held, source, number)
        if rows.n >= held.drop_at:
            self._bound(held)

    def append_events(
        self, seqs: NDArray[np.int64], times: NDArray[np.int64], values: Sequence[Sequence[object]],
        rows: NDArray[np.float64], live: bool,
    ) -> None:  # fmt: skip
        masks = _masks(self._plan.masks["event"], rows.T, self._strings)
        packed = rows[:, self._columns["event"]]
        numbers: dict[Key, list[int]] = {}
        for number, event in enumerate(values):
            key = self._reader.key(event)
            if key is not None:
                numbers.setdefault(key, []).append(number)
        for key, of_key in numbers.items():
            held = self._held(key)
            earliest = int(times[of_key].min())
            late = held.events.base and earliest <= held.events.dropped_us
            late = late or (self._lateness_us is not None and earliest + self._lateness_us < held.newest_us)
            if late or not held.events.extend(times[of_key], seqs[of_key], packed[of_key], masks[:, of_key]):
                for number in of_key:
                    self._append_event(key, int(times[number]), int(seqs[number]), rows[number], live)
                continue
            held.newest_us = max(held.newest_us, int(times[of_key[-1]]))
            if held.events.n >= held.drop_at:
                self._bound(held)

    def forget(self) -> None:
        self._young.clear()
        self._old.clear()

    def _forget(self, key: Key) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)

    def _held(self, key: Key) -> _Held:
        held = self._young.get(key)
        if held is None:
            held = self._old.pop(key, None)
            if held is None:
                held = self._load(key)
                self._bound(held)
            if self._source is not None and len(self._young) >= self._most_keys:
                self._old, self._young = self._young, {}
            self._young[key] = held
        return held

    def _load(self, key: Key) -> _Held:
        """All rows of a key from its history."""
        held = self._nothing()
        if self._source is not None:
            events, outcomes = self._source.load(self._plan.by, key)
            if self._lateness_us is not None and len(events):
                events = _in_time(events, self._lateness_us)
                held.newest_us = int(events["at"].max())
            if len(events):
                values = events["values"]
                masks = _masks(self._plan.masks["event"], values.T, self._strings)
                columns = self._columns["event"]
                none = np.full(len(events), -1, np.int64)
                held.events.fill(events["at"], events["seq"], none, values[:, columns], masks)
            if self._needs_outcomes and len(outcomes):
                values = outcomes["values"]
                masks = _masks(self._plan.masks["outcome"], values.T, self._strings)
                columns = self._columns["outcome"]
                held.outcomes.fill(outcomes["known"], outcomes["seq"], outcomes["event_seq"], values[:, columns], masks)
        return held

    def _nothing(self) -> _Held:
        events, outcomes = (
            Rows(len(self._columns[source]), 1 + len(self._plan.masks[source])) for source in ("event", "outcome")
        )
        return _Held(events, outcomes, 2 * self._few)

    def _bound(self, held: _Held) -> None:
        """Drop the rows that no request of now reads, where they are worth it and could be loaded again."""
        if self._source is None:
            return
        newest = max((int(rows.times[rows.n - 1]) for rows in (held.events, held.outcomes) if rows.n), default=0)
        if self._latest_us > NEVER:
            newest = min(newest, self._latest_us)  # a row dated in the future moves no window
        for source in self._windows:
            rows = held.rows(source)
            if source == "event" and self._fold(held, newest - SLACK_US):
                continue
            count = rows.droppable(self._unread(source, rows, newest - SLACK_US)) if rows.n > self._few else 0
            if count > self._few and 2 * count >= rows.n:
                wanted_until_us = self._wanted_until(source, rows, count)
                self._settle(held, source, count, False)
                rows.drop(count, wanted_until_us)
                if source == "event":
                    held.tiles = _NO_TILES  # they are older still
        most = max(held.events.n, held.outcomes.n)
        held.drop_at = max(most + most // 4, 2 * self._few)

    def _unread(self, source: Source, rows: Rows, now_us: int) -> int:
        """How many rows from the front no request at or after an instant reads, but for aggregates over all history."""
        past = count = rows.count_before(now_us)
        for over, step, most in self._windows[source]:
            if over:
                edge = now_us - over
                left = rows.count_before(edge - edge % step if step else edge)
                count = min(count, max(left, past - most) if most and source == "event" else left)
        return count

    def _wanted_until(self, source: Source, rows: Rows, count: int) -> int:
        """The last instant at which a request would read one of the first rows. Of outcomes some may be corrected, so
        the newest `most` reach back to no certain row."""
        last = NEVER
        dropped = int(rows.times[count - 1])
        for over, step, most in self._windows[source]:
            until = (dropped // step + 1) * step - 1 + over if step else dropped + over
            if most and source == "event" and count + most <= rows.n:
                until = min(until, int(rows.times[count + most - 1]))
            last = max(last, until)
        return last

    def _fold(self, held: _Held, now_us: int) -> bool:
        """Give the rows of whole steps before an instant up for tiles; False, and nothing done, where they are no less."""
        if self._step_us is None:
            return False
        rows, step = held.events, self._step_us
        until = now_us - now_us % step
        count = rows.count_before(until)
        starts = rows.times[:count] - rows.times[:count] % step
        firsts = np.flatnonzero(np.diff(starts, prepend=starts[:1] - 1))
        row_bytes = 24 + 8 * len(rows.values) + len(rows.masks)
        if (
            count <= self._few
            or 2 * count < rows.n
            or self._worth * count * row_bytes <= self._tile_bytes * len(firsts)
        ):
            return False
        made = [
            self._kernel.tile_of(
                self._steps, self._parameters, rows.times, rows.values, rows.masks, rows.base, rows.base + int(first),
                rows.base + int(last),
            )
            for first, last in itertools.pairwise([*firsts, count])
        ]  # fmt: skip
        if self._worth * count * row_bytes <= sum(arena.nbytes for arena in made):
            return False
        entries = [
            *_entries(held.tiles),
            *zip(starts[firsts].tolist(), (rows.base + firsts).tolist(), made, strict=True),
        ]
        edge = now_us - self._longest_us
        kept = [entry for entry in entries if entry[0] >= edge - edge % step]
        wanted_until_us = until - 1
        if len(kept) < len(entries):
            gone = entries[len(entries) - len(kept) - 1][0]
            wanted_until_us = max(wanted_until_us, gone + step - 1 + self._longest_us)
        self._settle(held, "event", count, True)
        rows.drop(count, wanted_until_us)
        held.tiles = _together(kept)
        return True

    def _settle(self, held: _Held, source: Source, count: int, in_tiles: bool) -> None:
        """Make the states independent of the first rows."""
        if held.arena is _NO_ARENA:
            held.arena = self._kernel.begun(self._steps, self._parameters)
        if held.settled is _NO_ARENA:
            held.settled = self._kernel.begun(self._steps, self._parameters)
        rows = held.rows(source)
        held.arena, held.settled = self._kernel.settle(
            self._steps, self._parameters, held.arena, held.settled, source == "outcome", rows.times, rows.values,
            rows.masks, rows.base, rows.base + count, in_tiles,
        )  # fmt: skip

    def _tell_of_row(self, held: _Held, source: Source, number: int) -> None:
        rows = held.rows(source)
        held.arena = self._kernel.inserted(
            self._steps, self._parameters, held.arena, source == "outcome", rows.times, rows.values, rows.masks,
            rows.base, number,
        )  # fmt: skip


class OnlineHost:
    """Features of one request at a time, in microseconds.

    `views` and `label` are compiled once (`DeclarationError` names a feature that cannot be); `others` are the contracts
    of the other events that views are over, by whose names their rows are appended. `strings` is the
    dictionary the log's rows were encoded with. Without `history` a key begins empty, only what is appended counts, and
    nothing is dropped. `few` and `most_keys` weigh memory against time: see `FEW` and `MOST_KEYS`. One thread at a time.
    """

    def __init__(
        self,
        views: Sequence[ViewSpec],
        contract: Contract,
        label: LabelColumn | None,
        strings: Strings,
        history: HistorySource | None = None,
        others: Iterable[Contract] = (),
        *,
        few: int = FEW,
        most_keys: int = MOST_KEYS,
    ) -> None:
        plans, self.names = plans_by_key(views, contract, label, others)
        kinds = {name: kind for plan in plans for name, kind in zip(plan.names, plan.output_kinds, strict=True)}
        scopes = {plan.other: Scoped(strings, plan.other) if plan.other else strings for plan in plans}
        texts = {step.name: (step.text_column, scopes[plan.other]) for plan in plans for step in plan.steps}
        self.output_kinds: tuple[str, ...] = tuple(kinds[name] for name in self.names)
        self._not_float = [
            (place, *texts[name])
            for place, (name, kind) in enumerate(zip(self.names, self.output_kinds, strict=True))
            if kind == "int" or texts[name][0] is not None
        ]
        self._contract = contract
        self._label = label
        self._strings = strings
        changes = [step.own for plan in plans for step in plan.steps if step.minus]
        self._own_columns = [(column, contract.fields[column]) for column in sorted(set(changes))]
        self._own = np.full(len(contract.fields), math.nan)
        self._histories = []
        self._of_event: dict[str | None, tuple[RowEncoder, list[_History]]] = {
            event: (RowEncoder(of, scopes.get(event, strings), _reads(plans, event)), [])
            for event, of in [(None, contract), *((plan.other, plan.contract) for plan in plans if plan.other)]
        }
        for plan in plans:
            places = [self.names.index(name) for name in plan.names]
            source = history.of(plan.other) if history is not None and plan.other else history
            made = _History(plan, places, scopes[plan.other], source, few, most_keys)
            self._histories.append(made)
            self._of_event[plan.other][1].append(made)

    def read(
        self, values: Sequence[object], at_us: int, *, before: int | None = None
    ) -> list[float | int | str | None]:
        """One value a feature, in the order of `names`, for a request with these values (contract order) at `at_us`.

        It sees every row appended so far, or those with a sequence number lower than `before`. Counts are int; missing
        is NaN for numbers and None for strings.
        """
        out = np.empty(len(self.names))
        self.read_into(values, at_us, out, before=before)
        found: list[Any] = out.tolist()
        for place, text, strings in self._not_float:
            found[place] = _value(found[place], text, strings)
        return found

    def read_into(
        self, values: Sequence[object], at_us: int, out: NDArray[np.float64], *, before: int | None = None
    ) -> None:
        """The same into a float64 array, strings as their numbers: nothing is allocated a feature."""
        own = self._own
        for column, field in self._own_columns:
            own[column] = encode_value(field.kind, field.name, values[column], self._strings)
        for history in self._histories:
            history.read(values, own, at_us, out, before)

    def is_too_late(self, values: Sequence[object], at_us: int, other: str | None = None) -> bool:
        """Whether a live event with these values, or a row of the `other` event, appended now, would be too late to count in
        one of the views."""
        if other is not None and other not in self._of_event:
            return False
        return any(history.is_too_late(values, at_us) for history in self._of_event[other][1])

    def append_event(
        self, seq: int, at_us: int, values: Sequence[object], other: str | None = None, *, live: bool = True
    ) -> None:
        """Add an event of sequence number `seq`, above those of all events before it, or a row of the `other` event of that
        name; one that is held already is passed over, as is one that no view is over. `live` is False for a row of a
        history file, which is never too late.
        """
        if other is not None and other not in self._of_event:
            return
        encoder, histories = self._of_event[other]
        row = encoder.encode(values)
        for history in histories:
            history.append_event(seq, at_us, values, row, live)

    def append_events(self, events: Sequence[tuple[int, int, Sequence[object]]], *, live: bool = True) -> None:
        """Add many events, each as `append_event` takes it: (sequence number, instant, values)."""
        if not events:
            return
        seqs, times, values = zip(*events, strict=True)
        encoder, histories = self._of_event[None]
        rows = np.array([encoder.encode(event) for event in values])
        for history in histories:
            history.append_events(np.array(seqs, np.int64), np.array(times, np.int64), values, rows, live)

    def append_outcome(
        self, seq: int, event_seq: int, known_us: int, outcome: object, event_values: Sequence[object]
    ) -> None:
        """Add the outcome of the event `event_seq`, known at `known_us`; a second one for an event corrects the first."""
        label = math.nan
        if self._label is not None:
            label = encode_value(self._label.kind, self._label.name, outcome, self._strings)
        encoder, histories = self._of_event[None]
        row = np.append(encoder.encode(event_values), label)
        for history in histories:
            history.append_outcome(seq, event_seq, known_us, event_values, row)

    def forget(self) -> None:
        """Drop every row; the next touch of a key loads it from its history."""
        for history in self._histories:
            history.forget()


def _reads(plans: Sequence[Plan], event: str | None) -> frozenset[str]:
    """The columns that any view over an event reads."""
    return frozenset().union(*(plan.reads for plan in plans if plan.other == event))


def _value(number: float, text: str | None, strings: Strings) -> int | str | None:
    if text is None:
        return int(number)
    return None if math.isnan(number) else strings.text_of(text, int(number))


_EVERY_ROW: Final = np.ones(1, np.uint8)


def _in_tiles(step: Step) -> bool:
    """Whether a tile can stand for the rows of a windowed step; of a decayed mean it cannot."""
    return step.most == 0 and OPERATIONS[step.operation] != "ewm"


def _entries(tiles: NDArray[np.int64]) -> list[tuple[int, int, NDArray[np.int64]]]:
    """(first instant, number of the first row, arena) of each tile."""
    directory = tiles[1 : 1 + 3 * int(tiles[0])].reshape(-1, 3).tolist()
    bounds = itertools.pairwise([*(start for _, _, start in directory), len(tiles)])
    return [(at, row, tiles[start:end]) for (at, row, _), (start, end) in zip(directory, bounds, strict=True)]


def _together(entries: Sequence[tuple[int, int, NDArray[np.int64]]]) -> NDArray[np.int64]:
    """The tiles in one array, as the kernel takes them."""
    head = np.zeros(1 + 3 * len(entries), np.int64)
    head[0] = len(entries)
    place = len(head)
    for number, (at, row, arena) in enumerate(entries):
        head[1 + 3 * number : 4 + 3 * number] = at, row, place
        place += len(arena)
    return np.concatenate([head, *(arena for _, _, arena in entries)])


def _in_time(events: NDArray[Any], lateness_us: int) -> NDArray[Any]:
    """A key's events without those that came too late."""
    from modelwright.features.kernel.visible import too_late

    at, live = np.ascontiguousarray(events["at"]), np.ascontiguousarray(events["live"]).view(np.uint8)
    late = too_late(at, live, np.zeros(len(at), np.int64), 1, np.argsort(events["seq"], kind="stable"), lateness_us)
    return np.asarray(events[late == 0])


def _row_masks(conditions: Sequence[Mask], row: NDArray[np.float64], strings: Strings) -> NDArray[np.uint8]:
    return _masks(conditions, row.reshape(-1, 1), strings)[:, 0] if conditions else _EVERY_ROW


def _masks(conditions: Sequence[Mask], columns: Any, strings: Strings) -> NDArray[np.uint8]:
    """(1 + conditions, rows): every row, then each condition's."""
    masks = np.ones((1 + len(conditions), columns.shape[1]), np.uint8)
    for i, condition in enumerate(conditions):
        masks[i + 1] = condition.evaluate(columns, strings)
    return masks
