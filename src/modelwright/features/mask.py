"""`where=` conditions over encoded columns: checked against the columns' kinds once, evaluated to a mask over many rows.

Comparisons with a missing value are false; division by zero is IEEE's, so 0 / 0 is missing. Strings can be compared for
equality, with constants, with lists of constants and with each other; anything else on them is a `DeclarationError`.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from modelwright.core.errors import DeclarationError
from modelwright.features.strings import Strings
from modelwright.spec.condition import Condition
from modelwright.spec.contract import FieldKind

Columns = Sequence[NDArray[np.float64]]
Truth = Callable[[Columns, Strings], NDArray[np.bool_]]
Number = Callable[[Columns, Strings], NDArray[np.float64]]

_ARITHMETIC = {ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide}
_COMPARISON = {
    ast.Eq: np.equal, ast.NotEq: np.not_equal, ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}  # fmt: skip

FEW = 8
"""Constants that are compared with one by one."""


class Mask:
    """A condition bound to columns: `columns` maps each name to its (index, kind).

    `feature` names the declaration in errors. Raises `DeclarationError` for what a condition may not do with a column.
    """

    def __init__(self, text: str, columns: Mapping[str, tuple[int, FieldKind]], feature: str) -> None:
        self._text = text
        self._columns = columns
        self._feature = feature
        self._calculates = False
        """Whether numpy may warn of what it computes; asking it not to costs as much as a comparison."""
        self._truth = self._condition(Condition(text).tree)

    def evaluate(self, columns: Columns, strings: Strings) -> NDArray[np.uint8]:
        """1 where the condition holds; `columns` are arrays of one length, strings as their numbers."""
        if not self._calculates:
            return self._truth(columns, strings).astype(np.uint8)
        with np.errstate(all="ignore"):
            return self._truth(columns, strings).astype(np.uint8)

    def _refuse(self, what: str) -> DeclarationError:
        return DeclarationError(f"{self._feature}: where={self._text!r} {what}")

    def _condition(self, node: ast.expr) -> Truth:
        if isinstance(node, ast.BoolOp):
            parts = [self._condition(part) for part in node.values]
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return lambda columns, strings: reduce(join, [part(columns, strings) for part in parts])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self._condition(node.operand)
            return lambda columns, strings: ~inner(columns, strings)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = [self._comparison(op, sides[i], sides[i + 1]) for i, op in enumerate(node.ops)]
            return lambda columns, strings: reduce(np.logical_and, [pair(columns, strings) for pair in pairs])
        number = self._number(node)
        return lambda columns, strings: _true(number(columns, strings))

    def _comparison(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> Truth:
        if isinstance(op, ast.In | ast.NotIn):
            return self._membership(left, right, isinstance(op, ast.NotIn))
        if self._is_text(left) or self._is_text(right):
            return self._text_comparison(op, left, right)
        compare = _COMPARISON[type(op)]
        one, other = self._number(left), self._number(right)

        def truth(columns: Columns, strings: Strings) -> NDArray[np.bool_]:
            a, b = one(columns, strings), other(columns, strings)
            return np.asarray(compare(a, b) & ~np.isnan(a) & ~np.isnan(b))

        return truth

    def _text_comparison(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> Truth:
        if not isinstance(op, ast.Eq | ast.NotEq):
            raise self._refuse("puts strings in order; they can be compared with ==, !=, in and not in")
        if not (self._is_text(left) and self._is_text(right)):
            raise self._refuse("compares a string with a number; write the string in quotes")
        negated = isinstance(op, ast.NotEq)
        if isinstance(left, ast.Constant):
            left, right = right, left
        if isinstance(left, ast.Constant):
            raise self._refuse("compares two constants")
        if isinstance(right, ast.Constant):
            return self._one_of(self._column(left), [str(right.value)], negated)
        (index, name), (other_index, other_name) = self._column(left), self._column(right)

        def truth(columns: Columns, strings: Strings) -> NDArray[np.bool_]:
            a, b = columns[index], columns[other_index]
            there = ~np.isnan(a) & ~np.isnan(b)
            equal = _translated(a, name, other_name, strings) == b
            return np.asarray(there & (equal != negated))

        return truth

    def _membership(self, left: ast.expr, right: ast.expr, negated: bool) -> Truth:
        if not isinstance(right, ast.List | ast.Tuple):
            raise self._refuse("uses `in` with something else than a list of constants, such as ['DE', 'FR']")
        constants = [self._constant(element) for element in right.elts]
        if self._is_text(left):
            if isinstance(left, ast.Constant) or not all(isinstance(constant, str) for constant in constants):
                raise self._refuse("looks a string column up in a list that does not hold strings alone")
            return self._one_of(self._column(left), [str(constant) for constant in constants], negated)
        if any(isinstance(constant, str) for constant in constants):
            raise self._refuse("looks a number up in a list that holds strings")
        number = self._number(left)
        wanted = [float(constant) for constant in constants]

        def truth(columns: Columns, strings: Strings) -> NDArray[np.bool_]:
            a = number(columns, strings)
            return _among(a, wanted, negated)

        return truth

    def _one_of(self, column: tuple[int, str], texts: list[str], negated: bool) -> Truth:
        index, name = column

        def truth(columns: Columns, strings: Strings) -> NDArray[np.bool_]:
            ids = [float(found) for text in texts if (found := strings.find(name, text)) is not None]
            return _among(columns[index], ids, negated)

        return truth

    def _number(self, node: ast.expr) -> Number:
        if isinstance(node, ast.Name):
            if self._is_text(node):
                raise self._refuse(f"uses {node.id}, a string, as a number or as a truth; compare it with == or in")
            index, _ = self._column(node)
            return lambda columns, strings: columns[index]
        if isinstance(node, ast.BinOp):
            self._calculates = True
            operate = _ARITHMETIC[type(node.op)]
            one, other = self._number(node.left), self._number(node.right)
            return lambda columns, strings: operate(one(columns, strings), other(columns, strings))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._number(node.operand)
            return lambda columns, strings: -inner(columns, strings)
        if isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            truth = self._condition(node)
            return lambda columns, strings: truth(columns, strings).astype(np.float64)
        if isinstance(node, ast.Constant):
            constant = self._constant(node)
            if isinstance(constant, str):
                raise self._refuse(f"uses {constant!r}, a string, as a number")
            value = float(constant)
            return lambda columns, strings: np.asarray(value)
        raise self._refuse("uses `and`, `or` or a list as a value; join whole comparisons with them")

    def _constant(self, node: ast.expr) -> float | str:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._constant(node.operand)
            if not isinstance(inner, str):
                return -inner
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                return node.value
            if isinstance(node.value, bool | int | float):
                try:
                    return float(node.value)
                except OverflowError:
                    raise self._refuse(f"holds {node.value}, which is beyond any number a column can hold") from None
        raise self._refuse("holds a constant that is neither a number nor a string (a missing value equals nothing)")

    def _column(self, node: ast.expr) -> tuple[int, str]:
        if not isinstance(node, ast.Name):
            raise self._refuse("uses a string where a column is expected")
        index, kind = self._columns[node.id]
        if kind == "time":
            raise self._refuse(f"reads {node.id}, a time; conditions are on numbers, strings and booleans")
        return index, node.id

    def _is_text(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str)
        return isinstance(node, ast.Name) and self._columns[node.id][1] == "str"


def _true(number: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((number != 0) & ~np.isnan(number))


def _among(numbers: NDArray[np.float64], wanted: list[float], negated: bool) -> NDArray[np.bool_]:
    """Whether each is one of the wanted, or if `negated` there and none of them; `np.isin` takes ten times a comparison where
    there is one number, as in serving."""
    if len(wanted) > FEW:
        found = np.isin(numbers, wanted)
    else:
        found = np.zeros(numbers.shape, np.bool_)
        for one in wanted:
            found |= numbers == one
    return ~(found | np.isnan(numbers)) if negated else found


def _translated(ids: NDArray[np.float64], column: str, into: str, strings: Strings) -> NDArray[np.float64]:
    """Numbers of one column's texts in the dictionary of another; -1 where that has no such text."""
    known, places = np.unique(np.where(np.isnan(ids), -1.0, ids), return_inverse=True)
    found = [-1 if id < 0 else strings.find(into, strings.text_of(column, int(id))) for id in known]
    return np.array([-1.0 if id is None else float(id) for id in found])[places.reshape(-1)]
