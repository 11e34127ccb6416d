"""Drift of a release's inputs, of its score, and of how its inputs go together, against what it was trained on.

Requests are counted into the reference's bins, block by block; `stats.edetector` bets on the counts. One false alarm may
happen in the declared time (`spec.monitor`), of all that is watched together, however often one looks; capital is shared
out by how much the model's answers hang on a column, so that one that says nothing to the model wakes nobody. An alarm says
what has changed, since when, how sure that is and by how much. Memory does not grow with traffic. Nothing is decided here.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import msgspec
import numpy as np

from modelwright.core.clock import iso
from modelwright.core.durations import duration_us
from modelwright.monitoring.binning import Binning
from modelwright.release.folder import Release
from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import Manifest, References
from modelwright.spec.monitor import FALSE_ALARM_EVERY
from modelwright.stats.bets import Bet, bets_on_number, bets_on_pair, bets_on_text
from modelwright.stats.edetector import EDetector, Evidence, Watched
from modelwright.stats.predictions import Array
from modelwright.stats.reference import PSI_LARGE, ColumnReference, psi

BLOCK, FINE = 50, 10
"""Requests that are counted together: the fewer where the capital is above `ATTENTIVE`, as an alarm may be due any time then."""
ATTENTIVE = 0.03
WINDOW = 2_000
SMALLEST = 100
"""Fewer requests than this say nothing about a distribution."""
SHARES = (0.75, 0.15, 0.1)
"""Of the capital: the inputs' by importance, the score's, the pairs'."""
SHORTEST_US = 1_000
"""A block of requests is taken to have lasted at least so long, so that requests of one instant are watched as well."""


Shown = Callable[[Array, int, int], None]


class Drifted(msgspec.Struct, frozen=True, kw_only=True):
    """One of what changed. `since`: the estimated moment; `log10`: how much likelier the rows since are under the change, as a
    power of 10; `size`: the stability index since; `change`: the same in the column's own terms. `series`: the column it is,
    or is a feature of; empty for relations and the score."""

    name: str
    importance: float | None
    since: str
    log10: float
    size: float
    change: str
    series: str = ""


class DriftAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """What was noticed at `at_us`, with the most important first. `rows` of the release had been seen by then."""

    at_us: int
    rows: int
    drifted: tuple[Drifted, ...]

    @property
    def size(self) -> float:
        """The largest stability index of what has changed."""
        return max(one.size for one in self.drifted)

    @property
    def summary(self) -> str:
        """In one line."""
        first = self.drifted[0]
        alike = sum(one.series == first.series != "" for one in self.drifted) - 1
        rest = len(self.drifted) - 1 - max(0, alike)
        others = f", and {alike} more of {first.series}" if alike > 0 else ""
        others += f", and {rest} more" if rest else ""
        return f"drift of {first.name} since {first.since[:16].replace('T', ' ')}: {first.change}{others}"


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """One entry a column, in the order of the inputs; what is of a distribution is None before `SMALLEST` requests.

    `evidence` is the logarithm, base 10, of how much likelier the latest rows are under a change, `since` when that change
    would have begun. `capital`: of what an alarm needs. `alarms`: since the release went live.
    """

    columns: tuple[str, ...]
    psi: tuple[float | None, ...]
    missing: tuple[float | None, ...]
    unseen: tuple[float | None, ...]
    importance: tuple[float, ...]
    evidence: tuple[float, ...]
    since: tuple[str | None, ...]
    score_psi: float | None
    capital: float
    alarms: tuple[DriftAlarm, ...]
    rows: int
    threshold: float = PSI_LARGE


