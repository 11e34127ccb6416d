"""From the log to a candidate: split, fit, compile, judge, publish. The candidate that is judged is the folder that
would be served; nothing is fitted again afterwards.

Nothing here decides: the verdicts are handed back, and the loop acts on them.
"""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelwright.control.figures import common_files, references_of, requirements, with_figures
from modelwright.control.material import Material
from modelwright.core.errors import ReleaseError, TrainingError, first_line
from modelwright.gates.trial import HeldBackTrial
from modelwright.optimize.form import Latency, served_form
from modelwright.registry.card import card
from modelwright.registry.publish import publish
from modelwright.release.folder import ARTEFACT, Release, open_release
from modelwright.release.inputs import InputColumn, Rows, in_vocabulary
from modelwright.release.manifest import Manifest
from modelwright.release.runtime import Runtime, checked, open_runtime
from modelwright.spec.gate import Verdict
from modelwright.spec.system import System
from modelwright.stats.metrics import metric_value
from modelwright.stats.predictions import Array, Predictions
from modelwright.stats.reference import plain
from modelwright.training.baseline import LAST, Baseline, constant_baseline, last_outcome_baseline
from modelwright.training.examples import Examples, Split, split_by_time, vocabulary
from modelwright.training.fit import classes_of, fit

Progress = Callable[[str], None]


class Seconds(msgspec.Struct, kw_only=True):
    """Where a training's time went."""

    fit: float = 0.0
    compile: float = 0.0
    judge: float = 0.0
    total: float = 0.0


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
    form = served_form(estimator, columns, classes, train_rows, held_back_rows)
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
        requires=requirements(estimator) if form.runtime == "native" else {},
        model=describe_model(system.model),
        equivalence=form.equivalence,
        forms=form.tried,
    )
    said = _held_back_predictions(
        open_runtime(manifest, form.data), columns, held_back_rows, classes, type(system.model).__name__
    )
    baseline = _baseline_said(system, material, split, best_baseline(system, material, split))
    trial_of = {"candidate": said, "baseline": baseline}
    champion_said = None if champion is None else _champion_said(champion, material, split)
    if champion_said is not None:
        trial_of["champion"] = champion_said
    trial = HeldBackTrial(split.held_back_outcomes, trial_of)
    verdicts = tuple(_finite(gate.judge(trial, system.metric.name)) for gate in system.gates)
    seconds.judge = time.perf_counter() - clock

    manifest = with_figures(manifest, system, examples, split, said)
    seconds.total = time.perf_counter() - began
    files = {
        ARTEFACT[form.runtime]: form.data,
        **form.beside,
        "card.md": card(
            manifest, system.contract, verdicts, plain(trial.metric(system.metric.name, "baseline"))
        ).encode(),
        **common_files(manifest, system, references_of(columns, train_rows, _score(said))),
    }
    observed = {"seconds": seconds, "latencies": form.latencies}
    folder, manifest = publish(releases, number, manifest, files, observed)
    return Candidate(folder, manifest, verdicts, seconds, form.latencies)


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
        **common_files(manifest, system, references_of(baseline.inputs, rows, _score(said))),
    }
    seconds = Seconds(total=time.perf_counter() - began)
    folder, manifest = publish(releases, number, manifest, files, {"seconds": seconds})
    return Candidate(folder, manifest, (), seconds)


def input_columns(examples: Examples, train: Array) -> tuple[InputColumn, ...]:
    """The inputs, with the vocabularies of the training rows."""
    texts = iter(examples.rows.texts)
    return tuple(
        InputColumn(
            name=name, kind="text", vocabulary=vocabulary(np.asarray(next(texts), dtype=object)[train].tolist())
        )
        if is_text
        else InputColumn(name=name, kind="number")
        for name, is_text in zip(examples.names, examples.is_text, strict=True)
    )


def best_baseline(system: System, material: Material, split: Split) -> Baseline:
    """The constant, or the last known outcome, whichever does better on the held-back rows."""
    constant = constant_baseline(split.train_outcomes, system.label)
    last = [material.last_outcome[row] for row in split.train]
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


def _held_back_predictions(
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


def describe_model(model: Any) -> str:
    """The estimator as its own repr says, on one line, without the addresses that differ from process to process."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(model).split()))


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
