"""The data plane without a log: decode, score, answer. Reads no history, writes nothing, remembers nothing but counts.

Beside `dataplane`, behind the same transports (`plane.Plane`). It serves one release for good, one without views: what
a release with views needs to know is in a log. Its answers are a data plane's, to the byte.
"""

import operator
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from modelwright.core.clock import Clock
from modelwright.core.errors import ModelwrightError, ReleaseError, UnavailableError, UsageError
from modelwright.release.folder import Release
from modelwright.release.inputs import Rows
from modelwright.serving.events import Event, EventForm
from modelwright.serving.messages import Answer, Counters, probabilities_of
from modelwright.serving.plane import Operation
from modelwright.serving.stages import Stages


class Alone:
    """The only release there is."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.name = release.name


class StatelessPlane:
    """One release and the operation on it. Raises `UsageError` for a release whose features read history."""

    others = ()
    previous = None
    challenger = None
    share = 0.0
    shadow_waiting = 0

    def __init__(self, release: Release, clock: Clock) -> None:
        manifest = release.manifest
        if manifest.views:
            raise UsageError(
                f"release {release.name} reads history: its inputs hold features of "
                f"{', '.join(dict.fromkeys(view.event for view in manifest.views))}; serve it with a log, without --no-log"
            )
        self.champion = Alone(release)
        self.contract = release.contract
        self.label = manifest.label
        self.clock = clock
        self.counters = Counters()
        self.stages = Stages()
        self._release = release
        self._form = EventForm(release.contract)
        self.operations = {"predict": Operation("predict", release.contract.struct(), self.event_of)}
        names = release.contract.names
        numbers = [names.index(column.name) for column in manifest.inputs if column.kind == "number"]
        self._width = len(numbers)
        self._numbers_of: Any = operator.itemgetter(*numbers) if numbers else lambda values: ()
        self._texts = [
            (column.name, names.index(column.name), column.knows())
            for column in manifest.inputs
            if column.kind == "text"
        ]
        self._by_class = probabilities_of(manifest.classes)
        self._encode = msgspec.json.Encoder().encode

    def event_of(self, body: msgspec.Struct) -> Event:
        """A decoded body as an event. Raises `ContractError` for a time ahead of the clock."""
        event = self._form.event(body)
        self._form.check_ahead(event.at_us, self.clock)
        return event

    def work(self, jobs: Sequence[tuple[str, Any]]) -> list[Any]:
        """Score the events of all jobs together: an encoded `Answer` for each, or one `ModelwrightError` for a job.

        Whatever fails in one job leaves the others alone.
        """
        self.stages.begin()
        try:
            answers = iter(self._answers([event for _, events in jobs for event in events]))
            return [[next(answers) for _ in events] for _, events in jobs]
        except ReleaseError:
            return [self._alone(events) for _, events in jobs]

    def _alone(self, events: list[Event]) -> list[msgspec.Raw] | ModelwrightError:
        try:
            return self._answers(events)
        except ReleaseError:
            failures = self.counters.failures
            failures[self._release.name] = failures.get(self._release.name, 0) + 1
            return UnavailableError("the release cannot answer this request")

    def _answers(self, events: list[Event]) -> list[msgspec.Raw]:
        rows = self._rows(events)
        said = self._release.predict(rows)
        self.stages.mark("model")
        name = self._release.name
        by_class = self._by_class
        self._count(rows)
        answers = [
            msgspec.Raw(self._encode(Answer(event.id, value, score, by_class(probabilities), name)))
            for event, (value, score, probabilities) in zip(events, said.rows(), strict=True)
        ]
        self.stages.mark("encode")
        return answers

    def _rows(self, events: list[Event]) -> Rows:
        # None is missing, which float64 makes NaN of.
        numbers = np.array([self._numbers_of(event.values) for event in events], np.float64)
        numbers = numbers.reshape(len(events), self._width)  # one number is no tuple
        texts = tuple([event.values[place] for event in events] for _, place, _ in self._texts)
        return Rows(numbers, texts)

    def _count(self, rows: Rows) -> None:
        counters = self.counters
        for (name, _, known), column in zip(self._texts, rows.texts, strict=True):
            if known is not None and not known.issuperset(column):
                unseen = sum(1 for text in column if text not in known)
                counters.unseen[name] = counters.unseen.get(name, 0) + unseen
        counters.predictions[self._release.name] = counters.predictions.get(self._release.name, 0) + len(rows)

    def score_shadow(self) -> None:
        """Nothing waits for a challenger."""

    def events(self) -> None:
        """There is no log."""

    def head(self) -> None:
        """There is no log."""
