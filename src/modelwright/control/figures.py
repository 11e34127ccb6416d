"""What a release says about itself: metrics on the held-back rows, losses, reference statistics, requirements."""

import importlib.metadata
import sys
from typing import Any

import msgspec
import numpy as np

from modelwright.release.inputs import InputColumn, Rows
from modelwright.release.manifest import Manifest, References, RowLoss, encode_pretty
from modelwright.spec.metric import METRICS
from modelwright.spec.system import System
from modelwright.stats.losses import row_losses
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions
from modelwright.stats.reference import plain, reference_of_numbers, reference_of_texts
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


def references_of(columns: tuple[InputColumn, ...], rows: Rows, score: Array | None) -> References:
    """Reference statistics of each input over the training rows, and of the score over the held-back ones."""
    number, text = 0, 0
    references = []
    for column in columns:
        if column.kind == "number":
            references.append(reference_of_numbers(column.name, rows.numbers[:, number]))
            number += 1
        else:
            references.append(reference_of_texts(column.name, rows.texts[text]))
            text += 1
    return References(
        tuple(references), None if score is None else reference_of_numbers("score", np.asarray(score, dtype=float))
    )


def common_files(manifest: Manifest, system: System, references: References) -> dict[str, bytes]:
    """The files every release has, whatever its runtime."""
    return {
        "contract.json": encode_pretty(system.contract),
        "views.json": encode_pretty(manifest.views),
        "metrics.json": encode_pretty(manifest.metrics),
        "reference.json": encode_pretty(references),
    }


def requirements(estimator: Any) -> dict[str, str]:
    """Import names and versions of what a pickled estimator is made of: its own and its steps' modules, and pandas."""
    parts = [estimator, *(step for _, step in getattr(estimator, "steps", []))]
    for part in list(parts):
        parts += [step for _, step, _ in getattr(part, "transformers_", []) if not isinstance(step, str)]
    names = {type(part).__module__.partition(".")[0] for part in parts} | {"pandas", "cloudpickle"}
    packages = importlib.metadata.packages_distributions()
    return {
        name: importlib.metadata.version(packages[name][0])
        for name in sorted(names)
        if name in packages and name != "modelwright" and name in sys.modules
    }
