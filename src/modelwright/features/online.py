"""The online host: features of one request, from its key's rows in memory.

A cache over the log: keys are loaded when first touched, rows appended as the log grows, and everything may be
forgotten at any time. It sees every row appended so far, which is what "as known" means for a live request. It never
writes the log and keeps no aggregate of its own: each answer is computed from rows by the kernel offline uses too.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelwright.features.encode import KeyReader, RowEncoder, encode_value
from modelwright.features.mask import Mask
from modelwright.features.plan import LabelColumn, Plan, plans_by_key
from modelwright.features.rows import EVENT_ROW, OUTCOME_ROW, Rows
from modelwright.features.strings import Strings
from modelwright.spec.contract import Contract
from modelwright.spec.view import ViewSpec

__all__ = ["EVENT_ROW", "OUTCOME_ROW", "HistorySource", "OnlineHost"]

Key = tuple[object, ...]


class HistorySource(Protocol):
    """Where a key's rows come from when it is first touched, or again after `forget`."""

    def load(self, by: tuple[str, ...], key: Key) -> tuple[np.ndarray, np.ndarray]:
        """(events, outcomes) of a key in any order, as `EVENT_ROW` and `OUTCOME_ROW` of the contract's width.

        Every row whose append may have been missed must be there; string values are numbers of the host's `Strings`.
        `key` holds times as microseconds.
        """
        ...


class _History:
    """The keys of one plan: loads, appends and answers. Owned by the host."""

    def __init__(self, plan: Plan, places: list[int], strings: Strings, source: HistorySource | None) -> None:
        from modelwright.features.kernel.single import answer

        self._answer = answer
        self._plan = plan
        self._strings = strings
        self._source = source
        self._reader = KeyReader(plan.contract, plan.by)
        self._width = len(plan.contract.fields)
        self._keys: dict[Key, tuple[Rows, Rows]] = {}
        self.steps = np.array(
            [
                (step.operation, step.k, step.over_us, step.source == "outcome", step.column, step.condition, place)
                for step, place in zip(plan.steps, places, strict=True)
            ],
            np.int64,
        )
        self._empty = np.array([step.empty for step in plan.steps])
        self._places = np.array(places)
        self._needs_outcomes = any(step.source == "outcome" for step in plan.steps)
        # Asked once of nothing, so that the first request does not wait for the compiler.
        self._ask(*self._no_rows(), np.full(self._width, math.nan), 0, np.empty(1 + max(places)))

    def read(
        self,
        values: Sequence[object],
        own: NDArray[np.float64],
        at_us: int,
        out: NDArray[np.float64],
        before: int | None,
    ) -> None:
        key = self._reader.key(values)
        if key is None:
            out[self._places] = self._empty
            return
        events, outcomes = self._rows(key)
        if before is not None:
            events, outcomes = events.before(before), outcomes.before(before)
        self._ask(events, outcomes, own, at_us, out)

    def _ask(
        self, events: Rows, outcomes: Rows, own: NDArray[np.float64], at_us: int, out: NDArray[np.float64]
    ) -> None:
        self._answer(
            self.steps, at_us, own,
            events.times, events.values, events.masks, events.n,
            outcomes.times, outcomes.values, outcomes.masks, outcomes.n,
            outcomes.seq, outcomes.following, outcomes.corrected,
            out,
        )  # fmt: skip

    def append_event(self, seq: int, at_us: int, values: Sequence[object], row: NDArray[np.float64]) -> None:
        key = self._reader.key(values)
        if key is not None:
            masks = _row_masks(self._plan.masks["event"], row, self._strings)
            self._rows(key)[0].append(at_us, seq, None, row, masks)

    def append_outcome(
        self, seq: int, event_seq: int, known_us: int, values: Sequence[object], row: NDArray[np.float64]
    ) -> None:
        key = self._reader.key(values)
        if key is not None and self._needs_outcomes:
            masks = _row_masks(self._plan.masks["outcome"], row, self._strings)
            self._rows(key)[1].append(known_us, seq, event_seq, row, masks)

    def forget(self) -> None:
        self._keys.clear()

    def _rows(self, key: Key) -> tuple[Rows, Rows]:
        held = self._keys.get(key)
        if held is None:
            held = self._no_rows()
            if self._source is not None:
                events, outcomes = self._source.load(self._plan.by, key)
                values = events["values"]
                masks = _masks(self._plan.masks["event"], values.T, self._strings)
                held[0].fill(events["at"], events["seq"], np.full(len(events), -1, np.int64), values, masks)
                if self._needs_outcomes:
                    values = outcomes["values"]
                    masks = _masks(self._plan.masks["outcome"], values.T, self._strings)
                    held[1].fill(outcomes["known"], outcomes["seq"], outcomes["event_seq"], values, masks)
            self._keys[key] = held
        return held

    def _no_rows(self) -> tuple[Rows, Rows]:
        return (
            Rows(self._width, 1 + len(self._plan.masks["event"])),
            Rows(self._width + 1, 1 + len(self._plan.masks["outcome"])),
        )


