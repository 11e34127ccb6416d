"""The point-in-time training set: every event with its features as of its own moment, and its outcomes as they became
known.

Features at a row depend on nothing at or after it, so one table serves every training and every rehearsal: what differs
is only which rows and outcomes are known at the time (`Examples.known_at`).
"""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from modelwright.core.errors import TrainingError
from modelwright.features.offline import Others, compute
from modelwright.features.plan import LabelColumn
from modelwright.release.inputs import Coded, Rows
from modelwright.spec.contract import Contract
from modelwright.spec.label import LabelSpec
from modelwright.spec.view import ViewSpec
from modelwright.stats.predictions import Array

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Known:
    """Rows whose outcome is known at some moment: positions in `Examples` in time order, and the outcomes [n]."""

    positions: Array
    outcomes: Array


@dataclass(frozen=True)
class Examples:
    """All events in time order with the model's inputs, and all outcomes in the order they became known.

    `names`: the inputs; `is_text`: which of them are texts; `free`: the columns of free text. `outcome_of` [m] are positions
    of events, `outcome` [m] their outcomes, `known_us` [m] when each became known (nondecreasing); a later one for the same
    event is a correction.
    """

    names: tuple[str, ...]
    is_text: tuple[bool, ...]
    rows: Rows
    ids: Array
    seq: Array
    at_us: Array
    outcome_of: Array
    outcome: Array
    known_us: Array
    free: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.at_us)

    def known_at(self, now_us: int) -> Known:
        """The labelled rows at that moment: events before it whose outcome is known by it, with the latest outcome."""
        upto = int(np.searchsorted(self.known_us, now_us, side="right"))
        latest = np.full(len(self), -1, dtype=np.int64)
        latest[self.outcome_of[:upto]] = np.arange(upto)  # the last assignment wins: corrections
        positions = np.flatnonzero((latest >= 0) & (self.at_us < now_us))
        return Known(positions, self.outcome[latest[positions]])

    def version_of(self, positions: Array) -> str:
        """A hash of those rows' moments and inputs: the version of the data a model was fitted on."""
        digest = hashlib.sha256(np.ascontiguousarray(self.at_us[positions]).tobytes())
        rows = self.rows.take(positions)
        digest.update(rows.numbers.tobytes())
        for column in rows.texts:
            digest.update("\0".join("" if text is None else text for text in column).encode())
        return f"sha256:{digest.hexdigest()[:32]}"

    @cached_property
    def first_known_us(self) -> Array:
        """[n] when the first outcome of each event became known; NEVER where none has."""
        first = np.full(len(self), NEVER, dtype=np.int64)
        first[self.outcome_of[::-1]] = self.known_us[::-1]
        return first


def build_examples(
    events: pa.Table,
    outcomes: pa.Table,
    contract: Contract,
    label: LabelSpec,
    views: Sequence[ViewSpec],
    inputs: Sequence[str],
    others: Others = (),
) -> Examples:
    """Features for every event of the log, by the offline host. Tables as `lake.Log.events()` and `.outcomes()` give;
    `others` are the other events that views are over, with their rows."""
    assert contract.time is not None
    order = np.lexsort((events["_seq"].to_numpy(), events[contract.time].cast(pa.int64()).to_numpy()))
    events = events.take(pa.array(order))
    features = (
        compute(views, contract, LabelColumn(label.name, label.kind), events, events, outcomes, others)
        if views
        else None
    )
    at_us = events[contract.time].cast(pa.int64()).to_numpy()
    position = {int(seq): place for place, seq in enumerate(events["_seq"].to_numpy())}

    by_known = outcomes.take(
        pa.array(np.lexsort((outcomes["_seq"].to_numpy(), outcomes["_known_at"].cast(pa.int64()).to_numpy())))
    )
    of = np.array([position[int(seq)] for seq in by_known["_event_seq"].to_numpy()], dtype=np.int64)
    known_us = by_known["_known_at"].cast(pa.int64()).to_numpy()
    values = np.array(by_known[label.name].to_pylist(), dtype=bool if label.kind == "bool" else object)
    if label.task == "regression":
        values = values.astype(np.float64)
    rows, is_text = input_blocks(events, features, inputs)
    return Examples(
        names=tuple(inputs),
        is_text=is_text,
        rows=rows,
        ids=np.array(events["_id"].to_pylist(), dtype=object),
        seq=events["_seq"].to_numpy(),
        at_us=at_us,
        outcome_of=of,
        outcome=values,
        known_us=known_us,
        free=frozenset(field.name for field in contract.fields if field.text),
    )


