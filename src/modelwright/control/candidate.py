"""From the log to a candidate: split, fit, compile, judge, publish. The candidate that is judged is the folder that
would be served; nothing is fitted again afterwards.

Nothing here decides: the verdicts are handed back, and the loop acts on them.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelwright.core.errors import ReleaseError, TrainingError
from modelwright.gates.trial import HeldBackTrial
from modelwright.optimize.equivalence import compare, with_missing_texts
from modelwright.optimize.onnx_form import NotConvertible, onnx_form
from modelwright.registry.card import card
from modelwright.registry.publish import publish
from modelwright.release.folder import ARTEFACT, Release, open_release
from modelwright.release.inputs import InputColumn, Rows, data_frame
from modelwright.release.manifest import Equivalence, Manifest, References, RowLoss, RuntimeName, encode_pretty
from modelwright.release.runtime import Runtime, checked, estimator_output, open_runtime
from modelwright.spec.gate import Verdict
from modelwright.spec.metric import METRICS
from modelwright.spec.system import System
from modelwright.spec.view import ViewSpec
from modelwright.stats.losses import row_losses
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions
from modelwright.stats.reference import plain, reference_of_numbers, reference_of_texts
from modelwright.training.baseline import LAST, Baseline, constant_baseline, last_outcome_baseline
from modelwright.training.examples import Examples, Split, split_by_time, vocabulary
from modelwright.training.fit import classes_of, fit, pickled

EQUIVALENCE_ROWS = 2_000
"""Rows a compiled form is compared on: the held-back ones, filled up with the newest fitted ones."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Material:
    """All a training works with: the inputs of every event, and the last known outcome for the baseline."""

    examples: Examples
    last_outcome: list[Any]
    data_version: str

    def rows_for(self, manifest: Manifest) -> Rows:
        """The inputs in the form that release wants."""
        if manifest.runtime == "constant":
            return Rows(np.zeros((len(self.examples), 0)))
        if manifest.runtime == LAST:
            if manifest.inputs[0].kind == "text":
                return Rows(np.zeros((len(self.examples), 0)), (self.last_outcome,))
            return Rows(np.array([np.nan if value is None else float(value) for value in self.last_outcome]).reshape(-1, 1))
        if tuple(column.name for column in manifest.inputs) != self.examples.names:
            raise ReleaseError("a release of another declaration cannot be compared: its inputs differ")
        return self.examples.rows


