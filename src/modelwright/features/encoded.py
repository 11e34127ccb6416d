"""Tables as the offline host takes them: the rows of one source, their columns as numbers, in the order they came."""

from functools import cached_property, partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelwright.core.errors import DataError
from modelwright.features import table
from modelwright.features.plan import LabelColumn
from modelwright.features.shares import Each
from modelwright.spec.contract import Contract

NO_VALUES: Final = np.empty(0)
NO_EVENTS: Final = np.empty(0, np.int64)
_NONE_LIVE = np.empty(0, np.uint8)


class Dictionaries:
    """The texts of each string column, as the `Strings` that conditions look constants up in."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self._ids: dict[str, dict[str, int]] = {}

    def hold(self, column: str, texts: list[str]) -> None:
        """The texts of a column, by their numbers."""
        self.texts[column] = texts
        self._ids[column] = {text: i for i, text in enumerate(texts)}

    def find(self, column: str, text: str) -> int | None:
        """The number of a text, None for one that is in no row."""
        return self._ids.get(column, {}).get(text)

    def text_of(self, column: str, id: int) -> str:
        """The text of a number."""
        return self.texts[column][id]

    def id_of(self, column: str, text: str) -> int:
        """Nothing new is numbered."""
        raise KeyError(f"{column}: the dictionary of a table is closed")


class SourceLog:
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
            return NO_EVENTS
        return np.argsort(self._seq, kind="stable")

    def in_time(self, key: NDArray[np.int32], keys: int, lateness_us: int | None) -> NDArray[np.int32]:
        """The rows' keys, -1 for those that came too late for their key."""
        if lateness_us is None or not self.live.any():
            return key
        from modelwright.features.kernel.visible import too_late

        arrival = self.order if len(self.order) else np.arange(len(key))
        return np.where(too_late(self.times, self.live, key, keys, arrival, lateness_us), -1, key)


def encoded_events(
    contract: Contract, time: str, events: pa.Table, wanted: frozenset[str], strings: Dictionaries, each: Each
) -> SourceLog:
    """Events with the `wanted` columns, whose texts `strings` then holds."""
    columns = [NO_VALUES] * len(contract.fields)

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
    return SourceLog(times, sequence, table.lives(events), NO_EVENTS, columns)


def encoded_outcomes(
    contract: Contract, label: LabelColumn | None, events: pa.Table, outcomes: pa.Table | None, log: SourceLog,
    strings: Dictionaries,
) -> tuple[SourceLog, NDArray[np.int64]]:  # fmt: skip
    """Outcomes with their events' columns beside them, and the row of each one's event."""
    if outcomes is None or label is None:
        columns = [column[:0] for column in log.columns]
        return SourceLog(NO_EVENTS, NO_EVENTS, _NONE_LIVE, NO_EVENTS, [*columns, NO_VALUES]), NO_EVENTS
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
    return SourceLog(times, sequence, _NONE_LIVE, event_rows, [*columns, values[there]]), event_rows