class DriftMonitor:
    """Watches the requests of one release. State: counts of the newest `WINDOW` rows, the bets' capital, alarms.

    `false_alarm_every`: a duration, or so many requests. `series`: of each feature, the column it is computed from. `shown`:
    is given the numbers [n, numeric inputs] of each block that was counted, and when its first and last request came.
    """

    def __init__(
        self,
        references: References,
        columns: tuple[InputColumn, ...],
        false_alarm_every: str | timedelta | int = FALSE_ALARM_EVERY,
        series: Mapping[str, str] | None = None,
        shown: Shown = lambda numbers, begin_us, end_us: None,
    ) -> None:
        self._series = series or {}
        self._shown = shown
        self._binning = Binning(references, columns)
        self._references = references
        self._by_rows = isinstance(false_alarm_every, int)
        self._period = (
            false_alarm_every
            if isinstance(false_alarm_every, int)
            else duration_us(false_alarm_every, "false_alarm_every")
        )
        self._detector = EDetector(_watched(references, self._binning))
        self._blocks: deque[tuple[int, int, Array]] = deque()
        self._held = 0
        self._size = BLOCK
        self._open = np.empty((0, len(self._binning.sizes)), dtype=np.intp)
        self._open_numbers = np.empty((0, sum(column.kind == "number" for column in columns)))
        self._open_us: list[int] = []
        self._upto_us: int | None = None
        self._rows = 0
        self.alarms: list[DriftAlarm] = []

    def add(self, rows: Rows, scores: Array, at_us: Array) -> None:
        """Requests in order: what each asked (texts as they came, unseen ones too), its score [n] (NaN for none) and its time
        [n]. How many come at once changes nothing."""
        codes = np.concatenate([self._open, self._binning.codes(rows, scores)])
        numbers = np.concatenate([self._open_numbers, rows.numbers])
        times = [*self._open_us, *at_us.tolist()]
        begin = 0
        while len(times) - begin >= self._size:
            end = begin + self._size
            self._shown(numbers[begin:end], times[begin], times[end - 1])
            self._close(codes[begin:end], times[begin], times[end - 1])
            begin = end
        self._open, self._open_us = codes[begin:].copy(), times[begin:]
        self._open_numbers = numbers[begin:].copy()

    def report(self) -> DriftReport:
        """The present against the reference."""
        counts = sum((counts for *_, counts in self._blocks), np.zeros((len(self._binning.sizes), self._binning.width)))
        if self._open_us:
            counts = counts + self._binning.counts_of(self._open)
        rows = self._held + len(self._open_us)
        enough = rows >= SMALLEST
        columns = self._references.columns
        evidence = self._detector.evidence()[: len(columns)]

        def rate(place: int, position: int) -> float | None:
            return float(counts[place][len(columns[place].counts) + position] / rows) if enough else None

        def distance(place: int, reference: ColumnReference) -> float | None:
            return reference.distance(counts[place][: len(reference.counts)]) if enough else None

        score = self._references.score
        return DriftReport(
            columns=tuple(column.name for column in columns),
            psi=tuple(distance(i, column) for i, column in enumerate(columns)),
            missing=tuple(rate(i, -1) for i in range(len(columns))),
            unseen=tuple(rate(i, -2) if column.texts else None for i, column in enumerate(columns)),
            importance=tuple(column.importance for column in columns),
            evidence=tuple(round(one.log10, 2) for one in evidence),
            since=tuple(iso(one.since) if one.log10 > 0 else None for one in evidence),
            score_psi=None if score is None else distance(len(columns), score),
            capital=_figures(min(1.0, self._detector.capital)),
            alarms=tuple(self.alarms),
            rows=rows,
        )

    def _close(self, codes: Array, begin_us: int, end_us: int) -> None:
        """A block of requests is complete; `codes` [n, watched] are their bins."""
        counts = self._binning.counts_of(codes)
        lasted = max(SHORTEST_US, end_us - (begin_us if self._upto_us is None else self._upto_us))
        self._upto_us = end_us if self._upto_us is None else max(self._upto_us, end_us)
        self._detector.add(counts, (len(codes) if self._by_rows else lasted) / self._period, begin_us)
        self._hold(begin_us, len(codes), counts)
        capital = self._detector.capital
        # By what came before and not by what comes, so that the bets stay bets.
        self._size = FINE if ATTENTIVE < capital < 1.0 else BLOCK
        if capital < 1.0:
            return
        places = self._detector.raise_alarm()
        self._detector.silence(self._binning.derived_from(places))
        evidence = self._detector.evidence()
        found = [self._drifted(place, evidence[place]) for place in places]
        found.sort(key=lambda one: -(one.importance or 0.0))
        self.alarms.append(DriftAlarm(at_us=end_us, rows=self._rows, drifted=tuple(found)))

    def _hold(self, begin_us: int, rows: int, counts: Array) -> None:
        """Keep the block, and let go of those before the newest `WINDOW` rows."""
        self._rows += rows
        self._held += rows
        self._blocks.append((begin_us, rows, counts.astype(np.uint8)))
        while self._held > WINDOW:
            self._held -= self._blocks.popleft()[1]

    def _drifted(self, place: int, evidence: Evidence) -> Drifted:
        since = [counts[place] for begin_us, _, counts in self._blocks if begin_us >= evidence.since]
        counts: Array = np.add.reduce(since or [counts[place] for *_, counts in self._blocks], axis=0, dtype=np.int64)
        watched, inputs = self._binning.columns, len(self._references.columns)
        if place < len(watched):
            reference = watched[place]
            counts = counts[: len(reference.counts)]
            measured = place >= inputs + (self._references.score is not None)
            name = f"the length of {reference.name}" if measured else reference.name
            importance = None if place >= inputs and not measured else _figures(reference.importance)
            size, change = reference.distance(counts), described(reference, counts)
        else:
            pair = self._references.pairs[place - len(watched)]
            one, other = watched[pair.first], watched[pair.second]
            name, importance, change = f"{one.name} with {other.name}", None, "they go together in another way"
            size = psi(np.asarray(pair.counts), counts[: len(pair.counts)])
        return Drifted(
            name=name, importance=importance, since=iso(evidence.since), log10=round(evidence.log10, 2),
            size=_figures(size), change=change,
            series=self._series.get(watched[place].name, watched[place].name) if importance is not None else "",
        )  # fmt: skip


