"""Parity: what live predictions were served with, held against what the log gives now.

The features that stand beside every prediction in the log are computed again by the offline host, as known at that row
and with the views of the release that answered, and compared to the bit. Reads the log and the releases' manifests;
writes nothing and decides nothing.

Memory: the log's events (and rows of the other events that views are over) and outcomes, and `batch` predictions at a
time. Time: for each batch one sort of all events by the views' keys, and a sweep over the batch's rows.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.core.clock import iso
from modelwright.core.errors import DataError, DeclarationError, ReleaseError
from modelwright.features.offline import Others, compute
from modelwright.features.plan import LabelColumn
from modelwright.lake.journal import JournalRow
from modelwright.lake.log import Log
from modelwright.release.folder import read_manifest
from modelwright.spec.view import ViewSpec
from modelwright.stats.predictions import Array

BATCH = 100_000
"""Predictions held at once, at most: a span of so many sequence numbers."""
DECODED = 10_000
"""Of these, rows whose features are Python objects at once."""

GONE = "their release is not among the workspace's releases, so its views are not known"
NO_EVENT = "their event is not in the log"
NOT_LIVE = "their event is a row of a history file, which counts by its time and not as it was known"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One served value that is not the recomputed one. `at` is the event's time; None is missing."""

    seq: int
    id: str
    at: str
    release: str
    served: float | int | str | None
    recomputed: float | int | str | None


class FeatureParity(msgspec.Struct, kw_only=True):
    """One feature: rows compared, how many differ, by how much at most, and the first that does.

    `largest` is absolute, `relative` is in shares of the greater of both; None where no difference is one of numbers.
    """

    feature: str
    compared: int = 0
    differ: int = 0
    largest: float | None = None
    relative: float | None = None
    first: Difference | None = None


class ParityReport(msgspec.Struct, kw_only=True):
    """What one check found in the rows `from_seq` to `upto_seq` of the log.

    `checked`: champions' answers compared. `shadow`: challengers' rows compared, which are those whose views differ from the
    answer's. `differ`: the features that differ, with the number of rows. `not_comparable`: rows by the reason why they
    could not be compared.
    """

    checked: int = 0
    shadow: int = 0
    differ: dict[str, int] = {}
    not_comparable: dict[str, int] = {}
    features: list[FeatureParity] = []
    from_seq: int = 0
    upto_seq: int = 0

    @property
    def summary(self) -> str:
        """The result in one line."""
        left_out = sum(self.not_comparable.values())
        more = f"; {left_out:,} not comparable" if left_out else ""
        if not self.checked + self.shadow:
            return f"no answer could be compared{more}"
        if not self.differ:
            return f"{self.checked:,} answers checked: served features equal recomputed ones{more}"
        named = ", ".join(f"{name} ({count:,})" for name, count in self.differ.items())
        return f"served features differ from recomputed ones over {self.checked:,} answers: {named}{more}"


class LastParity(msgspec.Struct, frozen=True, kw_only=True):
    """The loop's last check, as its journal tells. `differed`: how many checks so far have found a difference."""

    at: str
    checked: int
    differ: dict[str, int]
    not_comparable: dict[str, int]
    summary: str
    differed: int


@dataclass(frozen=True, eq=False)
class _Views:
    """What a release computes: one object for all releases that compute the same."""

    views: tuple[ViewSpec, ...]
    label: LabelColumn


