"""The form a model is served in: the compiled one where it is proven equal, else the estimator itself, and why."""

from typing import Any, NamedTuple, get_args

import numpy as np

from modelwright.core.errors import TrainingError, first_line
from modelwright.optimize.equivalence import compare, with_missing_texts
from modelwright.optimize.onnx_form import NotConvertible, Precision, onnx_form
from modelwright.release.inputs import InputColumn, Rows, data_frame, in_vocabulary
from modelwright.release.manifest import Equivalence, RuntimeName
from modelwright.release.runtime import OnnxRuntime, estimator_output
from modelwright.training.fit import pickled

COMPARED_ROWS = 2_000
"""Rows a compiled form is compared on: the held-back ones, filled up with the newest fitted ones."""


class Form(NamedTuple):
    """What is served: the runtime's name, the artefact's bytes, and how the compiled form compared."""

    runtime: RuntimeName
    data: bytes
    equivalence: Equivalence


def served_form(
    estimator: Any, columns: tuple[InputColumn, ...], classes: tuple[bool | str, ...], train: Rows, held_back: Rows
) -> Form:
    """Compile, compare, choose. float64 is tried before float32: where it exists it is the one that is equal."""
    rows = in_vocabulary(with_missing_texts(_compared_rows(train, held_back), columns), columns)
    try:
        said = estimator_output(estimator, data_frame(rows, columns), classes)
    except Exception as error:
        raise TrainingError(
            f"{type(estimator).__name__} failed to predict {len(rows)} rows: {first_line(error)}"
        ) from error
    reasons = []
    refused = Equivalence(rows=0, flips=0, largest=0.0, accepted=False)
    for precision in get_args(Precision):
        try:
            data = onnx_form(estimator, columns, precision, classifier=bool(classes))
            compiled = OnnxRuntime(data, columns).run(rows)
            equivalence = compare(said, compiled.reshape(said.shape), classifier=bool(classes))
        except NotConvertible as obstacle:
            reasons.append(f"{precision}: {obstacle}")
            continue
        except Exception as error:  # a graph that does not run is as good as none
            first = (str(error).strip().splitlines() or [""])[0]
            reasons.append(f"{precision}: {type(error).__name__}: {first[:160]}")
            continue
        if equivalence.accepted:
            return Form("onnx", data, equivalence)
        reasons.append(f"{precision}: {equivalence.reason}")
        refused = equivalence
    reason = "; ".join(reasons)
    return Form("native", pickled(estimator), Equivalence(
        rows=refused.rows, flips=refused.flips, largest=refused.largest, accepted=False, reason=reason
    ))  # fmt: skip


def _compared_rows(train: Rows, held_back: Rows) -> Rows:
    newest = train.take(slice(max(0, len(train) - max(0, COMPARED_ROWS - len(held_back))), None))
    texts = tuple([*a, *b] for a, b in zip(held_back.texts, newest.texts, strict=True))
    return Rows(np.concatenate([held_back.numbers, newest.numbers]), texts)
