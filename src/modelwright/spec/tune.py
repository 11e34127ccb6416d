"""A model whose parameters each training looks for: `mw.tune(model, {"num_leaves": space.integer(8, 256)}, trials=50)`."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelwright.core.errors import DeclarationError
from modelwright.spec.space import Choice, Dimension, Integer, Real


@dataclass(frozen=True)
class Tuned:
    """The model as declared, what its parameters may be, and how many sets of them a training tries."""

    model: Any
    space: dict[str, Dimension]
    trials: int


def tune(model: Any, space: Mapping[str, Dimension], *, trials: int = 50) -> Tuned:
    """Have each training look for the model's best parameters, on folds in order of time of what is known then.

    `model`: an estimator with `get_params` and `set_params`, such as a scikit-learn pipeline; `space`: what its parameters
    may be, by name (`lgbmclassifier__num_leaves` of a pipeline's step); `trials`: how many sets of values are tried besides
    the declared one. Values are proposed by Optuna's TPE, one after the other, from the system's seed: the same history
    gives the same values on every machine with the same libraries, also where a training was killed on the way. That is
    why the bound is a number of trials and never a time. It needs `modelwright[tune]`.

    Raises `DeclarationError` for a parameter the model does not have.
    """
    where = f"mw.tune({type(model).__name__})"
    if not (callable(getattr(model, "get_params", None)) and callable(getattr(model, "set_params", None))):
        raise DeclarationError(f"{where}: it has no get_params and set_params; give a scikit-learn kind of estimator")
    if not isinstance(space, Mapping) or not space:
        raise DeclarationError(
            f'{where}: space is {space!r}; give parameters by name, {{"num_leaves": space.integer(8, 256)}}'
        )
    known = model.get_params(deep=True)
    for name, dimension in space.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), [*known], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise DeclarationError(f"{where}: no parameter {name!r}; {hint}")
        if not isinstance(dimension, (Integer, Real, Choice)):
            raise DeclarationError(
                f"{where}: {name}={dimension!r}; use space.integer(...), space.real(...) or space.choice([...])"
            )
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise DeclarationError(f"{where}: trials={trials!r}; a whole number, 1 or more")
    return Tuned(model, dict(space), trials)