def check_parity(
    log: Log,
    after: int = 0,
    upto: int | None = None,
    *,
    batch: int = BATCH,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ParityReport:
    """Compare every prediction with `after < seq <= upto` (default: the log's head); each event once a set of views.

    `progress` is told how many of how many sequence numbers are done.
    """
    return _Check(log, after, log.head() if upto is None else upto).run(batch, progress)


def last_of(log: Log, duration_us: int, *, batch: int = BATCH) -> int:
    """The sequence number after which the predictions of the last so many microseconds lie, counted from the newest."""
    after = end = log.head()
    newest: int | None = None
    while end > 0:
        rows = log.predictions(max(0, end - batch), end)
        if rows.num_rows:
            made_us = rows["made_at"].cast(pa.int64()).to_numpy()
            newest = int(made_us.max()) if newest is None else newest
            within = np.flatnonzero(made_us >= newest - duration_us)
            if len(within):
                after = int(rows["seq"][int(within[0])].as_py()) - 1
            if len(within) < len(made_us):
                break
        end -= batch
    return after


def last_parity(decisions: Iterable[JournalRow]) -> LastParity | None:
    """The last check of a journal; None where there was none yet."""
    checks = [row for row in decisions if row.kind == "parity"]
    if not checks:
        return None
    last = checks[-1]
    differed = sum(1 for row in checks if row.evidence["differ"])
    return LastParity(at=last.at, summary=last.summary, differed=differed, **last.evidence)


class _Check:
    """One check under way. State: the report, and what is read once for all batches."""

    def __init__(self, log: Log, after: int, upto: int) -> None:
        self._log = log
        self._report = ParityReport(from_seq=after + 1, upto_seq=upto)
        self._features: dict[str, FeatureParity] = {}
        self._views: dict[str, _Views | None] = {}
        self._known: dict[bytes, _Views] = {}
        self._answered: dict[int, _Views | None] = {}
        self._history: tuple[pa.Table, Array, pa.Table] | None = None
        self._others: dict[str, pa.Table] = {}

    def run(self, batch: int, progress: Callable[[int, int], None]) -> ParityReport:
        after, upto = self._report.from_seq - 1, self._report.upto_seq
        for begin in range(after, upto, batch):
            end = min(begin + batch, upto)
            rows = self._log.predictions(begin, end)
            if rows.num_rows:
                self._check(rows)
            progress(end - after, upto - after)
        self._report.features = list(self._features.values())
        self._report.differ = {one.feature: one.differ for one in self._report.features if one.differ}
        return self._report

    def _check(self, rows: pa.Table) -> None:
        for views, wanted in self._by_views(rows):
            group = rows.take(pa.array(wanted))
            if views is None:
                self._leave_out(GONE, group.num_rows)
                continue
            events, seqs, outcomes = self._read_history()
            event_seqs = group["event_seq"].to_numpy()
            places = np.searchsorted(seqs, event_seqs)
            there = places < len(seqs)
            there[there] = seqs[places[there]] == event_seqs[there]
            live = there.copy()
            live[there] = events["_live"].take(pa.array(places[there])).to_numpy()
            self._leave_out(NO_EVENT, int((~there).sum()))
            self._leave_out(NOT_LIVE, int((there & ~live).sum()))
            group, requests = group.filter(pa.array(live)), events.take(pa.array(places[live]))
            try:
                contract, others = self._log.schema.contract, self._others_of(views)
                again = compute(views.views, contract, views.label, events, requests, outcomes, others)
            except (DeclarationError, DataError) as error:
                self._leave_out(f"their views no longer fit the log: {error}", group.num_rows)
                continue
            for begin in range(0, group.num_rows, DECODED):
                self._compare(group.slice(begin, DECODED), again.slice(begin, DECODED))

    def _by_views(self, rows: pa.Table) -> Iterator[tuple[_Views | None, list[int]]]:
        """Places of the rows to check, by what their release computes. A challenger's row is left aside where the answer to
        its event was made of the same views: it has the same features."""
        groups: dict[_Views | None, list[int]] = {}
        before, self._answered = self._answered, {}  # a challenger follows the answer, if not always in its batch
        columns = (rows[name].to_pylist() for name in ("release", "role", "event_seq"))
        for place, (release, role, event_seq) in enumerate(zip(*columns, strict=True)):
            views = self._views_of(release)
            if role == "champion":
                self._answered[event_seq] = views
            elif self._answered.get(event_seq, before.get(event_seq)) == views:
                continue
            groups.setdefault(views, []).append(place)
        yield from groups.items()

    def _views_of(self, release: str) -> _Views | None:
        if release not in self._views:
            try:
                manifest = read_manifest(self._log.workspace.releases / release)
            except ReleaseError:
                self._views[release] = None
            else:
                label = LabelColumn(manifest.label.name, manifest.label.kind)
                key = msgspec.json.encode((manifest.views, label))
                self._views[release] = self._known.setdefault(key, _Views(manifest.views, label))
        return self._views[release]

    def _read_history(self) -> tuple[pa.Table, Array, pa.Table]:
        """The log's events, their sequence numbers, and its outcomes."""
        if self._history is None:
            events = self._log.events()
            self._history = (events, events["_seq"].to_numpy(), self._log.outcomes())
        return self._history

    def _others_of(self, views: _Views) -> Others:
        """The other events that the views are over, with their rows."""
        read = {view.event for view in views.views}
        contracts = [contract for contract in self._log.schema.others if contract.name in read]
        for contract in contracts:
            if contract.name not in self._others:
                self._others[contract.name] = self._log.events(contract.name)
        return [(contract, self._others[contract.name]) for contract in contracts]

    def _compare(self, rows: pa.Table, again: pa.Table) -> None:
        decode = _decoder(again.schema)
        served, kept = [], []
        for place, text in enumerate(rows["features"].to_pylist()):
            try:
                served.append(msgspec.structs.astuple(decode(text)))
                kept.append(place)
            except msgspec.DecodeError as error:
                self._leave_out(f"the features they were served with are not their views': {error}", 1)
        if not kept:
            return
        rows, again = rows.take(pa.array(kept)), again.take(pa.array(kept))
        self._count(rows)
        for name, values in zip(again.column_names, zip(*served, strict=True), strict=True):
            self._compare_feature(name, values, again[name], rows)

    def _compare_feature(self, name: str, served: tuple[Any, ...], again: pa.ChunkedArray, rows: pa.Table) -> None:
        found = self._features.setdefault(name, FeatureParity(feature=name))
        found.compared += len(served)
        if pa.types.is_dictionary(again.type):
            recomputed = again.to_pylist()
            differ = np.array([one != other for one, other in zip(served, recomputed, strict=True)], bool)
        else:
            recomputed = _numbers(again)
            numbers = np.array(served, np.float64)  # None becomes NaN, which has one form here
            differ = numbers.view(np.int64) != recomputed.view(np.int64)
            if differ.any():
                _widen(found, numbers[differ], recomputed[differ])
        if not differ.any():
            return
        found.differ += int(differ.sum())
        place = int(np.argmax(differ))
        if found.first is None or rows["seq"][place].as_py() < found.first.seq:
            found.first = _difference(rows.slice(place, 1), served[place], recomputed[place], again.type)

    def _count(self, rows: pa.Table) -> None:
        champions = pc.sum(pc.equal(rows["role"], "champion")).as_py() or 0
        self._report.checked += champions
        self._report.shadow += rows.num_rows - champions

    def _leave_out(self, reason: str, rows: int) -> None:
        if rows:
            self._report.not_comparable[reason] = self._report.not_comparable.get(reason, 0) + rows


def _decoder(schema: pa.Schema) -> Callable[[str], Any]:
    """Decodes served features, and refuses those of other names or kinds."""
    members = [
        (f"feature_{place}", (str if pa.types.is_dictionary(field.type) else float) | None)
        for place, field in enumerate(schema)
    ]
    renamed = {f"feature_{place}": name for place, name in enumerate(schema.names)}
    form = msgspec.defstruct("Features", members, rename=renamed, forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(form).decode


def _numbers(column: pa.ChunkedArray) -> Array:
    """A column as float64; what JSON cannot hold was stored as missing."""
    numbers = column.to_numpy().astype(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _widen(found: FeatureParity, served: Array, recomputed: Array) -> None:
    """Take the size of some differences into account."""
    there = ~(np.isnan(served) | np.isnan(recomputed))
    if not there.any():
        return
    greater = np.maximum(np.abs(served[there]), np.abs(recomputed[there]))
    with np.errstate(over="ignore"):
        sizes = np.minimum(np.abs(served[there] - recomputed[there]), np.finfo(np.float64).max)
    shares = np.divide(sizes, greater, out=np.zeros_like(sizes), where=greater > 0)
    found.largest = max(found.largest or 0.0, float(sizes.max()))
    found.relative = max(found.relative or 0.0, float(shares.max()))


def _difference(row: pa.Table, served: Any, recomputed: Any, kind: pa.DataType) -> Difference:
    served, recomputed = (_value(one, kind) for one in (served, recomputed))
    return Difference(
        seq=row["seq"][0].as_py(),
        id=row["id"][0].as_py(),
        at=iso(row["at"].cast(pa.int64())[0].as_py()),
        release=row["release"][0].as_py(),
        served=served,
        recomputed=recomputed,
    )


def _value(value: Any, kind: pa.DataType) -> float | int | str | None:
    """As people read it: a count without a point, missing as None."""
    if value is None or isinstance(value, str):
        return value
    if np.isnan(value):
        return None
    return int(value) if pa.types.is_integer(kind) and value == int(value) else float(value)
