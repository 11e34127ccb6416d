"""scikit-learn's row-wise transformers as steps.

Numbers are taken through the arithmetic of the transformer's own `transform`, operation by operation. A transformer of
categories is asked instead: its answer for each text of the vocabulary and for a missing one is all there is to know, so the
table of its answers *is* the compiled form, whatever encoder it is. Vectorizers of free text become readers (`vectorizers.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from modelwright.core.errors import first_line
from modelwright.optimize.lowering.builder import Builder, Column, Unsupported
from modelwright.optimize.lowering.vectorizers import decomposed, reweighed, vectorized
from modelwright.stats.predictions import Array

WIDEST: Final = 4_096
"""Columns a text may become; beyond, filling them takes longer than a sparse form would."""

UFUNCS: Final = ("exp", "expm1", "log", "log1p", "sqrt", "square", "absolute")


def transformed(
    builder: Builder, transformer: Any, columns: Sequence[Column], *, one_text: bool = False
) -> list[Column]:
    """The columns a fitted transformer makes of these; `one_text` where it is given a single column without a frame.

    Raises `Unsupported` naming the transformer.
    """
    if transformer == "passthrough" or transformer is None:
        return list(columns)
    if transformer == "drop":
        return []
    name = type(transformer).__name__
    if name == "FunctionTransformer" and _changes_nothing(transformer):
        return list(columns)
    if name == "Pipeline" and not _texts_only(columns):
        for _, step in transformer.steps:
            columns = transformed(builder, step, columns)
        return list(columns)
    if name == "ColumnTransformer":
        return _by_column(builder, transformer, columns)
    if name == "FeatureUnion":
        return [made for _, part in transformer.transformer_list for made in transformed(builder, part, columns)]
    if any(column.free is not None for column in columns):
        return vectorized(builder, transformer, columns)
    if _texts_only(columns):
        return _asked(builder, transformer, columns, one_text=one_text)
    if any(column.texts is not None for column in columns):
        raise Unsupported(f"{name} of texts and numbers together")
    if name in _OF_TERMS:
        return _OF_TERMS[name](builder, transformer, columns)
    if name in _NUMERIC and len(columns) > WIDEST:
        raise Unsupported(f"{name} of {len(columns)} columns")
    if name in _NUMERIC:
        return _NUMERIC[name](builder, transformer, columns)
    if callable(getattr(transformer, "get_support", None)):
        return [columns[place] for place in transformer.get_support(indices=True)]
    raise Unsupported(f"{name} has no compiled form")


def _texts_only(columns: Sequence[Column]) -> bool:
    return bool(columns) and all(column.texts is not None for column in columns)


def _by_column(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    made: list[Column] = []
    places = transformer._transformer_to_input_indices  # noqa: SLF001 - what the selectors chose, kept nowhere else
    for name, part, chosen in transformer.transformers_:
        made += transformed(builder, part, [columns[place] for place in places[name]], one_text=isinstance(chosen, str))
    return made


def _asked(builder: Builder, transformer: Any, columns: Sequence[Column], *, one_text: bool) -> list[Column]:
    """Texts by the transformer's own answers, one column's text varied at a time."""
    base = _answers(transformer, columns, [(column.texts or ("",))[0] for column in columns], None, one_text=one_text)
    if base.shape[1] > WIDEST:
        raise Unsupported(f"{type(transformer).__name__} makes {base.shape[1]} columns of texts")
    result: list[Column | None] = [None] * base.shape[1]
    for place, column in enumerate(columns):
        first = [(other.texts or ("",))[0] for other in columns]
        table = _answers(transformer, columns, first, place, one_text=one_text)
        varies = np.flatnonzero((table != base).any(axis=0) & ~(np.isnan(table) & np.isnan(base)).all(axis=0))
        for target, made_column in zip(varies, builder.spread(column, table[:, varies]), strict=True):
            if result[target] is not None:
                raise Unsupported(f"{type(transformer).__name__} mixes texts of several columns")
            result[target] = made_column
    return [
        builder.constant(float(base[0, target])) if column is None else column for target, column in enumerate(result)
    ]


def _answers(
    transformer: Any, columns: Sequence[Column], texts: list[str], place: int | None, *, one_text: bool
) -> Array:
    """What the transformer says of one row of texts, or with every text of one column, the missing one last."""
    import pandas as pd

    varied: list[str | None] = [None] if place is None else [*(columns[place].texts or ()), None]
    frame = pd.DataFrame({
        column.name: pd.Categorical(
            varied if number == place else [text] * len(varied), categories=list(column.texts or ())
        )
        for number, (column, text) in enumerate(zip(columns, texts, strict=True))
    })  # fmt: skip
    given = frame[columns[0].name] if one_text else frame
    try:
        return _dense(transformer.transform(given))
    except ValueError as error:
        raise Unsupported(f"{type(transformer).__name__} refuses a text: {first_line(error)[:120]}") from None


def _dense(answer: Any) -> Array:
    dense = answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)
    if dense.dtype.kind not in "fiub":
        raise Unsupported("texts that become other texts")
    return dense.astype(np.float64).reshape(len(dense), -1)


def _imputer(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    if not (isinstance(transformer.missing_values, float) and np.isnan(transformer.missing_values)):
        raise Unsupported("SimpleImputer of other missing values than NaN")
    made = []
    for column, value in zip(columns, transformer.statistics_, strict=True):
        if np.isnan(value) and not transformer.keep_empty_features:
            continue  # a column that never held a value is dropped
        made.append(builder.step("fill", column, 0.0 if np.isnan(value) else value))
    if transformer.add_indicator:
        made += [builder.step("is_missing", columns[place]) for place in transformer.indicator_.features_]
    return made


def _standard(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    return _scaled(builder, columns, ("subtract", transformer.mean_ if transformer.with_mean else None),
                   ("divide", transformer.scale_ if transformer.with_std else None))  # fmt: skip


def _robust(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    return _scaled(builder, columns, ("subtract", transformer.center_ if transformer.with_centering else None),
                   ("divide", transformer.scale_ if transformer.with_scaling else None))  # fmt: skip


def _min_max(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    made = _scaled(builder, columns, ("multiply", transformer.scale_), ("add", transformer.min_))
    if transformer.clip:
        made = [builder.step("clip", column, *transformer.feature_range) for column in made]
    return made


def _max_abs(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    return _scaled(builder, columns, ("divide", transformer.scale_))


def _scaled(builder: Builder, columns: Sequence[Column], *operations: tuple[str, Any]) -> list[Column]:
    made = list(columns)
    for operation, values in operations:
        if values is not None:
            made = [_scaled_one(builder, operation, column, value) for column, value in zip(made, values, strict=True)]
    return made


def _scaled_one(builder: Builder, operation: str, column: Column, value: float) -> Column:
    if operation == "divide" and column.register < 0:  # terms stand in a sparse matrix, which is multiplied
        return builder.step("multiply", column, 1.0 / value)
    return builder.step(operation, column, value)


def _function(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    name = getattr(transformer.func, "__name__", "")
    if not isinstance(transformer.func, np.ufunc) or name not in UFUNCS or transformer.kw_args:
        raise Unsupported(f"FunctionTransformer({name or transformer.func!r}) has no compiled form")
    return [builder.step(name, column) for column in columns]


def _changes_nothing(transformer: Any) -> bool:
    """The identity, and what histogram gradient boosting checks its numbers with."""
    from sklearn.utils import check_array

    return transformer.func is None or getattr(transformer.func, "func", None) is check_array


def _one_hot(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    """Numbers that are categories: found among the known ones, then the encoder's own answers."""
    made: list[Column] = []
    names = getattr(transformer, "feature_names_in_", None)
    first = [float(known[0]) for known in transformer.categories_]
    for place, (column, known) in enumerate(zip(columns, transformer.categories_, strict=True)):
        values = np.asarray(known, np.float64)
        there = values[~np.isnan(values)]
        rows = np.tile(np.array(first), (len(there) + 2, 1))
        rows[: len(there), place] = there
        rows[-2, place] = np.nextafter(there.max(initial=0.0), np.inf) + 1.0
        rows[-1, place] = np.nan
        answers, refused = _rowwise(transformer, rows, names)
        own = _own_columns(transformer, answers, place)
        spread = builder.spread(builder.step("place", column, *there), answers[:, own])
        if refused:
            builder.require(spread[0])
        made += spread
    return made


