"""A release made ready to answer: its history host, and how an event and its features become the model's rows."""

import operator
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from modelwright.features.online import HistorySource, OnlineHost
from modelwright.features.plan import LabelColumn
from modelwright.features.strings import Strings
from modelwright.release.folder import Release
from modelwright.release.inputs import Rows
from modelwright.serving.messages import probabilities_of
from modelwright.spec.contract import Contract
from modelwright.spec.view import ViewSpec

Views = tuple[ViewSpec, ...]


class Hosts:
    """One history host for each different set of views; releases with equal views share theirs."""

    def __init__(self, contract: Contract, strings: Strings, history: HistorySource | None) -> None:
        self._contract = contract
        self._strings = strings
        self._history = history
        self._hosts: dict[bytes, OnlineHost] = {}

    def host(self, release: Release) -> OnlineHost | None:
        """The host for a release's views; None where it has none."""
        views = release.manifest.views
        if not views:
            return None
        key = msgspec.json.encode(views)
        if key not in self._hosts:
            label = release.manifest.label
            column = LabelColumn(label.name, label.kind)
            others = release.manifest.others
            self._hosts[key] = OnlineHost(
                views, self._contract, column, self._strings, self._history, others, image=release.history_image
            )
        return self._hosts[key]

    def keep(self, releases: Sequence[Release]) -> None:
        """Forget the hosts of releases that are no longer loaded."""
        wanted = {msgspec.json.encode(release.manifest.views) for release in releases}
        self._hosts = {key: host for key, host in self._hosts.items() if key in wanted}

    def event(
        self, seq: int, at_us: int, values: Sequence[Any], other: str | None = None, *, live: bool = True
    ) -> None:
        """Every host sees every event, and every row of others by their event's name."""
        for host in self._hosts.values():
            host.append_event(seq, at_us, values, other, live=live)

    def outcome(self, seq: int, event_seq: int, known_us: int, outcome: Any, values: Sequence[Any]) -> None:
        """Every host sees every outcome."""
        for host in self._hosts.values():
            host.append_outcome(seq, event_seq, known_us, outcome, values)

    def forget(self) -> None:
        """Drop all cached rows; they are loaded again from the log's history."""
        for host in self._hosts.values():
            host.forget()


class LiveRelease:
    """A loaded release and its host. `features_of` reads history, `rows_of` makes the model's input."""

    def __init__(self, release: Release, host: OnlineHost | None, contract: Contract) -> None:
        self.release = release
        self.name = release.name
        self.host = host
        names = host.names if host is not None else ()
        # A struct is written as JSON in half the time a dictionary is.
        members = [(f"feature_{place}", Any) for place in range(len(names))]
        renamed = {f"feature_{place}": name for place, name in enumerate(names)}
        self._features: Any = msgspec.defstruct("Features", members, rename=renamed, gc=False)
        self._encode = msgspec.json.Encoder().encode
        # Where each input comes from: (is a feature, its place among features or event values).
        numbers: list[int] = []
        self._texts: list[tuple[bool, int]] = []
        for column in release.manifest.inputs:
            from_feature = column.name in names
            place = names.index(column.name) if from_feature else contract.names.index(column.name)
            if column.kind == "number":
                numbers.append(place + len(contract.names) if from_feature else place)
            else:
                self._texts.append((from_feature, place))
        self._width = len(numbers)
        self._numbers_of: Any = operator.itemgetter(*numbers) if numbers else lambda both: ()
        self._vocabularies = [
            (column.name, column.knows()) for column in release.manifest.inputs if column.kind == "text"
        ]
        self.probabilities_of = probabilities_of(release.manifest.classes)

    def features_of(self, values: Sequence[Any], at_us: int, before: int | None = None) -> list[Any]:
        """The features of a request, over every row appended so far, or of a lower sequence number than `before`."""
        return self.host.read(values, at_us, before=before) if self.host is not None else []

    def is_too_late(self, values: Sequence[Any], at_us: int, other: str | None = None) -> bool:
        """Whether an event that comes now is too late to count in a view."""
        return self.host is not None and self.host.is_too_late(values, at_us, other)

    def rows_of(self, requests: Sequence[tuple[Sequence[Any], list[Any]]]) -> Rows:
        """The model's rows for (event values, features) of each request."""
        # None is missing, which float64 makes NaN of.
        numbers = np.array([self._numbers_of([*values, *features]) for values, features in requests], np.float64)
        numbers = numbers.reshape(len(requests), self._width)
        texts = tuple(
            [(features if own else values)[place] for values, features in requests] for own, place in self._texts
        )
        return Rows(numbers, texts)

    def unseen_in(self, rows: Rows) -> dict[str, int]:
        """How many texts of each column are outside its vocabulary."""
        found = {}
        for (name, vocabulary), column in zip(self._vocabularies, rows.texts, strict=True):
            if vocabulary is not None and not vocabulary.issuperset(column):
                found[name] = sum(1 for text in column if text not in vocabulary)
        return found

    def features_json(self, features: list[Any]) -> str:
        """The features as served, for the log: parity is checked against them. NaN is null."""
        return self._encode(self._features(*features)).decode()
