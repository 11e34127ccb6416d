"""Which inputs made a prediction what it is: a base and one contribution an input column, that add up to the output.

All methods answer the same question, how the row differs from the release's background rows, by Shapley values: exactly
and before the link for compiled programs (`release/compiled/shapley.py`), by permutations of the served model's own
answers for every other runtime. Used by whoever explains, never by whoever predicts.
"""

import math
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from modelwright.core.errors import ReleaseError
from modelwright.release import background
from modelwright.release.folder import ARTEFACT, Release, open_release
from modelwright.release.inputs import Rows, in_vocabulary
from modelwright.stats.predictions import Array, Predictions

Method = Literal["trees", "linear", "permutations"]
TOLERANCE = 1e-5
"""How far the answer that contributions add up to may be from the release's, by rounding; beyond, they are not shown."""
AT_ONCE = 20_000
"""Rows that the model is asked about in one call."""


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """`base` plus all `contributions` [inputs] is `output`, in `unit`, for the class `of` (None for an amount).

    `errors` [inputs]: the standard error of each contribution, None where they are exact.
    """

    of: bool | str | None
    unit: str
    method: Method
    base: float
    output: float
    contributions: tuple[float, ...]
    errors: tuple[float, ...] | None = None


class Attributor:
    """Explains one release, opened from its folder. Raises `ReleaseError` for one that cannot be opened here or that has
    no background."""

    def __init__(self, folder: Path) -> None:
        self.release: Release = open_release(folder)
        manifest = self.release.manifest
        if background.FILE not in manifest.files:
            raise ReleaseError(
                f"release {self.release.name} has no {background.FILE}, the rows an explanation compares with: an earlier "
                "version of modelwright made it; train again"
            )
        self._background = background.decoded((folder / background.FILE).read_bytes())
        self._program = None
        if manifest.runtime == "compiled":
            from modelwright.release.compiled.program import Program

            self._program = Program.from_bytes((folder / ARTEFACT["compiled"]).read_bytes())

    def explain(self, row: Rows) -> Attribution:
        """The contributions to one prediction: of the positive class, the predicted one of several, or the amount."""
        manifest = self.release.manifest
        row = in_vocabulary(row, manifest.inputs)
        said = self.release.predict(row)
        of: bool | str | None = None
        if manifest.classes:
            of = True if manifest.classes == (False, True) else str(said.value[0])
        place = manifest.classes.index(of) if of is not None else 0
        exact = self._exactly(row, said, of, place) if self._program is not None else None
        return exact or self._by_permutations(row, of, place)

    def _exactly(self, row: Rows, said: Predictions, of: bool | str | None, place: int) -> Attribution | None:
        """None where the program has a part that is not known exactly, or the sum is not what was said."""
        from modelwright.release.compiled.shapley import NotExact, contributions

        program = self._program
        assert program is not None
        unit = UNITS.get(program.link)
        if unit is None:
            return None
        # One raw value stands for two classes: it speaks for the second.
        target, factor = (
            (0, program.slope if place == 1 else -program.slope) if program.link == "logistic" else (place, 1)
        )
        try:
            base, each = contributions(program, self.release.manifest.inputs, row, self._background, target)
        except NotExact:
            return None
        base, each = factor * base, factor * each
        output = base + float(each.sum())
        if program.link == "logistic":
            answer = 1 / (1 + math.exp(-output))
        elif program.link == "exp":
            answer = math.exp(output)
        else:
            answer = output
        told = float(said.value[0] if said.probabilities is None else said.probabilities[0, place])
        if program.link != "softmax" and not math.isclose(answer, told, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            return None
        method: Method = "trees" if len(program.roots) else "linear"
        return Attribution(
            of=of, unit=unit, method=method, base=base, output=output, contributions=tuple(each.tolist())
        )

    def _by_permutations(self, row: Rows, of: bool | str | None, place: int) -> Attribution:
        """The model is asked about rows that turn, column by column in a random order and then in the reverse one, from
        each background row into the explained one; a column's contribution is the mean change when it turns.

        What the order leaves to chance is told as a standard error over the background rows; the sum is exact. Seeded: an
        equal question has an equal answer.
        """
        columns, others = self.release.manifest.inputs, self._background
        count = len(columns)
        random = np.random.default_rng(0)
        changes = np.zeros((len(others), count))
        begins = np.zeros(len(others))
        output = self._value(row, place)[0]
        at_once = max(1, AT_ONCE // (2 * (count + 1)))
        for first in range(0, len(others), at_once):
            numbers = range(first, min(first + at_once, len(others)))
            orders = [order for _ in numbers for order in _both_ways(random.permutation(count))]
            turned = np.concatenate([_turning(order) for order in orders])
            of_other = np.repeat(np.fromiter(numbers, np.int64), 2 * (count + 1))
            values = self._value(self._mixed(row, of_other, turned), place).reshape(len(numbers), 2, count + 1)
            begins[first : first + len(numbers)] = values[:, 0, 0]
            for at, steps in enumerate(np.diff(values, axis=2)):
                for way in range(2):
                    changes[first + at, orders[2 * at + way]] += steps[way] / 2
        errors = changes.std(axis=0, ddof=1) / math.sqrt(len(others)) if len(others) > 1 else np.zeros(count)
        return Attribution(
            of=of, unit="amount" if of is None else "probability", method="permutations", base=float(begins.mean()),
            output=float(output), contributions=tuple(changes.mean(axis=0).tolist()), errors=tuple(errors.tolist()),
        )  # fmt: skip

    def _value(self, rows: Rows, place: int) -> Array:
        said = self.release.predict(rows)
        return said.value.astype(np.float64) if said.probabilities is None else said.probabilities[:, place]

    def _mixed(self, row: Rows, of_other: Array, turned: Array) -> Rows:
        """Rows with the columns that are `turned` [n, inputs] of the explained row, the others of background rows."""
        inputs = self.release.manifest.inputs
        is_number = [place for place, column in enumerate(inputs) if column.kind == "number"]
        is_text = [place for place, column in enumerate(inputs) if column.kind == "text"]
        numbers = np.where(turned[:, is_number], row.numbers[0], self._background.numbers[of_other])
        texts = tuple(
            np.where(turned[:, place], np.array([own[0]], object), np.array(other, object)[of_other]).tolist()
            for place, own, other in zip(is_text, row.texts, self._background.texts, strict=True)
        )
        return Rows(numbers, texts)


UNITS = {
    "logistic": "log-odds", "softmax": "score before softmax", "identity": "amount", "exp": "logarithm of the amount",
    "none": "probability",
}  # fmt: skip
"""What a program's raw value is, by its link."""


def _both_ways(order: Array) -> tuple[Array, Array]:
    return order, order[::-1]


def _turning(order: Array) -> Array:
    """[columns + 1, columns] which columns have turned after each step of the order."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[None, :] < np.arange(len(order) + 1)[:, None]