class DriftWatch:
    """The monitor of whichever release is followed: what answers is watched against what it was trained on."""

    def __init__(
        self,
        false_alarm_every: str | timedelta = FALSE_ALARM_EVERY,
        shown: Shown = lambda numbers, begin_us, end_us: None,
    ) -> None:
        self._every = false_alarm_every
        self._shown = shown
        self.release: Release | None = None
        self.monitor: DriftMonitor | None = None

    def follow(self, release: Release) -> None:
        """Watch this release's requests from now on; drift begins anew with each release."""
        self.release = release
        self.monitor = DriftMonitor(
            release.references, release.manifest.inputs, self._every, series_of(release.manifest), self._shown
        )

    def add(self, rows: Rows, scores: Array, at_us: Array) -> None:
        """What the followed release was asked and said, as `DriftMonitor.add` takes it."""
        if self.monitor is not None:
            self.monitor.add(rows, scores, at_us)

    def alarms(self) -> Sequence[DriftAlarm]:
        """Those of the followed release, in order."""
        return () if self.monitor is None else self.monitor.alarms


def series_of(manifest: Manifest) -> dict[str, str]:
    """Of each feature that reads a column, which."""
    return {
        name: aggregate.column
        for view in manifest.views
        for name, aggregate in view.features.items()
        if aggregate.column is not None
    }


def described(reference: ColumnReference, counts: Array) -> str:
    """What changed most, in the column's own terms: its quartiles; where its median reads the same, or is beyond all that is told
    apart, the share of a range; a text's share; or how much is missing."""
    before = np.asarray(reference.counts, dtype=float)
    was, now = before / max(1.0, before.sum()), counts / max(1, counts.sum())
    floor = 0.5 / max(1.0, before.sum())
    moved = np.abs((now - was) * np.log((now + floor) / (was + floor)))
    place = int(np.argmax(moved))
    if place == len(was) - 1 or not (reference.texts or reference.edges):  # of free text there is or is not one
        return f"missing {was[-1]:.1%}, now {now[-1]:.1%}"
    if reference.texts is not None:
        name = repr(reference.texts[place]) if place < len(reference.texts) else "other texts"
        return f"{name} {was[place]:.1%}, now {now[place]:.1%}"
    low, middle, high = (f"{_quantile(reference, before, share):.4g}" for share in (0.25, 0.5, 0.75))
    low_now, middle_now, high_now = (f"{_quantile(reference, counts, share):.4g}" for share in (0.25, 0.5, 0.75))
    edges, last = reference.edges or (), len(was) - 2
    for end in (0, last):
        if 2 * counts[end] > counts[:-1].sum() and 2 * before[end] <= before[:-1].sum():
            return f"median {middle}, now {_range(edges, end)} ({was[end]:.1%} before, now {now[end]:.1%})"
    if middle == middle_now:
        return f"{was[place]:.1%} {_range(edges, place)}, now {now[place]:.1%}"
    return f"median {middle}, now {middle_now} (middle half {low} to {high}, now {low_now} to {high_now})"


def _range(edges: tuple[float, ...], place: int) -> str:
    """The values of a number's bin, in words."""
    if place == 0:
        return f"up to {_edge(edges[0])}"
    if place == len(edges):
        return f"above {_edge(edges[-1])}"
    low, high = edges[place - 1], edges[place]
    if low == np.nextafter(high, -np.inf):
        return f"at {_edge(high)}"
    digits = 4 if f"{low:.4g}" != f"{high:.4g}" else 9
    return f"between {_edge(low, digits)} and {_edge(high, digits)}"


def _edge(value: float, digits: int = 4) -> str:
    return (
        f"{value if abs(value) > np.finfo(float).tiny else 0.0:.{digits}g}"  # that just below a repeated 0 reads as 0
    )


def _quantile(reference: ColumnReference, counts: Array, share: float) -> float:
    """Between the edges of its bin; the outermost bins count as their edge."""
    edges = np.asarray(reference.edges)
    known = np.cumsum(counts[:-1])
    if not len(edges) or not known[-1]:
        return float("nan")
    upto = known[:-1] / known[-1]
    found = float(np.interp(share, upto, edges))
    return found if abs(found) > np.finfo(float).tiny else 0.0  # the edge just below a repeated 0 reads as 0


def _watched(references: References, binning: Binning) -> list[Watched]:
    inputs = len(references.columns)
    measured = {reference.name for reference in references.lengths}
    importance = sum(column.importance for column in references.columns) or 1.0
    of_inputs, of_score, of_pairs = SHARES
    found = []
    for place, reference in enumerate(binning.columns):
        counts = np.asarray(reference.counts)
        bets: list[Bet] = bets_on_text(counts) if reference.texts is not None else bets_on_number(counts)
        weight = of_inputs * reference.importance / importance
        if place == inputs and references.score is not None:
            weight = of_score
        elif reference.name in measured:
            weight /= 2
        found.append(Watched(counts, bets, weight, reference.inflation))
    for pair in references.pairs:
        counts = np.asarray(pair.counts)
        found.append(Watched(counts, bets_on_pair(counts), of_pairs / len(references.pairs), pair.inflation))
    return found


def _figures(value: float) -> float:
    """Four significant ones: what the journal holds must not hang on the last bit."""
    return float(f"{value:.4g}")