def input_blocks(events: pa.Table, features: pa.Table | None, inputs: Sequence[str]) -> tuple[Rows, tuple[bool, ...]]:
    """The columns a model sees as one block of rows, and which of them are texts."""
    numbers: list[Array] = []
    texts: list[Sequence[str | None]] = []
    is_text: list[bool] = []
    for name in inputs:
        column = (events if features is None or name not in features.column_names else features)[name]
        kind = column.type
        text = pa.types.is_string(kind) or pa.types.is_dictionary(kind)
        is_text.append(text)
        if text:
            texts.append(_as_coded(column))
        else:
            numbers.append(_as_float(column))
    block = np.column_stack(numbers) if numbers else np.zeros((events.num_rows, 0))
    return Rows(np.ascontiguousarray(block, dtype=np.float64), tuple(texts)), tuple(is_text)


def _as_float(column: pa.ChunkedArray) -> Array:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())


def _as_coded(column: pa.ChunkedArray) -> Coded:
    encoded = column.dictionary_encode().unify_dictionaries()
    words = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    codes = [chunk.indices.fill_null(len(words)).to_numpy() for chunk in encoded.chunks]
    return Coded(np.concatenate(codes) if codes else np.empty(0, np.int32), [*words, None])


@dataclass(frozen=True)
class Split:
    """Positions in `Examples`: what is fitted on and what is held back, with their outcomes. `at_us` is where it splits."""

    train: Array
    train_outcomes: Array
    held_back: Array
    held_back_outcomes: Array
    at_us: int


SMALLEST = 20
"""Fewer labelled rows than this on either side are no ground for a model."""


def split_by_time(examples: Examples, now_us: int, validation_us: int) -> Split:
    """Hold back the tail: the shorter of the last tenth of the labelled rows and `validation_us`, but enough to judge by.

    A training row's outcome was known when the held-back part begins; the others are left out, so that the model is
    judged as it would have been on that day. Raises `TrainingError` where too little is left on either side.
    """
    known = examples.known_at(now_us)
    at_us, known_us = examples.at_us[known.positions], examples.first_known_us[known.positions]
    before, after, split_us = _parted(at_us, known_us, validation_us)
    return Split(
        known.positions[before], known.outcomes[before], known.positions[after], known.outcomes[after], split_us
    )


FIRST_SHARE = 0.2
"""The share of the history that a rehearsal is given where none is asked for."""


def beginning(at_us: Array, first_known_us: Array, validation_us: int, share: float | None) -> int:
    """The position of the first event to replay: that share of the events is given.

    Where no share is asked for, a fifth; and where outcomes come so late that nothing could be trained by then, as many
    events as it takes to fit on a fifth of the rows that ever get an outcome. `at_us` [n] rises; `first_known_us` [n] is
    NEVER where there is no outcome.
    """
    plain = int(len(at_us) * (FIRST_SHARE if share is None else share))
    wanted = FIRST_SHARE * int((first_known_us < NEVER).sum())

    def fits(position: int) -> int:
        known = (first_known_us <= at_us[position]) & (at_us < at_us[position])
        try:
            return int(_parted(at_us[known], first_known_us[known], validation_us)[0].sum())
        except TrainingError:
            return 0

    late = 2 * SMALLEST <= plain < len(at_us)  # rows enough, if only their outcomes were known
    if share is not None or not late or fits(plain):
        return plain
    found = plain + bisect_left(range(plain, len(at_us)), max(wanted, 1), key=fits)
    return found if found < len(at_us) else plain


def _parted(at_us: Array, first_known_us: Array, validation_us: int) -> tuple[Array, Array, int]:
    """Of labelled rows in order of time: those to fit, those held back, and where they part."""
    if len(at_us) < 2 * SMALLEST:
        told = (
            "" if len(at_us) else ": outcomes are read from the label's column, by its name, or come by POST /outcomes"
        )
        raise TrainingError(
            f"only {len(at_us)} rows with a known outcome; at least {2 * SMALLEST} are needed to fit and to judge{told}"
        )
    split_us = max(int(at_us[int(len(at_us) * 0.9)]), int(at_us[-1]) - validation_us)
    split_us = min(split_us, int(at_us[-SMALLEST]))  # a pause in the history must not leave nothing to judge by
    before = (at_us < split_us) & (first_known_us <= split_us)
    after = at_us >= split_us
    if before.sum() < SMALLEST or after.sum() < SMALLEST:
        raise TrainingError(
            f"{int(before.sum())} rows to fit and {int(after.sum())} to judge; at least {SMALLEST} of each are needed: "
            "bring more history, or declare a longer validation="
        )
    return before, after, split_us


def vocabulary(texts: Sequence[str | None]) -> tuple[str, ...]:
    """The different texts in alphabetical order."""
    return tuple(sorted({text for text in texts if text is not None}))
