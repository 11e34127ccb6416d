"""The keys of one plan in the online host: each is loaded when first touched, appended to, asked, and forgotten again.

A key with many rows keeps its running states, so that a read costs the rows that entered and left its windows since the
last one. Which rows a key gives up is said in `retention`.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from modelwright.features.encode import KeyReader
from modelwright.features.held import NO_ARENA, Held
from modelwright.features.image import kernels
from modelwright.features.mask import Mask
from modelwright.features.plan import Plan, Source
from modelwright.features.retention import Retention
from modelwright.features.rows import NEVER, Rows
from modelwright.features.strings import Strings

Key = tuple[object, ...]


class EventHistory(Protocol):
    """Where a key's rows of one event come from when it is first touched, or again after `forget`."""

    def load(self, by: tuple[str, ...], key: Key) -> tuple[np.ndarray, np.ndarray]:
        """(events, outcomes) of a key in any order, as `EVENT_ROW` and `OUTCOME_ROW` of the contract's width.

        Every row whose append may have been missed must be there; string values are numbers of the host's `Strings`.
        `key` holds times as microseconds.
        """
        ...


class Keys:
    """Rows and states of the keys of one plan, owned by the host. `places` are those of its features in an answer, `source`
    loads a key; without it nothing is dropped or forgotten. `image` holds the kernels as machine code, or is None."""

    def __init__(
        self, plan: Plan, places: list[int], strings: Strings, source: EventHistory | None, few: int, most_keys: int,
        image: bytes | None,
    ) -> None:  # fmt: skip
        self._kernel = kernels(image)
        self._plan = plan
        self._strings = strings
        self._source = source
        self._few = few
        self._most_keys = most_keys
        self._lateness_us = plan.lateness_us
        self._reader = KeyReader(plan.contract, plan.by)
        self._asked = KeyReader(plan.asked, plan.by)
        self._latest_us = NEVER
        self._young: dict[Key, Held] = {}
        self._old: dict[Key, Held] = {}
        self._columns: dict[Source, list[int]] = {
            source: sorted({step.column for step in plan.steps if step.source == source and step.column >= 0})
            for source in plan.masks
        }
        self._taken = {source: np.array(columns, np.intp) for source, columns in self._columns.items()}
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
        self._worth = 1.0
        """How many bytes of tiles a byte of rows is worth."""
        self._needs_outcomes = any(step.source == "outcome" for step in plan.steps)
        self._shared = self._kernel.begun(self._steps, self._parameters)
        self._retention = Retention(plan, self._kernel, self._steps, self._parameters, self._nothing().events, few)
        self._compile(len(plan.asked.fields), 1 + max(places))

    def _compile(self, width: int, places: int) -> None:
        """Run each kernel once over nothing, so that the first request does not wait for the compiler."""
        held = self._nothing()
        self._ask(held, np.full(width, math.nan), 0, np.empty(places))
        held.arena = self._kernel.begun(self._steps, self._parameters)
        for source in self._plan.masks:
            self._tell_of_row(held, source, 0)
            self._retention.settle(held, source, 0, False)
            self._kernel.begin_anew(self._steps, held.arena, source == "outcome")

    def read(
        self, values: Sequence[object], own: NDArray[np.float64], at_us: int, out: NDArray[np.float64],
        before: int | None,
    ) -> None:  # fmt: skip
        """Answer a request into its places of `out`, as of the rows appended so far or those of a number below `before`."""
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
                held = Held(held.events.before(before), held.outcomes.before(before), 0)
        elif held.arena is NO_ARENA and events.n + outcomes.n > self._few:
            held.arena = self._kernel.begun(self._steps, self._parameters)
        self._ask(held, own, at_us, out)

    def _ask(self, held: Held, own: NDArray[np.float64], at_us: int, out: NDArray[np.float64]) -> None:
        events, outcomes = held.events, held.outcomes
        kept = held.arena is not NO_ARENA
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

    @property
    def is_strict(self) -> bool:
        """Whether late rows do not count."""
        return self._lateness_us is not None

    def is_too_late(self, values: Sequence[object], at_us: int) -> bool:
        """Whether a live row of these values, appended now, would not count."""
        if self._lateness_us is None:
            return False
        key = self._reader.key(values)
        return key is not None and at_us + self._lateness_us < self._held(key).newest_us

    def append_event(
        self, seq: int, at_us: int, values: Sequence[object], row: NDArray[np.float64], live: bool
    ) -> None:
        """Add an event: `values` tell its key, `row` is encoded."""
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
        """Add an outcome: `values` are its event's, `row` is encoded with the label last."""
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
        number = rows.append(instant, seq, event, row[self._taken[source]], masks)
        if number < 0:
            return
        if held.arena is not NO_ARENA:
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
        """Add many events, the rows of a key at once where none is late."""
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
        """Drop every key."""
        self._young.clear()
        self._old.clear()

    def _forget(self, key: Key) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)

    def _held(self, key: Key) -> Held:
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

    def _load(self, key: Key) -> Held:
        """All rows of a key from its history."""
        held = self._nothing()
        if self._source is not None:
            events, outcomes = self._source.load(self._plan.by, key)
            if self._lateness_us is not None and len(events):
                events = self._in_time(events, self._lateness_us)
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

    def _nothing(self) -> Held:
        events, outcomes = (
            Rows(len(self._columns[source]), 1 + len(self._plan.masks[source])) for source in ("event", "outcome")
        )
        return Held(events, outcomes, 2 * self._few)

    def _bound(self, held: Held) -> None:
        """Drop the rows that no request of now reads, where they are worth it and could be loaded again."""
        if self._source is None:
            return
        newest = max((int(rows.times[rows.n - 1]) for rows in (held.events, held.outcomes) if rows.n), default=0)
        if self._latest_us > NEVER:
            newest = min(newest, self._latest_us)  # a row dated in the future moves no window
        self._retention.bound(held, newest, self._worth)

    def _in_time(self, events: NDArray[Any], lateness_us: int) -> NDArray[Any]:
        """A key's events without those that came too late."""
        at, live = np.ascontiguousarray(events["at"]), np.ascontiguousarray(events["live"]).view(np.uint8)
        order = np.argsort(events["seq"], kind="stable")
        late = self._kernel.too_late(at, live, np.zeros(len(at), np.int64), 1, order, lateness_us)
        return np.asarray(events[late == 0])

    def _tell_of_row(self, held: Held, source: Source, number: int) -> None:
        rows = held.rows(source)
        held.arena = self._kernel.inserted(
            self._steps, self._parameters, held.arena, source == "outcome", rows.times, rows.values, rows.masks,
            rows.base, number,
        )  # fmt: skip


_EVERY_ROW: Final = np.ones(1, np.uint8)


def _row_masks(conditions: Sequence[Mask], row: NDArray[np.float64], strings: Strings) -> NDArray[np.uint8]:
    return _masks(conditions, row.reshape(-1, 1), strings)[:, 0] if conditions else _EVERY_ROW


def _masks(conditions: Sequence[Mask], columns: Any, strings: Strings) -> NDArray[np.uint8]:
    """(1 + conditions, rows): every row, then each condition's."""
    masks = np.ones((1 + len(conditions), columns.shape[1]), np.uint8)
    for i, condition in enumerate(conditions):
        masks[i + 1] = condition.evaluate(columns, strings)
    return masks
