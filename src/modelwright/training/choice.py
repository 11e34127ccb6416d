"""Which of the declared models, fitted on which part of history: chosen on folds in order of time.

Every pair is fitted on what was known before each of the last few stretches of the training rows, as long as what is held
back, and judged on the stretch; a model that is to be tuned is tuned on the same folds first (`training.tuning`). Only the
training rows are looked at: the gates see rows that no choice was made on.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from modelwright.core.errors import TrainingError
from modelwright.release.manifest import Tried
from modelwright.spec.past import Past
from modelwright.spec.tune import Tuned
from modelwright.stats.predictions import Array
from modelwright.training.examples import SMALLEST, Examples, Split
from modelwright.training.tuning import Found

FOLDS = 3
ENOUGH = 20 * SMALLEST
"""Fewer labelled rows than this since a change are no ground to forget what was before it."""


class Alternative(NamedTuple):
    """A model to fit, and the rows to fit it on."""

    model: Any
    past: Past


Judge = Callable[[Alternative, Split], float]
"""Fits an alternative on a split's training rows and gives its metric on the held-back ones."""

Tune = Callable[[Tuned, Past, Callable[[Any], float]], Found]
"""Finds the parameters of a model on a part of history, by what a model's mean metric over the folds is."""


def choose(
    models: Sequence[Any],
    pasts: Sequence[Past],
    examples: Examples,
    split: Split,
    describe: Callable[[Any], str],
    judge: Judge,
    tune: Tune,
    *,
    higher_is_better: bool,
) -> tuple[Alternative, tuple[Tried, ...]]:
    """The alternative with the best mean metric, the first of equals, and the figures of all.

    With one alternative that has nothing to tune nothing is tried, and where history is too short for a single fold the
    first is taken, with its parameters as declared. Raises
    `TrainingError` where every alternative fails.
    """
    alternatives = [Alternative(model, past) for model, past in product(models, pasts)]
    if len(alternatives) == 1 and not isinstance(alternatives[0].model, Tuned):
        return alternatives[0], ()
    folds = folds_of(examples, split)
    tried: list[Tried] = []
    best, best_value = None if folds else alternatives[0], -np.inf
    if best is not None and isinstance(best.model, Tuned):
        best = Alternative(best.model.model, best.past)
    for declared, fitted_on in alternatives:

        def mean(model: Any, fitted_on: Past = fitted_on) -> float:
            return float(
                np.mean([judge(Alternative(model, fitted_on), taken(fitted_on, examples, fold)) for fold in folds])
            )

        model, past = describe(declared), fitted_on.name
        alternative = Alternative(declared, fitted_on)
        parameters: dict[str, str] = {}
        trials: tuple[float | None, ...] = ()
        try:
            if not folds:
                value = np.nan
            elif isinstance(declared, Tuned):
                found = tune(declared, fitted_on, mean)
                alternative, model, trials = Alternative(found.model, fitted_on), describe(found.model), found.trials
                parameters = {name: describe(value) for name, value in found.parameters.items()}
                values = [value for value in trials if value is not None]
                value = max(values) if higher_is_better else min(values)
            else:
                value = mean(declared)
        except TrainingError as error:
            tried.append(Tried(model=model, past=past, value=None, folds=0, reason=str(error)))
            continue
        if not np.isfinite(value):
            reason = "history is too short to compare" if not folds else "the metric is not defined on the folds"
            tried.append(Tried(model=model, past=past, value=None, folds=0, reason=reason))
            continue
        tried.append(Tried(model=model, past=past, value=value, folds=len(folds), parameters=parameters, trials=trials))
        if (ranked := value if higher_is_better else -value) > best_value:
            best, best_value = alternative, ranked
    if best is None:
        raise TrainingError(f"no candidate could be fitted: {tried[0].model}: {tried[0].reason}")
    return best, tuple(tried)


def taken(past: Past, examples: Examples, split: Split) -> Split:
    """The split with the training rows that count. Raises `TrainingError` where they are too few.

    Since a change all count where it left fewer than `ENOUGH`, on a fold as well: what would have been done then is judged.
    """
    if past.change_us:
        since = examples.at_us[split.train] >= past.change_us
        if since.sum() < ENOUGH:
            return split
        return replace(split, train=split.train[since], train_outcomes=split.train_outcomes[since])
    if not past.last_us:
        return split
    rows = examples.at_us[split.train] >= split.at_us - past.last_us
    if (count := int(rows.sum())) < SMALLEST:
        raise TrainingError(f"{count} rows in {past.name}; at least {SMALLEST} are needed: give a longer past")
    return replace(split, train=split.train[rows], train_outcomes=split.train_outcomes[rows])


def weights_of(past: Past, examples: Examples, split: Split) -> Array | None:
    """[n] the weight of each training row, 1 for one that happens where it splits; None where all count alike."""
    if not past.half_life_us:
        return None
    age_us = split.at_us - examples.at_us[split.train]
    return np.asarray(np.exp2(-age_us / past.half_life_us), dtype=np.float64)


def folds_of(examples: Examples, split: Split) -> list[Split]:
    """The last stretches of the training rows as splits of their own, the newest first."""
    at_us, known_us = examples.at_us[split.train], examples.first_known_us[split.train]
    length = max(int(examples.at_us[split.held_back[-1]]) - split.at_us, 1)
    folds = []
    end = split.at_us
    for _ in range(FOLDS):
        begin = end - length
        fitted = (at_us < begin) & (known_us <= begin)
        judged = (at_us >= begin) & (at_us < end)
        if fitted.sum() < SMALLEST or judged.sum() < SMALLEST:
            break
        folds.append(
            Split(
                split.train[fitted], split.train_outcomes[fitted], split.train[judged], split.train_outcomes[judged], begin
            )
        )  # fmt: skip
        end = begin
    return folds