class Seconds(msgspec.Struct, kw_only=True):
    """Where a training's time went."""

    fit: float = 0.0
    compile: float = 0.0
    judge: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A published release and what its gates found. `observed` holds what no decision may rest on."""

    name: str
    manifest: Manifest
    verdicts: tuple[Verdict, ...] = ()
    seconds: Seconds = field(default_factory=Seconds)

    @property
    def passed(self) -> bool:
        """All gates."""
        return all(verdict.passed for verdict in self.verdicts)

    def evidence(self) -> dict[str, Any]:
        """The figures for the journal."""
        return {
            "rows": self.manifest.rows,
            "metrics": self.manifest.metrics,
            "runtime": self.manifest.runtime,
            "equivalence": msgspec.to_builtins(self.manifest.equivalence),
        }


def train_candidate(
    system: System,
    material: Material,
    now_us: int,
    number: int,
    releases: Path,
    champion: Release | None = None,
    progress: Progress = lambda step: None,
) -> Candidate:
    """Fit, compile, judge and publish one candidate as of `now_us`.

    Raises `TrainingError` where history is too short, the model fails in fit, or predicts what no model may.
    """
    began = time.perf_counter()
    examples = material.examples
    split = split_by_time(examples, now_us, system.validation_us)
    columns = input_columns(examples, split.train)
    seconds = Seconds()

    progress(f"fitting on {len(split.train):,} rows")
    train_rows, held_back_rows = examples.rows.take(split.train), examples.rows.take(split.held_back)
    clock = time.perf_counter()
    estimator = fit(system.model, system.seed, train_rows, columns, split.train_outcomes, system.label)
    classes = classes_of(estimator, system.label)
    seconds.fit = time.perf_counter() - clock

    progress("compiling")
    clock = time.perf_counter()
    name, data, equivalence = fastest_form(estimator, columns, classes, train_rows, held_back_rows)
    seconds.compile = time.perf_counter() - clock

    progress("judging")
    clock = time.perf_counter()
    manifest = Manifest(
        system=system.name,
        kind="model",
        runtime=name,
        label=system.label,
        metric=system.metric.name,
        classes=classes,
        inputs=columns,
        views=tuple(view.spec() for view in system.features),
        requires=requirements(estimator) if name == "native" else {},
        model=describe_model(system.model),
        equivalence=equivalence,
    )
    said = _held_back_predictions(open_runtime(manifest, data), columns, held_back_rows, classes, type(system.model).__name__)
    baseline = _baseline_said(system, material, split, best_baseline(system, material, split))
    trial_of = {"candidate": said, "baseline": baseline}
    if champion is not None:
        trial_of["champion"] = champion.predict(material.rows_for(champion.manifest).take(split.held_back))
    trial = HeldBackTrial(split.held_back_outcomes, trial_of)
    verdicts = tuple(_finite(gate.judge(trial, system.metric.name)) for gate in system.gates)
    seconds.judge = time.perf_counter() - clock

    manifest = _with_figures(manifest, system, material, split, said)
    seconds.total = time.perf_counter() - began
    files = {
        ARTEFACT[name]: data,
        "card.md": card(manifest, system.contract, verdicts, plain(trial.metric(system.metric.name, "baseline"))).encode(),
        **_common_files(manifest, system, _references(columns, train_rows, said, classes)),
    }
    folder, manifest = publish(releases, number, manifest, files, {"seconds": seconds})
    return Candidate(folder, manifest, verdicts, seconds)


def train_baseline(system: System, material: Material, now_us: int, number: int, releases: Path) -> Candidate:
    """Publish the baseline that does best on the held-back rows."""
    began = time.perf_counter()
    split = split_by_time(material.examples, now_us, system.validation_us)
    baseline = best_baseline(system, material, split)
    said = _baseline_said(system, material, split, baseline)
    manifest = Manifest(
        system=system.name,
        kind="baseline",
        runtime=baseline.runtime,
        label=system.label,
        metric=system.metric.name,
        classes=baseline.classes,
        inputs=baseline.inputs,
        views=baseline.views,
        model="as it was last time" if baseline.runtime == LAST else "the most frequent outcome, or the median",
    )
    rows = material.rows_for(manifest).take(split.train)
    manifest = _with_figures(manifest, system, material, split, said)
    files = {
        ARTEFACT[baseline.runtime]: baseline.data(),
        "card.md": card(manifest, system.contract, (), None).encode(),
        **_common_files(manifest, system, _references(baseline.inputs, rows, said, baseline.classes)),
    }
    seconds = Seconds(total=time.perf_counter() - began)
    folder, manifest = publish(releases, number, manifest, files, {"seconds": seconds})
    return Candidate(folder, manifest, (), seconds)


def input_columns(examples: Examples, train: Array) -> tuple[InputColumn, ...]:
    """The inputs, with the vocabularies of the training rows."""
    texts = iter(examples.rows.texts)
    return tuple(
        InputColumn(name=name, kind="text", vocabulary=vocabulary(np.asarray(next(texts), dtype=object)[train].tolist()))
        if is_text
        else InputColumn(name=name, kind="number")
        for name, is_text in zip(examples.names, examples.is_text, strict=True)
    )


def fastest_form(
    estimator: Any, columns: tuple[InputColumn, ...], classes: tuple[bool | str, ...], train: Rows, held_back: Rows
) -> tuple[RuntimeName, bytes, Equivalence]:
    """The compiled form where it is proven equal, else the estimator itself and why."""
    try:
        data = onnx_form(estimator, columns, classifier=bool(classes))
    except NotConvertible as reason:
        return "native", pickled(estimator), Equivalence(rows=0, flips=0, largest=0.0, accepted=False, reason=str(reason))
    newest = train.take(slice(max(0, len(train) - max(0, EQUIVALENCE_ROWS - len(held_back))), None))
    texts = tuple([*a, *b] for a, b in zip(held_back.texts, newest.texts, strict=True))
    rows = with_missing_texts(Rows(np.concatenate([held_back.numbers, newest.numbers]), texts), columns)
    try:
        from modelwright.release.runtime import OnnxRuntime  # noqa: PLC0415

        compiled = OnnxRuntime(data, columns).run(rows)
        native = estimator_output(estimator, data_frame(rows, columns), classes)
        equivalence = compare(native, compiled.reshape(native.shape), classifier=bool(classes))
    except Exception as error:  # a graph that does not run is as good as none
        first = (str(error).strip().splitlines() or [""])[0]
        equivalence = Equivalence(rows=len(rows), flips=0, largest=0.0, accepted=False, reason=f"{type(error).__name__}: {first[:160]}")
    return ("onnx", data, equivalence) if equivalence.accepted else ("native", pickled(estimator), equivalence)


def best_baseline(system: System, material: Material, split: Split) -> Baseline:
    """The constant, or the last known outcome, whichever does better on the held-back rows."""
    constant = constant_baseline(split.train_outcomes, system.label)
    last = [material.last_outcome[row] for row in split.train]
    tried = [last_outcome_baseline(split.train_outcomes, last, system.contract, system.label), constant]
    figures = [
        metric_value(system.metric.name, split.held_back_outcomes, _baseline_said(system, material, split, baseline))
        for baseline in tried
    ]
    ranked = [-math.inf if math.isnan(figure) else figure if system.metric.higher_is_better else -figure for figure in figures]
    return tried[int(np.argmax(ranked))]


def _baseline_said(system: System, material: Material, split: Split, baseline: Baseline) -> Predictions:
    manifest = Manifest(
        system=system.name, kind="baseline", runtime=baseline.runtime, label=system.label, metric=system.metric.name, inputs=baseline.inputs
    )  # fmt: skip
    rows = material.rows_for(manifest).take(split.held_back)
    return checked(baseline.load().run(rows), len(rows), baseline.classes, "the baseline")


def _held_back_predictions(
    runtime: Runtime, columns: tuple[InputColumn, ...], rows: Rows, classes: tuple[bool | str, ...], model: str
) -> Predictions:
    from modelwright.release.inputs import in_vocabulary  # noqa: PLC0415

    try:
        return checked(runtime.run(in_vocabulary(rows, columns)), len(rows), classes, model)
    except ReleaseError as error:
        raise TrainingError(str(error)) from None
    except Exception as error:
        raise TrainingError(f"{model} failed to predict {len(rows)} held-back rows: {type(error).__name__}: {error}") from error


def _with_figures(manifest: Manifest, system: System, material: Material, split: Split, said: Predictions) -> Manifest:
    outcomes = split.held_back_outcomes
    fitting = [metric.name for metric in METRICS.values() if system.label.kind in metric.kinds]
    losses = row_losses(system.metric.name, outcomes, said)
    at_us = material.examples.at_us
    return msgspec.structs.replace(
        manifest,
        trained_from_us=int(at_us[split.train[0]]),
        trained_until_us=int(at_us[split.train[-1]]),
        rows=len(split.train),
        metrics={name: plain(metric_value(name, outcomes, said)) for name in fitting},
        loss=RowLoss(float(losses.mean()), float(losses.var()), len(losses)),
        data_version=material.data_version,
    )


def _references(
    columns: tuple[InputColumn, ...], rows: Rows, said: Predictions, classes: tuple[bool | str, ...]
) -> References:
    number, text = 0, 0
    references = []
    for column in columns:
        if column.kind == "number":
            references.append(reference_of_numbers(column.name, rows.numbers[:, number]))
            number += 1
        else:
            references.append(reference_of_texts(column.name, rows.texts[text]))
            text += 1
    score = said.score if classes else said.value
    return References(tuple(references), None if score is None else reference_of_numbers("score", np.asarray(score, dtype=float)))


def _common_files(manifest: Manifest, system: System, references: References) -> dict[str, bytes]:
    views: tuple[ViewSpec, ...] = manifest.views
    return {
        "contract.json": encode_pretty(system.contract),
        "views.json": encode_pretty(views),
        "metrics.json": encode_pretty(manifest.metrics),
        "reference.json": encode_pretty(references),
    }


def requirements(estimator: Any) -> dict[str, str]:
    """The libraries a pickled estimator is made of, with their versions: pandas for its DataFrame, and its own modules'."""
    import importlib.metadata  # noqa: PLC0415
    import sys  # noqa: PLC0415

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


def describe_model(model: Any) -> str:
    """The estimator as its own repr says, white space made single."""
    return " ".join(repr(model).split())


def _finite(verdict: Verdict) -> Verdict:
    """A figure that is not defined (one class in the tail) becomes a failed verdict that JSON can hold."""
    if math.isfinite(verdict.value) and math.isfinite(verdict.threshold):
        return verdict
    return msgspec.structs.replace(verdict, passed=False, value=0.0, name=f"{verdict.name} (not defined on the held-back rows)")


def load_release(releases: Path, name: str) -> Release:
    """A published release by its name."""
    return open_release(releases / name)