def _rowwise(transformer: Any, rows: Array, names: Any) -> tuple[Array, bool]:
    """The answers row by row, and whether a row was refused: it has missing numbers then."""
    import pandas as pd

    answers: list[Array | None] = []
    for row in rows:
        given = row.reshape(1, -1) if names is None else pd.DataFrame([row], columns=list(names))
        try:
            answers.append(_dense(transformer.transform(given))[0])
        except ValueError:
            answers.append(None)
    width = next(len(answer) for answer in answers if answer is not None)
    whole = np.array([np.full(width, np.nan) if answer is None else answer for answer in answers])
    return whole, any(answer is None for answer in answers)


def _own_columns(transformer: Any, answers: Array, place: int) -> Any:
    if type(transformer).__name__ == "OrdinalEncoder":
        return [place]
    ends = np.cumsum(transformer._n_features_outs)  # noqa: SLF001 - how many columns each category column became
    return list(range(int(ends[place - 1]) if place else 0, int(ends[place])))


def _bins(builder: Builder, transformer: Any, columns: Sequence[Column]) -> list[Column]:
    made = []
    for column, edges, bins in zip(columns, transformer.bin_edges_, transformer.n_bins_, strict=True):
        code = builder.step("bin", column, *edges[1:-1])
        if transformer.encode == "ordinal":
            made.append(code)
        else:
            made += builder.spread(code, np.vstack([np.eye(int(bins)), np.full((1, int(bins)), np.nan)]))
    return made


_NUMERIC: Final[dict[str, Callable[[Builder, Any, Sequence[Column]], list[Column]]]] = {
    "SimpleImputer": _imputer,
    "StandardScaler": _standard,
    "RobustScaler": _robust,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "FunctionTransformer": _function,
    "OneHotEncoder": _one_hot,
    "OrdinalEncoder": _one_hot,
    "KBinsDiscretizer": _bins,
}
_OF_TERMS: Final[dict[str, Callable[[Builder, Any, Sequence[Column]], list[Column]]]] = {
    "TfidfTransformer": reweighed,
    "TruncatedSVD": decomposed,
}