class OnlineHost:
    """Features of one request at a time, in microseconds.

    `views` and `label` are compiled once (`DeclarationError` names a feature that cannot be). `strings` is the
    dictionary the log's rows were encoded with. Without `history` a key begins empty and only what is appended counts.
    One thread at a time.
    """

    def __init__(
        self,
        views: Sequence[ViewSpec],
        contract: Contract,
        label: LabelColumn | None,
        strings: Strings,
        history: HistorySource | None = None,
    ) -> None:
        plans, self.names = plans_by_key(views, contract, label)
        kinds = {name: kind for plan in plans for name, kind in zip(plan.names, plan.output_kinds, strict=True)}
        texts = {step.name: step.text_column for plan in plans for step in plan.steps}
        self.output_kinds: tuple[str, ...] = tuple(kinds[name] for name in self.names)
        self._not_float = [
            (place, texts[name])
            for place, (name, kind) in enumerate(zip(self.names, self.output_kinds, strict=True))
            if kind == "int" or texts[name] is not None
        ]
        self._contract = contract
        self._label = label
        self._strings = strings
        read = frozenset().union(*(plan.reads for plan in plans)) if plans else frozenset()
        self._encoder = RowEncoder(contract, strings, read)
        changes = [step.column for plan in plans for step in plan.steps if plan.reads_own(step)]
        self._own_columns = [(column, contract.fields[column]) for column in sorted(set(changes))]
        self._own = np.full(len(contract.fields), math.nan)
        self._histories = [
            _History(plan, [self.names.index(name) for name in plan.names], strings, history) for plan in plans
        ]

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
        for place, text in self._not_float:
            found[place] = self._value(found[place], text)
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

    def append_event(self, seq: int, at_us: int, values: Sequence[object]) -> None:
        """Add an event of sequence number `seq`; one that is held already is passed over."""
        row = self._encoder.encode(values)
        for history in self._histories:
            history.append_event(seq, at_us, values, row)

    def append_outcome(
        self, seq: int, event_seq: int, known_us: int, outcome: object, event_values: Sequence[object]
    ) -> None:
        """Add the outcome of the event `event_seq`, known at `known_us`; a second one for an event corrects the first."""
        label = math.nan
        if self._label is not None:
            label = encode_value(self._label.kind, self._label.name, outcome, self._strings)
        row = np.append(self._encoder.encode(event_values), label)
        for history in self._histories:
            history.append_outcome(seq, event_seq, known_us, event_values, row)

    def forget(self) -> None:
        """Drop every row; the next touch of a key loads it from its history."""
        for history in self._histories:
            history.forget()

    def _value(self, number: float, text: str | None) -> int | str | None:
        if text is None:
            return int(number)
        return None if math.isnan(number) else self._strings.text_of(text, int(number))


_EVERY_ROW = np.ones(1, np.uint8)


def _row_masks(conditions: Sequence[Mask], row: NDArray[np.float64], strings: Strings) -> NDArray[np.uint8]:
    return _masks(conditions, row.reshape(-1, 1), strings)[:, 0] if conditions else _EVERY_ROW


def _masks(conditions: Sequence[Mask], columns: Any, strings: Strings) -> NDArray[np.uint8]:
    """(1 + conditions, rows): every row, then each condition's."""
    masks = np.ones((1 + len(conditions), columns.shape[1]), np.uint8)
    for i, condition in enumerate(conditions):
        masks[i + 1] = condition.evaluate(columns, strings)
    return masks
