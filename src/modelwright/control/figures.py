"""What a release says about itself: metrics on the held-back rows, losses, reference statistics."""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from modelwright.optimize.image import history_image
from modelwright.release import background
from modelwright.release.folder import HISTORY_IMAGE
from modelwright.release.inputs import InputColumn, Rows, in_vocabulary
from modelwright.release.manifest import Manifest, References, RowLoss, encode_pretty
from modelwright.spec.metric import METRICS
from modelwright.spec.system import System
from modelwright.stats.arrivals import UNKNOWN, Arrivals
from modelwright.stats.inflation import inflation, scores_of_number
from modelwright.stats.losses import row_losses
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions
from modelwright.stats.reference import (
    GROUPS,
    TEXTS,
    ColumnReference,
    PairReference,
    plain,
    reference_of_numbers,
    reference_of_texts,
)
from modelwright.training.examples import Examples, Split


def with_figures(manifest: Manifest, system: System, examples: Examples, split: Split, said: Predictions) -> Manifest:
    """The manifest with its material and its quality filled in."""
    outcomes = split.held_back_outcomes
    fitting = [metric.name for metric in METRICS.values() if system.label.kind in metric.kinds]
    losses = row_losses(system.metric.name, outcomes, said)
    return msgspec.structs.replace(
        manifest,
        trained_from_us=int(examples.at_us[split.train[0]]),
        trained_until_us=int(examples.at_us[split.train[-1]]),
        rows=len(split.train),
        metrics={name: plain(metric_value(name, outcomes, said)) for name in fitting},
        loss=RowLoss(float(losses.mean()), float(losses.var()), len(losses)),
        data_version=examples.version_of(split.train),
    )


PAIRED = 6
"""So many of the most important columns have their relations watched."""
DIFFERENT = 0.5
"""Where more of the texts than this are not among the frequent ones, their length is watched too."""


def references_of(
    columns: tuple[InputColumn, ...], rows: Rows, score: Array | None, importance: Sequence[float] | None = None
) -> References:
    """Reference statistics of each input over the training rows, which are in order of time, and of the score over the
    held-back ones. `importance`: of each input to the model."""
    given = _by_column(columns, rows)
    references, codes, lengths = [], [], []
    for place, (column, values) in enumerate(zip(columns, given, strict=True)):
        if column.kind == "number":
            reference = reference_of_numbers(column.name, values)
        else:
            # Of free text none is frequent, and what somebody wrote has no place among statistics.
            reference = reference_of_texts(column.name, values, 0 if column.is_free else TEXTS)
            if column.is_free or reference.counts[-2] > DIFFERENT * sum(reference.counts):
                lengths.append((place, np.array([np.nan if one is None else len(one) for one in values])))
        codes.append(reference.codes(values))
        weight = 1.0 if importance is None else importance[place]
        alike = _inflation_of(reference, codes[-1])
        references.append(msgspec.structs.replace(reference, importance=weight, inflation=alike))
    measured = [
        msgspec.structs.replace(_of_numbers(columns[place].name, values), importance=references[place].importance)
        for place, values in lengths
    ]
    return References(
        tuple(references),
        None if score is None else _of_numbers("score", np.asarray(score, dtype=float)),
        _pairs_of(references, codes),
        tuple(measured),
    )


def _by_column(columns: tuple[InputColumn, ...], rows: Rows) -> list[Any]:
    numbers, texts = iter(rows.numbers.T), iter(rows.texts)
    return [np.ascontiguousarray(next(numbers)) if column.kind == "number" else next(texts) for column in columns]


def _of_numbers(name: str, values: Array) -> ColumnReference:
    reference = reference_of_numbers(name, values)
    return msgspec.structs.replace(reference, inflation=_inflation_of(reference, reference.codes(values)))


def _inflation_of(reference: ColumnReference, codes: Array) -> float:
    counts = np.asarray(reference.counts)
    return inflation(codes, np.eye(len(counts)) if reference.edges is None else scores_of_number(counts))


def _pairs_of(references: Sequence[ColumnReference], codes: Sequence[Array]) -> tuple[PairReference, ...]:
    """How the most important columns go together. `codes`: of each column, [n] the bin of each row."""
    ranked = sorted(range(len(references)), key=lambda place: (-references[place].importance, place))
    chosen = sorted(place for place in ranked[:PAIRED] if references[place].importance > 0)
    groups = {place: references[place].groups().astype(np.uint8)[codes[place]] for place in chosen}
    pairs = []
    for first, second in itertools.combinations(chosen, 2):
        both = GROUPS * groups[first] + groups[second]
        counts = np.bincount(both, minlength=GROUPS * GROUPS)
        # What either of them does slowly, the two do together, though it shows less in any one of so many groups.
        slow = max(references[first].inflation, references[second].inflation, inflation(both, np.eye(len(counts))))
        pairs.append(PairReference(first=first, second=second, counts=tuple(map(int, counts)), inflation=slow))
    return tuple(pairs)


def common_files(
    manifest: Manifest,
    system: System,
    columns: tuple[InputColumn, ...],
    rows: Rows,
    score: Array | None,
    importance: Sequence[float] | None = None,
    arrivals: Arrivals = UNKNOWN,
) -> dict[str, bytes]:
    """The files every release has, whatever its runtime. `rows`: those it was fitted on; `score`: of those held back;
    `importance`: of each column to the model; `arrivals`: how events and outcomes came."""
    references = msgspec.structs.replace(references_of(columns, rows, score, importance), arrivals=arrivals)
    image = history_image() if manifest.views else None
    return {
        **({} if image is None else {HISTORY_IMAGE: image}),
        background.FILE: background.encoded(in_vocabulary(background.background_of(rows), columns)),
        "contract.json": encode_pretty(system.contract),
        "views.json": encode_pretty(manifest.views),
        "metrics.json": encode_pretty(manifest.metrics),
        "reference.json": encode_pretty(references),
    }
