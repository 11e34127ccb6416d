"""Fit a fresh copy of the declared estimator; never the declared one, and never twice."""

import copy
import inspect
import io
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from modelwright.core.canonical import sha256_hex
from modelwright.core.errors import TrainingError, first_line
from modelwright.release.inputs import InputColumn, Rows, as_taken, data_frame, reads_one_text
from modelwright.spec.label import LabelSpec
from modelwright.spec.load import SOURCE, own_modules
from modelwright.stats.predictions import Array


def fresh_copy(model: Any, seed: int) -> Any:
    """An unfitted copy whose every unset `random_state` is `seed`."""
    if hasattr(model, "get_params"):
        from sklearn.base import clone

        try:
            copied = clone(model)
        except RuntimeError:  # CatBoost with categories: its constructor writes them down in another way
            copied = copy.deepcopy(model)
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


def fit(
    model: Any,
    seed: int,
    rows: Rows,
    columns: Sequence[InputColumn],
    outcomes: Array,
    label: LabelSpec,
    weights: Array | None = None,
) -> Any:
    """The fitted estimator. `outcomes` [n] are booleans, texts or floats by the label's kind; `weights` [n] of the rows.

    Raises `TrainingError` with the model's own first line where fit fails or takes no weights, or where only one class is
    known.
    """
    if label.task == "classification" and len(set(outcomes.tolist())) < 2:
        raise TrainingError(
            f"every known outcome is {label.name}={outcomes.tolist()[0]!r}; a classifier needs both kinds: bring more history"
        )
    _check_vectorizers(model, columns)
    target = outcomes.astype(str) if label.kind == "str" else outcomes
    if label.kind == "str" and _takes_numbered_classes(model):
        target = np.unique(target, return_inverse=True)[1]
    name = type(model).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator = fresh_copy(model, seed)
            _seed_torch(seed)
            estimator.fit(as_taken(data_frame(rows, columns), estimator), target, **_weighted(estimator, weights))
    except TrainingError:
        raise
    except (Exception, SystemExit) as error:
        raise TrainingError(f"{name}.fit failed on {len(rows)} rows: {told(error)}") from error
    return estimator


def told(error: BaseException) -> str:
    """A model's own first line, and what to do where it was given categories for free text."""
    line = first_line(error)
    if INVALID_DOCUMENT not in line:
        return line
    return f"{line.rstrip('.')}; declare free text as Annotated[str, mw.Meta(text=True)]"


INVALID_DOCUMENT = "is an invalid document"
"""What scikit-learn's vectorizers say of a missing text, which a category that was not seen in training is."""


def _check_vectorizers(model: Any, columns: Sequence[InputColumn]) -> None:
    """TrainingError for a vectorizer that is given a frame: it would read the names of its columns."""
    text = next((column.name for column in columns if column.is_free), columns[0].name if columns else "")
    if reads_one_text(model) and len(columns) > 1:
        raise TrainingError(
            f"{type(model).__name__} begins with a vectorizer, which reads one column, and is given {len(columns)}: put it in "
            f"make_column_transformer((TfidfVectorizer(), {text!r}), ...), or declare inputs=[{text!r}]"
        )
    for step in [part for _, part in getattr(model, "steps", ())] or [model]:
        for name, part, chosen in getattr(step, "transformers", ()):
            if reads_one_text(part) and isinstance(chosen, list):
                raise TrainingError(
                    f"{name} is given the columns {chosen!r}, and a vectorizer reads one column: name it alone, "
                    f"(TfidfVectorizer(), {text!r}), without the list"
                )


def _weighted(estimator: Any, weights: Array | None) -> dict[str, Array]:
    """The weights as fit takes them: a pipeline gives them to its last step."""
    if weights is None:
        return {}
    steps = getattr(estimator, "steps", None)
    last, prefix = (steps[-1][1], f"{steps[-1][0]}__") if steps else (estimator, "")
    parameters = inspect.signature(last.fit).parameters
    if "sample_weight" not in parameters:
        raise TrainingError(f"{type(last).__name__}.fit takes no sample_weight, which past.decayed(...) needs")
    return {f"{prefix}sample_weight": weights}


def _seed_torch(seed: int) -> None:
    """PyTorch draws a module's first weights from one generator of the process, which no `random_state` reaches."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def _takes_numbered_classes(model: Any) -> bool:
    """XGBoost alone refuses classes that are not 0, 1, 2, ...: it is given the places of the texts in their order."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    return type(last).__name__ == "XGBClassifier" and type(last).__module__.startswith("xgboost.")


def classes_of(estimator: Any, label: LabelSpec, outcomes: Array) -> tuple[bool | str, ...]:
    """The classes in the order of the estimator's probabilities; empty for amounts. `outcomes`: what it was fitted to."""
    if label.task == "regression":
        return ()
    if label.kind == "str" and _takes_numbered_classes(estimator):
        return tuple(str(text) for text in np.unique(outcomes.astype(str)))
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
    """The estimator by cloudpickle; what the user's own system file and its neighbours define travels by value, as nobody
    could install it where a release is served."""
    import cloudpickle

    own = own_modules()
    for module in own:
        _name_classes(module)
        cloudpickle.register_pickle_by_value(module)
    try:
        buffer = io.BytesIO()
        _pickler(cloudpickle.Pickler)(buffer).dump(estimator)
    except Exception as error:
        raise TrainingError(f"{type(estimator).__name__} cannot be stored: {type(error).__name__}: {error}") from error
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)
    return buffer.getvalue()


def _pickler(base: Any) -> Any:
    """The pickler without what a vectorizer remembers of this process: the address of its stop words."""

    class WithoutAddresses(base):  # type: ignore[misc]  # imported where it is used
        def reducer_override(self, part: Any) -> Any:
            if ADDRESS not in getattr(part, "__dict__", {}) or isinstance(part, type):
                return super().reducer_override(part)
            make, arguments, state, *more = part.__reduce_ex__(4)
            return make, arguments, {name: value for name, value in state.items() if name != ADDRESS}, *more

    return WithoutAddresses


ADDRESS = "_stop_words_id"


def _name_classes(module: ModuleType) -> None:
    """Give the module's classes the ids that cloudpickle would draw at random: equal source gives equal bytes.

    What is loaded under such an id is a class of its own, so that loading a release never touches the module's.
    """
    from cloudpickle import cloudpickle

    id_of = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS  # noqa: SLF001 - private, and the only handle there is
    source = vars(module).get(SOURCE) or _source_of(module)
    for name, value in list(vars(module).items()):
        if source and isinstance(value, type) and value.__module__ == module.__name__ and value not in id_of:
            id_of[value] = sha256_hex(f"{source} {name}".encode())[:32]


def _source_of(module: ModuleType) -> str:
    try:
        return sha256_hex(Path(module.__file__ or "").read_bytes())
    except OSError:  # it has gone meanwhile
        return ""
