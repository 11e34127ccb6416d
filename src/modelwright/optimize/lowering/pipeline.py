"""A whole fitted estimator as a program: its preparation, then its model."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from modelwright.optimize.lowering.bayes import lowered_complement, lowered_multinomial
from modelwright.optimize.lowering.builder import Builder, Column, Unsupported
from modelwright.optimize.lowering.catboost import lowered_catboost
from modelwright.optimize.lowering.lightgbm import lowered_lightgbm
from modelwright.optimize.lowering.linear import (
    AMOUNTS,
    DECISIONS,
    EXPONENTIAL,
    lowered_amount,
    lowered_decision,
    lowered_descent,
    lowered_logistic,
)
from modelwright.optimize.lowering.preparation import WIDEST, transformed
from modelwright.optimize.lowering.scikit_trees import (
    lowered_boosting,
    lowered_forest,
    lowered_histogram,
    lowered_tree,
)
from modelwright.optimize.lowering.xgboost import lowered_xgboost
from modelwright.release.compiled.program import CATEGORY, ZERO_IS_MISSING, Program
from modelwright.release.inputs import InputColumn, Rows, data_frame

_MODELS: Final[dict[str, Callable[[Any], dict[str, Any]]]] = {
    "LGBMClassifier": lowered_lightgbm,
    "LGBMRegressor": lowered_lightgbm,
    "XGBClassifier": lowered_xgboost,
    "XGBRegressor": lowered_xgboost,
    "CatBoostClassifier": lowered_catboost,
    "CatBoostRegressor": lowered_catboost,
    "HistGradientBoostingClassifier": lowered_histogram,
    "HistGradientBoostingRegressor": lowered_histogram,
    "GradientBoostingClassifier": lowered_boosting,
    "GradientBoostingRegressor": lowered_boosting,
    "RandomForestClassifier": lowered_forest,
    "RandomForestRegressor": lowered_forest,
    "ExtraTreesClassifier": lowered_forest,
    "ExtraTreesRegressor": lowered_forest,
    "DecisionTreeClassifier": lowered_tree,
    "DecisionTreeRegressor": lowered_tree,
    "ExtraTreeClassifier": lowered_tree,
    "ExtraTreeRegressor": lowered_tree,
    "LogisticRegression": lowered_logistic,
    "LogisticRegressionCV": lowered_logistic,
    "LinearDiscriminantAnalysis": lowered_logistic,
    "SGDClassifier": lowered_descent,
    "MultinomialNB": lowered_multinomial,
    "ComplementNB": lowered_complement,
    **dict.fromkeys(DECISIONS, lowered_decision),
    **dict.fromkeys((*AMOUNTS, *EXPONENTIAL), lowered_amount),
}
_OF_LIBRARIES: Final = ("sklearn.", "lightgbm.", "xgboost.", "catboost.")
_ABSENT_IS_MISSING: Final = ("XGBClassifier", "XGBRegressor")
"""What a sparse matrix does not hold, its zeros, they take for missing."""
_TAKES_TEXTS: Final = ("LGBMClassifier", "LGBMRegressor", "XGBClassifier", "XGBRegressor")


def lowered(estimator: Any, columns: Sequence[InputColumn]) -> Program:
    """The program of a fitted estimator on these inputs. Raises `Unsupported` with the reason in one line."""
    model = model_of(estimator)
    name = type(model).__name__
    # A class of the user's own with such a name may do something else.
    if name not in _MODELS or not type(model).__module__.startswith(_OF_LIBRARIES):
        raise Unsupported(f"{name} has no compiled form")
    builder, given, single = _prepared(estimator, columns, texts_too=name in _TAKES_TEXTS)
    members = _MODELS[name](model)
    if builder.terms(given).any():
        given, members = _narrowed(builder, given, members)
    program = _program(builder, given, columns, single=single)
    if name in _ABSENT_IS_MISSING and model is not estimator and _is_sparse(estimator, columns):
        members["node_kind"] |= np.where(members["node_kind"] & CATEGORY, 0, ZERO_IS_MISSING).astype(np.uint8)
    members["single"] = program.single or members.get("single", False)
    return dataclasses.replace(program, **members)


def model_of(estimator: Any) -> Any:
    """The estimator without its preparation: a pipeline's last step."""
    return estimator.steps[-1][1] if type(estimator).__name__ == "Pipeline" else estimator


