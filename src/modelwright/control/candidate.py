"""From the log to a candidate: split, fit, compile, judge, publish. The candidate that is judged is the folder that
would be served; nothing is fitted again afterwards.

Nothing here decides: the verdicts are handed back, and the loop acts on them.
"""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelwright.control.declaration import declaration_hash, describe_model
from modelwright.control.figures import common_files, with_figures
from modelwright.control.importance import importance_of
from modelwright.control.material import Material
from modelwright.core.canonical import canonical_json, sha256_hex
from modelwright.core.errors import ReleaseError, TrainingError, first_line
from modelwright.gates.trial import HeldBackTrial
from modelwright.optimize.equivalence import Bounds
from modelwright.optimize.form import Latency, served_form
from modelwright.optimize.image import history_image
from modelwright.registry.card import card
from modelwright.registry.publish import publish
from modelwright.release.folder import ARTEFACT, IMAGE, Release, open_release
from modelwright.release.inputs import InputColumn, Rows, data_frame, in_vocabulary
from modelwright.release.manifest import Manifest, Tried
from modelwright.release.runtime import Runtime, checked, estimator_output, open_runtime
from modelwright.spec.gate import Verdict
from modelwright.spec.past import Past
from modelwright.spec.system import System
from modelwright.spec.tune import Tuned
from modelwright.stats.arrivals import Arrivals, arrivals_of
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions
from modelwright.stats.reference import plain
from modelwright.training.baseline import LAST, Baseline, constant_baseline, last_outcome_baseline
from modelwright.training.choice import Alternative, choose, taken, weights_of
from modelwright.training.examples import Examples, Split, split_by_time, vocabulary
from modelwright.training.fit import classes_of, fit, told
from modelwright.training.tuning import Found, tuned

Progress = Callable[[str], None]
STUDIES = "studies"
"""Beside the releases: the trials of a tuning that is under way, for one that was killed to go on with."""


class Seconds(msgspec.Struct, kw_only=True):
    """Where a training's time went; `processor`: what it cost, whatever else the machine did meanwhile."""

    choose: float = 0.0
    fit: float = 0.0
    compile: float = 0.0
    judge: float = 0.0
    total: float = 0.0
    processor: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A published release and what its gates found. No decision may rest on `seconds` and `latencies`."""

    name: str
    manifest: Manifest
    verdicts: tuple[Verdict, ...] = ()
    seconds: Seconds = field(default_factory=Seconds)
    latencies: dict[str, Latency] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """All gates."""
        return all(verdict.passed for verdict in self.verdicts)

    def evidence(self) -> dict[str, Any]:
        """The figures for the journal."""
        return {
            "rows": self.manifest.rows,
            "declaration": self.manifest.declaration,
            "model": self.manifest.model,
            "trained_on": self.manifest.trained_on,
            "chosen_from": msgspec.to_builtins(self.manifest.chosen_from),
            "metrics": self.manifest.metrics,
            "runtime": self.manifest.runtime,
            "equivalence": msgspec.to_builtins(self.manifest.equivalence),
            "forms": msgspec.to_builtins(self.manifest.forms),
        }

    def observed(self) -> dict[str, Any]:
        """What was measured on this machine, outside the journal's hash."""
        return {"seconds": msgspec.to_builtins(self.seconds), "latencies": msgspec.to_builtins(self.latencies)}


