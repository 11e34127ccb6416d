"""A whole fitted estimator as a program: its preparation, then its model."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from modelwright.optimize.lowering.builder import Builder, Column, Unsupported
from modelwright.optimize.lowering.lightgbm import lowered_lightgbm
from modelwright.optimize.lowering.linear import AMOUNTS, EXPONENTIAL, lowered_amount, lowered_logistic
from modelwright.optimize.lowering.preparation import transformed
from modelwright.optimize.lowering.scikit_trees import (
    lowered_boosting,
    lowered_forest,
    lowered_histogram,
    lowered_tree,
)
from modelwright.release.compiled.program import Program
from modelwright.release.inputs import InputColumn

_MODELS: Final[dict[str, Callable[[Any], dict[str, Any]]]] = {
    "LGBMClassifier": lowered_lightgbm,
    "LGBMRegressor": lowered_lightgbm,
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
    **dict.fromkeys((*AMOUNTS, *EXPONENTIAL), lowered_amount),
}
_OF_LIBRARIES: Final = ("sklearn.", "lightgbm.")
_TAKES_TEXTS: Final = ("LGBMClassifier", "LGBMRegressor")


def lowered(estimator: Any, columns: Sequence[InputColumn]) -> Program:
    """The program of a fitted estimator on these inputs. Raises `Unsupported` with the reason in one line."""
    numbers = [column for column in columns if column.kind == "number"]
    texts = [column for column in columns if column.kind == "text"]
    builder = Builder(len(columns))
    places = {column.name: place for place, column in enumerate([*numbers, *texts])}
    given = [Column(places[column.name], column.name, column.vocabulary) for column in columns]
    steps, model = ([], estimator)
    if type(estimator).__name__ == "Pipeline":
        steps, model = [step for _, step in estimator.steps[:-1]], estimator.steps[-1][1]
    name = type(model).__name__
    # A class of the user's own with such a name may do something else.
    if name not in _MODELS or not type(model).__module__.startswith(_OF_LIBRARIES):
        raise Unsupported(f"{name} has no compiled form")
    if getattr(model, "_preprocessor", None) is not None:
        steps = [*steps, model._preprocessor]  # noqa: SLF001 - native categories, encoded there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an encoder that is asked about a text it does not know
        for step in steps:
            given = transformed(builder, step, given)
    if name not in _TAKES_TEXTS and any(column.texts is not None for column in given):
        raise Unsupported(f"{name} given texts")
    return Program(
        registers=builder.registers,
        numbers=len(numbers),
        texts=len(texts),
        features=np.array([column.register for column in given], np.int64),
        steps=builder.steps,
        constants=builder.constants,
        **_MODELS[name](model),
    )
