"""The best parameters of one model on the folds of one training.

Optuna proposes, one set of values after the other; a proposal hangs on the seed and on what came before it alone, so that
a study that is begun again proposes the same. The value of every trial is written down as soon as it is known: a
killed training finds it there and goes on with the first trial that is missing. Nothing of a finished study is kept
here: the release says what was tried.
"""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modelwright.core.errors import MissingExtraError, TrainingError
from modelwright.spec.space import Choice, Dimension, Integer
from modelwright.spec.tune import Tuned


class Found(NamedTuple):
    """The model with the best parameters, those parameters, and the value of each trial; the declared one comes first."""

    model: Any
    parameters: dict[str, Any]
    trials: tuple[float | None, ...]


class Kept:
    """The trials of one study in a file, a line each. State: the file, which is replaced whole with every trial."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: list[tuple[dict[str, Any], float | None]] = []
        if file.exists():
            said = [json.loads(line) for line in file.read_text().splitlines()]
            self._known = [(one["values"], one["value"]) for one in said]
        self._place = 0

    def value_of(self, values: dict[str, Any], judge: Callable[[], float | None]) -> float | None:
        """What is written down for the next trial, if that had the same values; else what `judge` says, written down."""
        place, self._place = self._place, self._place + 1
        if place < len(self._known) and self._known[place][0] == values:
            return self._known[place][1]
        del self._known[place:]
        value = judge()
        self._known.append((values, value))
        lines = [json.dumps({"values": values, "value": value}) + "\n" for values, value in self._known]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(f".{os.getpid()}.partial")
        partial.write_text("".join(lines))
        partial.replace(self._file)
        return value


def tuned(declared: Tuned, judge: Callable[[Any], float], file: Path, seed: int, *, higher_is_better: bool) -> Found:
    """Try the declared parameters and then `declared.trials` others; the best are taken, the first of equals.

    `judge` gives a model's mean metric on the folds, NaN or `TrainingError` where it has none. A set of values that cannot
    be fitted is a trial without a value. Raises `TrainingError` where no trial has one.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingExtraError("optuna", "tune", "mw.tune") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kept = Kept(file)
    reasons: list[str] = []

    def value_of(model: Any) -> float | None:
        try:
            value = judge(model)
        except TrainingError as error:
            reasons.append(str(error))
            return None
        return value if np.isfinite(value) else None

    best, parameters = declared.model, {}
    best_value = kept.value_of({}, partial(value_of, declared.model))
    trials = [best_value]
    distributions = {name: _distribution(dimension) for name, dimension in declared.space.items()}
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed % 2**32),
        direction="maximize" if higher_is_better else "minimize",
    )
    for _ in range(declared.trials):
        trial = study.ask(distributions)
        chosen = {name: _value(dimension, trial.params[name]) for name, dimension in declared.space.items()}
        model = with_parameters(declared.model, chosen)
        value = kept.value_of(trial.params, partial(value_of, model))
        study.tell(trial, value, state=None if value is not None else optuna.trial.TrialState.FAIL)
        trials.append(value)
        if value is not None and (
            best_value is None or (value > best_value if higher_is_better else value < best_value)
        ):
            best, parameters, best_value = model, chosen, value
    if best_value is None:
        reason = reasons[0] if reasons else "the metric is not defined on the folds"
        raise TrainingError(f"none of {len(trials)} trials could be judged: {reason}")
    return Found(best, parameters, tuple(trials))


def with_parameters(model: Any, parameters: dict[str, Any]) -> Any:
    """A copy of the model with these parameters."""
    from sklearn.base import clone

    try:
        return clone(model).set_params(**{name: _copied(value) for name, value in parameters.items()})
    except (ValueError, TypeError, RuntimeError) as error:
        raise TrainingError(f"{type(model).__name__} does not take {parameters}: {error}") from error


def _copied(value: Any) -> Any:
    from sklearn.base import clone

    return clone(value, safe=False)


def _distribution(dimension: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choice):  # by place: Optuna stores numbers and texts alone
        return CategoricalDistribution(range(len(dimension.options)))
    if isinstance(dimension, Integer):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _value(dimension: Dimension, proposed: Any) -> Any:
    return dimension.options[proposed] if isinstance(dimension, Choice) else proposed
