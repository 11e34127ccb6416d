"""Fit a fresh copy of the declared estimator; never the declared one, and never twice."""

import copy
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from modelwright.core.canonical import sha256_hex
from modelwright.core.errors import TrainingError
from modelwright.release.inputs import InputColumn, Rows, data_frame
from modelwright.spec.label import LabelSpec
from modelwright.spec.load import SOURCE
from modelwright.stats.predictions import Array


def fresh_copy(model: Any, seed: int) -> Any:
    """An unfitted copy whose every unset `random_state` is `seed`."""
    if hasattr(model, "get_params"):
        from sklearn.base import clone

        copied = clone(model)
        unset = {
            name: seed
            for name, value in copied.get_params(deep=True).items()
            if value is None and (name == "random_state" or name.endswith("__random_state"))
        }
        return copied.set_params(**unset)
    copied = copy.deepcopy(model)
    if getattr(copied, "random_state", seed) is None:
        copied.random_state = seed
    return copied


def fit(model: Any, seed: int, rows: Rows, columns: Sequence[InputColumn], outcomes: Array, label: LabelSpec) -> Any:
    """The fitted estimator. `outcomes` [n] are booleans, texts or floats by the label's kind.

    Raises `TrainingError` with the model's own first line where fit fails, or where only one class is known.
    """
    if label.task == "classification" and len(set(outcomes.tolist())) < 2:
        raise TrainingError(
            f"every known outcome is {label.name}={outcomes.tolist()[0]!r}; a classifier needs both kinds: bring more history"
        )
    target = outcomes.astype(str) if label.kind == "str" else outcomes
    name = type(model).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator = fresh_copy(model, seed)
            estimator.fit(data_frame(rows, columns), target)
    except (Exception, SystemExit) as error:
        first = (str(error).splitlines() or [""])[0]
        raise TrainingError(f"{name}.fit failed on {len(rows)} rows: {type(error).__name__}: {first}") from error
    return estimator


def classes_of(estimator: Any, label: LabelSpec) -> tuple[bool | str, ...]:
    """The classes in the order of the estimator's probabilities; empty for amounts."""
    if label.task == "regression":
        return ()
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        if label.kind == "bool" and not hasattr(estimator, "predict_proba"):
            return (False, True)
        raise TrainingError(
            f"{type(estimator).__name__} has no classes_ after fit, so its probabilities cannot be read"
        )
    if label.kind == "bool" and [bool(value) for value in classes] != [False, True]:
        raise TrainingError(f"{type(estimator).__name__}.classes_ is {classes!r} after fit; [False, True] was expected")
    return tuple(bool(value) if label.kind == "bool" else str(value) for value in classes)


def pickled(estimator: Any) -> bytes:
    """The estimator by cloudpickle; whatever the user's own system file defines travels by value."""
    import cloudpickle

    own = [module for name, module in sys.modules.items() if name.startswith("modelwright_user_")]
    for module in own:
        _name_classes(module)
        cloudpickle.register_pickle_by_value(module)
    try:
        data: bytes = cloudpickle.dumps(estimator)
    except Exception as error:
        raise TrainingError(f"{type(estimator).__name__} cannot be stored: {type(error).__name__}: {error}") from error
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)
    return data


def _name_classes(module: ModuleType) -> None:
    """Give the module's classes the ids that cloudpickle would draw at random: equal source gives equal bytes.

    What is loaded under such an id is a class of its own, so that loading a release never touches the module's.
    """
    from cloudpickle import cloudpickle

    id_of = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS  # noqa: SLF001 - private, and the only handle there is
    source = vars(module).get(SOURCE)
    for name, value in list(vars(module).items()):
        if source and isinstance(value, type) and value.__module__ == module.__name__ and value not in id_of:
            id_of[value] = sha256_hex(f"{source} {name}".encode())[:32]