def train_candidate(
    system: System,
    material: Material,
    now_us: int,
    number: int,
    releases: Path,
    champion: Release | None = None,
    progress: Progress = lambda step: None,
    change_us: int = 0,
) -> Candidate:
    """Fit, compile, judge and publish one candidate as of `now_us`, when the newest known change was at `change_us` (0: none).

    Raises `TrainingError` where history is too short, the model fails in fit, or predicts what no model may.
    """
    began, used = time.perf_counter(), time.process_time()
    examples = material.examples
    split = split_by_time(examples, now_us, system.validation_us)
    seconds = Seconds()

    clock = time.perf_counter()
    pasts = tuple(dict.fromkeys(past.known(change_us) for past in system.train_on))
    (model, past), tried = _chosen(system, pasts, examples, split, releases.parent / STUDIES, progress)
    split = taken(past, examples, split)
    columns = input_columns(examples, split.train)
    seconds.choose = time.perf_counter() - clock

    progress(f"fitting on {len(split.train):,} rows")
    train_rows, held_back_rows = examples.rows.take(split.train), examples.rows.take(split.held_back)
    clock = time.perf_counter()
    weights = weights_of(past, examples, split)
    estimator = fit(model, system.seed, train_rows, columns, split.train_outcomes, system.label, weights)
    classes = classes_of(estimator, system.label, split.train_outcomes)
    seconds.fit = time.perf_counter() - clock

    progress("compiling")
    if system.features:
        history_image()  # where it was never made before, this is when to wait for it
    clock = time.perf_counter()
    bounds = (
        None if system.optimize is None else Bounds(system.optimize, system.metric, split.held_back_outcomes, classes)
    )
    form = served_form(estimator, columns, classes, train_rows, held_back_rows, bounds)
    seconds.compile = time.perf_counter() - clock

    progress("judging")
    clock = time.perf_counter()
    manifest = Manifest(
        system=system.name,
        kind="model",
        runtime=form.runtime,
        label=system.label,
        metric=system.metric.name,
        classes=classes,
        inputs=columns,
        views=tuple(view.spec() for view in system.features),
        others=system.others,
        requires=form.requires,
        model=describe_model(model),
        declaration=declaration_hash(system),
        trained_on=past.name,
        chosen_from=tried,
        equivalence=form.equivalence,
        forms=form.tried,
    )
    runtime = open_runtime(manifest, form.data, form.image)

    def predict(rows: Rows) -> Predictions:
        return _predictions(runtime, columns, rows, classes, type(model).__name__)

    said = predict(held_back_rows)
    baseline = _baseline_said(system, material, split, best_baseline(system, material, split))
    trial_of = {"candidate": said, "baseline": baseline}
    champion_said = None if champion is None else _champion_said(champion, material, split)
    if champion_said is not None:
        trial_of["champion"] = champion_said
    trial = HeldBackTrial(split.held_back_outcomes, trial_of)
    verdicts = tuple(_finite(gate.judge(trial, system.metric.name)) for gate in system.gates)
    importance = importance_of(predict, columns, held_back_rows, system.seed)
    seconds.judge = time.perf_counter() - clock

    manifest = with_figures(manifest, system, examples, split, said)
    seconds.total, seconds.processor = time.perf_counter() - began, time.process_time() - used
    files = {
        ARTEFACT[form.runtime]: form.data,
        **form.beside,
        **({} if form.image is None else {IMAGE: form.image}),
        "card.md": card(
            manifest, system.contract, verdicts, plain(trial.metric(system.metric.name, "baseline"))
        ).encode(),
        **common_files(manifest, system, columns, train_rows, _score(said), importance, _arrivals(examples, now_us)),
    }
    observed = {"seconds": seconds, "latencies": form.latencies}
    folder, manifest = publish(releases, number, manifest, files, observed)
    shutil.rmtree(releases.parent / STUDIES, ignore_errors=True)
    return Candidate(folder, manifest, verdicts, seconds, form.latencies)


def _chosen(
    system: System, pasts: Sequence[Past], examples: Examples, split: Split, studies: Path, progress: Progress
) -> tuple[Alternative, tuple[Tried, ...]]:
    """The declared model and part of history, or, of several, those that do best on folds of the training rows."""

    def judge(alternative: Alternative, fold: Split) -> float:
        columns = input_columns(examples, fold.train)
        model, past = alternative
        progress(f"trying {type(model).__name__} on {past.name}")
        weights = weights_of(past, examples, fold)
        rows, asked = examples.rows.take(fold.train), in_vocabulary(examples.rows.take(fold.held_back), columns)
        estimator = fit(model, system.seed, rows, columns, fold.train_outcomes, system.label, weights)
        classes = classes_of(estimator, system.label, fold.train_outcomes)
        try:
            output = estimator_output(estimator, data_frame(asked, columns), classes)
            said = checked(output, len(asked), classes, type(model).__name__)
        except Exception as error:
            raise TrainingError(f"{type(model).__name__} failed to predict: {told(error)}") from error
        return metric_value(system.metric.name, fold.held_back_outcomes, said)

    def tune(declared: Tuned, past: Past, mean: Callable[[Any], float]) -> Found:
        study = {
            "declaration": declaration_hash(system),
            "model": describe_model(declared),
            "past": past.name,
            "data": examples.version_of(split.train),
            "split_us": [split.at_us, int(examples.at_us[split.held_back[-1]])],
        }
        file = studies / f"{sha256_hex(canonical_json(study))[:16]}.jsonl"
        return tuned(declared, mean, file, system.seed, higher_is_better=system.metric.higher_is_better)

    return choose(
        system.models, pasts, examples, split, describe_model, judge, tune,
        higher_is_better=system.metric.higher_is_better,
    )  # fmt: skip


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
    manifest = with_figures(manifest, system, material.examples, split, said)
    files = {
        ARTEFACT[baseline.runtime]: baseline.data(),
        "card.md": card(manifest, system.contract, (), None).encode(),
        **common_files(
            manifest, system, baseline.inputs, rows, _score(said), None, _arrivals(material.examples, now_us)
        ),
    }
    seconds = Seconds(total=time.perf_counter() - began)
    folder, manifest = publish(releases, number, manifest, files, {"seconds": seconds})
    return Candidate(folder, manifest, (), seconds)


