"""`where=` conditions: a Python expression over column names, parsed once and never evaluated by Python itself.

Allowed are comparisons (`==` and `in` for strings too), `and`, `or`, `not`, arithmetic on numbers, `in` with a list of
constants, and constants. A comparison with a missing value is false, and `not` turns that into true, as in Python.
"""

import ast

from modelwright.core.errors import DeclarationError

_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.Div, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Name, ast.Load,
    ast.Constant, ast.List, ast.Tuple,
)  # fmt: skip


class Condition:
    """A parsed condition: its text, its syntax tree and the column names it reads.

    >>> sorted(Condition("amount > 100 and country in ['DE', 'FR']").names)
    ['amount', 'country']
    >>> Condition("__import__('os')")
    Traceback (most recent call last):
    modelwright.core.errors.DeclarationError: where="__import__('os')" uses Call, which a condition may not...
    """

    def __init__(self, text: str) -> None:
        try:
            tree = ast.parse(text, mode="eval")
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
            reason = str(error) or "it is nested too deeply"
            raise DeclarationError(f"where={text!r} is not a Python expression: {reason}") from None
        for node in ast.walk(tree):
            if not isinstance(node, _ALLOWED):
                raise DeclarationError(
                    f"where={text!r} uses {type(node).__name__}, which a condition may not: only columns, constants, "
                    "arithmetic, comparisons, in, and, or, not"
                )
        self.text = text
        self.tree = tree.body
        self.names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
        if not self.names:
            raise DeclarationError(f"where={text!r} reads no column: it would be true for every row or for none")