def preparation(
    estimator: Any, columns: Sequence[InputColumn], *, texts_too: bool = False, complete: bool = False
) -> Program:
    """A program of what comes before the model: its `features` are what the model is given.

    `texts_too`: the model takes texts, by their places in the vocabulary. `complete`: a row has no answer where one of its
    features is missing.
    """
    builder, given, single = _prepared(estimator, columns, texts_too=texts_too)
    terms = int(builder.terms(given).sum())
    if terms > WIDEST:
        raise Unsupported(f"{terms} terms of free text before {type(model_of(estimator)).__name__}")
    if complete:
        for column in given:
            builder.require(column)
    return _program(builder, given, columns, single=single)


def _prepared(
    estimator: Any, columns: Sequence[InputColumn], *, texts_too: bool
) -> tuple[Builder, list[Column], bool]:  # fmt: skip
    """The steps before the model, the columns that it is given, and whether these are rounded to float32."""
    numbers = [column.name for column in columns if column.kind == "number"]
    categories = [column.name for column in columns if column.kind == "text" and not column.is_free]
    free = [column.name for column in columns if column.is_free]
    builder = Builder(len(numbers) + len(categories))
    places = {name: place for place, name in enumerate([*numbers, *categories])}
    given = [
        Column(-1, column.name, free=free.index(column.name))
        if column.is_free
        else Column(places[column.name], column.name, column.vocabulary)
        for column in columns
    ]
    model = model_of(estimator)
    steps = [] if model is estimator else [step for _, step in estimator.steps[:-1]]
    if getattr(model, "_preprocessor", None) is not None:
        steps = [*steps, model._preprocessor]  # noqa: SLF001 - native categories, encoded there
    single = bool(steps) and getattr(steps[-1], "func", None) is np.float32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an encoder that is asked about a text it does not know
        for step in steps[:-1] if single else steps:
            given = transformed(builder, step, given)
    if any(column.free is not None or (column.texts is not None and not texts_too) for column in given):
        raise Unsupported(f"{type(model).__name__} given texts")
    return builder, given, single


def _program(
    builder: Builder, given: Sequence[Column], columns: Sequence[InputColumn], *, single: bool
) -> Program:  # fmt: skip
    placed = builder.placed(given)
    return Program(
        registers=placed.registers,
        numbers=sum(column.kind == "number" for column in columns),
        texts=sum(column.kind == "text" and not column.is_free for column in columns),
        targets=0,
        link="none",
        features=placed.features,
        steps=placed.steps,
        constants=builder.constants,
        single=single,
        readers=placed.readers,
    )


def _narrowed(
    builder: Builder, given: Sequence[Column], members: dict[str, Any]
) -> tuple[list[Column], dict[str, Any]]:  # fmt: skip
    """The columns and members without the thousands of terms that a model is given: a linear model's terms are added up by
    their readers, and trees look at few."""
    if "coefficients" in members:
        is_term = builder.terms(given)
        weights = members["coefficients"]
        sums = builder.products([given[place] for place in np.flatnonzero(is_term).tolist()], weights[:, is_term].T)
        rest = [given[place] for place in np.flatnonzero(~is_term).tolist()]
        coefficients = np.hstack([weights[:, ~is_term], *[np.eye(len(weights))] * len(sums)])
        return [*rest, *(column for made in sums for column in made)], {**members, "coefficients": coefficients}
    used, places = np.unique(members["node_feature"], return_inverse=True)
    nodes = places.astype(members["node_feature"].dtype)
    return [given[place] for place in used.tolist()], {**members, "node_feature": nodes}


def _is_sparse(estimator: Any, columns: Sequence[InputColumn]) -> bool:
    """Whether the preparation gives the model a sparse matrix; asked with one row."""
    texts = tuple([(column.vocabulary or (None,))[0]] for column in columns if column.kind == "text")
    row = Rows(np.zeros((1, len(columns) - len(texts))), texts)
    return hasattr(estimator[:-1].transform(data_frame(row, columns)), "tocsr")