def input_columns(examples: Examples, train: Array) -> tuple[InputColumn, ...]:
    """The inputs, with the vocabularies of the training rows."""
    texts = iter(examples.rows.texts)
    columns = []
    for name, is_text in zip(examples.names, examples.is_text, strict=True):
        given = next(texts) if is_text else None
        known = None
        if given is not None and name not in examples.free:
            known = vocabulary(np.asarray(given, dtype=object)[train].tolist())
        columns.append(InputColumn(name=name, kind="text" if is_text else "number", vocabulary=known))
    return tuple(columns)


def best_baseline(system: System, material: Material, split: Split) -> Baseline:
    """The constant, or the last known outcome, whichever does better on the held-back rows."""
    constant = constant_baseline(split.train_outcomes, system.label)
    last = material.last_outcome[split.train]
    tried = [last_outcome_baseline(split.train_outcomes, last, system.contract, system.label), constant]
    figures = [
        metric_value(system.metric.name, split.held_back_outcomes, _baseline_said(system, material, split, baseline))
        for baseline in tried
    ]
    ranked = [
        -math.inf if math.isnan(figure) else figure if system.metric.higher_is_better else -figure for figure in figures
    ]
    return tried[int(np.argmax(ranked))]


def _baseline_said(system: System, material: Material, split: Split, baseline: Baseline) -> Predictions:
    manifest = Manifest(
        system=system.name,
        kind="baseline",
        runtime=baseline.runtime,
        label=system.label,
        metric=system.metric.name,
        inputs=baseline.inputs,
    )
    rows = material.rows_for(manifest).take(split.held_back)
    return checked(baseline.load().run(rows), len(rows), baseline.classes, "the baseline")


def _predictions(
    runtime: Runtime, columns: tuple[InputColumn, ...], rows: Rows, classes: tuple[bool | str, ...], model: str
) -> Predictions:
    try:
        return checked(runtime.run(in_vocabulary(rows, columns)), len(rows), classes, model)
    except ReleaseError as error:
        raise TrainingError(str(error)) from None
    except Exception as error:
        raise TrainingError(f"{model} failed to predict {len(rows)} held-back rows: {first_line(error)}") from error


def _champion_said(champion: Release, material: Material, split: Split) -> Predictions | None:
    """None where it cannot answer the held-back rows: what has failed, or is of another declaration, is no rival."""
    try:
        return champion.predict(material.rows_for(champion.manifest).take(split.held_back))
    except ReleaseError:
        return None


def _score(said: Predictions) -> Array | None:
    """What is watched for drift: the positive class's probability, or the amount."""
    return said.score if said.classes else said.value


def _arrivals(examples: Examples, now_us: int) -> Arrivals:
    return arrivals_of(examples.at_us, examples.first_known_us, examples.known_us, now_us)


def _finite(verdict: Verdict) -> Verdict:
    """A figure that is not defined (one class in the tail) becomes a failed verdict that JSON can hold."""
    if math.isfinite(verdict.value) and math.isfinite(verdict.threshold):
        return verdict
    return msgspec.structs.replace(
        verdict, passed=False, value=0.0, name=f"{verdict.name} (not defined on the held-back rows)"
    )


def load_release(releases: Path, name: str) -> Release:
    """A published release by its name."""
    return open_release(releases / name)
