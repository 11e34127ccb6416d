"""The online host: features of one request, from its key's rows and running states in memory.

A cache over the log: keys are loaded when first touched, rows appended as the log grows, and everything may be
forgotten at any time. It sees every row appended so far, which is what "as known" means for a live request. It never
writes the log. Answers come from the kernel that offline uses too. The keys of each plan are held in `keys`.

Where there is a history to load from, memory is bounded by the windows: rows that left the longest window are dropped, or
given up for tiles where windows begin at whole steps, and keys that were not touched for long are forgotten. A request or
a row from before what is held has its key loaded again.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from modelwright.features.encode import RowEncoder, encode_value
from modelwright.features.keys import EventHistory, Keys
from modelwright.features.plan import LabelColumn, Plan, plans_by_key
from modelwright.features.rows import EVENT_ROW, OUTCOME_ROW
from modelwright.features.strings import Scoped, Strings
from modelwright.spec.contract import Contract
from modelwright.spec.view import ViewSpec

__all__ = ["EVENT_ROW", "OUTCOME_ROW", "HistorySource", "OnlineHost"]

FEW: Final = 128
"""A key with no more rows is scanned anew at each read, which costs less than its states would take."""

MOST_KEYS: Final = 200_000
"""Keys of one view held at least; up to twice as many are."""


class HistorySource(EventHistory, Protocol):
    """The same for the system's own event, and of the other events that views are over."""

    def of(self, event: str) -> EventHistory:
        """The history of another event, by its name: its rows have no outcomes."""
        ...


class OnlineHost:
    """Features of one request at a time, in microseconds.

    `views` and `label` are compiled once (`DeclarationError` names a feature that cannot be); `others` are the contracts
    of the other events that views are over, by whose names their rows are appended. `strings` is the
    dictionary the log's rows were encoded with. Without `history` a key begins empty, only what is appended counts, and
    nothing is dropped. `few` and `most_keys` weigh memory against time: see `FEW` and `MOST_KEYS`. `image` holds the kernels
    as machine code, such as a release brings along; without one that fits here, numba compiles them. One thread at a time.
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
        image: bytes | None = None,
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
        self._of_event: dict[str | None, tuple[RowEncoder, list[Keys]]] = {
            event: (RowEncoder(of, scopes.get(event, strings), _reads(plans, event)), [])
            for event, of in [(None, contract), *((plan.other, plan.contract) for plan in plans if plan.other)]
        }
        for plan in plans:
            places = [self.names.index(name) for name in plan.names]
            source = history.of(plan.other) if history is not None and plan.other else history
            made = Keys(plan, places, scopes[plan.other], source, few, most_keys, image)
            self._histories.append(made)
            self._of_event[plan.other][1].append(made)
        self._strict = {
            event: [history for history in histories if history.is_strict]
            for event, (_, histories) in self._of_event.items()
        }

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
        strict = self._strict.get(other, ())
        return bool(strict) and any(history.is_too_late(values, at_us) for history in strict)

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
