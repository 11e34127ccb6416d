"""What a feature is, in plain Python: slow, exact, and sharing no code with the kernel it judges.

Rows are dicts. An event has the contract's fields and may have `_seq`, `_id` and `_live`; a request likewise; an
outcome has `_id`, the label's name, `_known_at` and may have `_seq`. Times are datetimes or int microseconds. Sums are
fractions, so answers are exact until the last rounding; `within_promise` says how far a host may be from them.
"""

import ast
import decimal
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

import msgspec

from modelwright.core.clock import to_us
from modelwright.spec.agg import Aggregate
from modelwright.spec.condition import Condition
from modelwright.spec.contract import Contract
from modelwright.spec.view import ViewSpec

Row = Mapping[str, Any]
_Placed = tuple[int, int, Row]
"""(instant, sequence number, values)."""


def features_at(
    view: ViewSpec, contract: Contract, label: str | None, events: Sequence[Row], outcomes: Sequence[Row], request: Row,
    asked: Contract | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Every feature of one request; missing is None. `label` is the outcome's column. `asked` is the request's contract,
    where the view is over another event than that."""
    at = _us(request[(asked or contract).time or ""])
    windows = _windows(view, contract, label, events, outcomes, request, asked)
    return {name: _answer(view.features[name], rows, at, request, view.step_us) for name, rows in windows.items()}


def magnitudes_at(
    view: ViewSpec, contract: Contract, label: str | None, events: Sequence[Row], outcomes: Sequence[Row], request: Row,
    asked: Contract | None = None,
) -> dict[str, float]:  # fmt: skip
    """The sum of absolute values in each numeric feature's window, for `within_promise`."""
    magnitudes = {}
    for name, rows in _windows(view, contract, label, events, outcomes, request, asked).items():
        values = [row[2].get(view.features[name].column or "") for row in rows]
        numbers = [abs(value) for value in values if isinstance(value, int | float) and not _missing(value)]
        magnitudes[name] = _rounded(sum(map(Fraction, numbers), Fraction(0)))
    return magnitudes


def _windows(
    view: ViewSpec, contract: Contract, label: str | None, events: Sequence[Row], outcomes: Sequence[Row], request: Row,
    asked: Contract | None,
) -> dict[str, list[_Placed]]:  # fmt: skip
    """The rows that enter each feature, in order."""
    at = _us(request[(asked or contract).time or ""])
    limit = request["_seq"] if request.get("_live") and "_seq" in request else math.inf
    key = _key(view, request)
    past_events = [] if key is None else _past_events(view, contract, events, key, at, limit)
    past_outcomes = [] if key is None else _past_outcomes(view, contract, label, events, outcomes, key, at, limit)
    windows = {}
    for name, aggregate in view.features.items():
        of_outcome = not aggregate.columns() <= set(contract.names)
        rows = past_outcomes if of_outcome else past_events
        if aggregate.over_us is not None:
            edge = _far_edge(at, aggregate.over_us, view.step_us)
            rows = [row for row in rows if row[0] >= edge][-aggregate.most if aggregate.most else None :]
        if aggregate.where is not None:
            rows = [row for row in rows if holds(aggregate.where, row[2])]
        windows[name] = rows
    return windows


def _far_edge(at: int, over_us: int, step_us: int | None) -> int:
    """The first instant of a window."""
    return at - over_us if step_us is None else math.floor(Fraction(at - over_us, step_us)) * step_us


def within_promise(answer: float | None, exact: float | None, magnitude: float) -> bool:
    """`|err| <= max(1e-9 |exact|, 1e-15 magnitude)`, the magnitude being the sum of the window's absolute values; or the
    smallest double, below which no answer can tell one from another.
    """
    if exact is None or answer is None or math.isnan(answer):
        return exact is None and (answer is None or math.isnan(answer))
    if math.isinf(answer) or math.isinf(exact):
        return answer == exact
    error = abs(Fraction(answer) - Fraction(exact))
    return error <= max(abs(Fraction(exact)) / 10**9, Fraction(magnitude) / 10**15, Fraction(5e-324))


def holds(where: str, row: Row) -> bool:
    """Whether a condition is true of a row."""
    return bool(_evaluate(Condition(where).tree, row))


def _past_events(
    view: ViewSpec, contract: Contract, events: Sequence[Row], key: tuple[Any, ...], at: int, limit: float
) -> list[_Placed]:
    assert contract.time is not None
    placed = [
        (_us(event[contract.time]), event.get("_seq", place - 2**62), event)
        for place, event in enumerate(events)
        if _key(view, event) == key
    ]
    past = [row for row in placed if row[0] < at and row[1] < limit and not _is_late(view, row, placed)]
    return sorted(past, key=lambda row: row[:2])


def _is_late(view: ViewSpec, row: _Placed, of_key: Sequence[_Placed]) -> bool:
    """Whether a live row is too far behind the newest of its key that the log held before it."""
    if view.lateness_us is None or not row[2].get("_live"):
        return False
    newest = max((other[0] for other in of_key if other[1] < row[1]), default=row[0])
    return row[0] < newest - view.lateness_us


def _past_outcomes(
    view: ViewSpec, contract: Contract, label: str | None, events: Sequence[Row], outcomes: Sequence[Row],
    key: tuple[Any, ...], at: int, limit: float,
) -> list[_Placed]:  # fmt: skip
    assert contract.time is not None
    by_id = {event.get("_id", event.get(contract.id or "")): event for event in events}
    latest: dict[Any, _Placed] = {}
    for place, outcome in enumerate(outcomes):
        event = by_id.get(outcome["_id"])
        if event is None or label is None or _key(view, event) != key:
            continue
        known = max(_us(outcome["_known_at"]), _us(event[contract.time]) + 1)
        seq = outcome.get("_seq", place - 2**62)
        if known <= at and seq < limit:
            row = (known, seq, {**event, label: outcome[label]})
            held = latest.get(outcome["_id"])
            if held is None or row[:2] > held[:2]:
                latest[outcome["_id"]] = row
    return sorted(latest.values(), key=lambda row: row[:2])


def _answer(aggregate: Aggregate, rows: Sequence[_Placed], at: int, request: Row, step_us: int | None) -> Any:
    kind = aggregate.kind
    if kind == "count":
        return len(rows)
    if kind == "time_since_last":
        return (at - rows[-1][0]) / 1e6 if rows else None
    if kind == "rate":
        assert aggregate.over_us is not None
        return _rounded(Fraction(len(rows) * 10**6, at - _far_edge(at, aggregate.over_us, step_us)))
    assert aggregate.column is not None
    if kind in ("change", "delta"):
        of = msgspec.structs.replace(aggregate, kind=aggregate.of or "last")
        own, past = request[aggregate.column], _answer(of, rows, at, request, step_us)
        return None if _missing(own) or past is None else float(own) - float(past)
    values = [row[2][aggregate.column] for row in rows if not _missing(row[2][aggregate.column])]
    if kind == "count_distinct":
        return len(set(values))
    if kind == "sum":
        return _rounded(sum(map(Fraction, values), Fraction(0)))
    if kind == "std":
        return _deviation(values)
    if kind == "lag":
        return values[-aggregate.k] if len(values) >= aggregate.k else None
    if not values:
        return None
    if kind == "mean":
        return _rounded(sum(map(Fraction, values), Fraction(0)) / len(values))
    if kind == "distinct_ratio":
        return len(set(values)) / len(values)
    if kind == "quantile":
        return _quantile(sorted(map(Fraction, values)), aggregate.q or 0.0)
    if kind == "top_k":
        return max(enumerate(values), key=lambda place: (values.count(place[1]), place[0]))[1]
    if kind == "ewm":
        return _decayed(rows, aggregate)
    if kind in ("min", "max"):
        return min(values) if kind == "min" else max(values)
    return values[-1] if kind == "last" else values[0]


def _quantile(values: Sequence[Fraction], q: float) -> float:
    position = Fraction((len(values) - 1) * q)  # in a double, as numpy says where a quantile stands
    below = math.floor(position)
    above = min(below + 1, len(values) - 1)
    return _rounded(values[below] + (values[above] - values[below]) * (position - below))


def _decayed(rows: Sequence[_Placed], aggregate: Aggregate) -> float:
    """The weighted mean, its weights to 50 digits."""
    assert aggregate.column is not None and aggregate.half_life_us is not None
    held = [(instant, row[aggregate.column]) for instant, _, row in rows if not _missing(row[aggregate.column])]
    with decimal.localcontext(prec=50):
        ages = [decimal.Decimal(instant - held[-1][0]) / aggregate.half_life_us for instant, _ in held]
        weights = [Fraction(decimal.Decimal(2) ** age) for age in ages]
    weighted = sum((weight * Fraction(value) for weight, (_, value) in zip(weights, held, strict=True)), Fraction(0))
    return _rounded(weighted / sum(weights, Fraction(0)))


def _deviation(values: Sequence[Any]) -> float | None:
    n = len(values)
    if n < 2:
        return None
    exact = [Fraction(value) for value in values]
    mean = sum(exact, Fraction(0)) / n
    variance = sum(((value - mean) ** 2 for value in exact), Fraction(0)) / (n - 1)
    # The square root of a fraction to 200 bits, so that only the last rounding is a double's.
    scale = 1 << max(0, 400 + variance.denominator.bit_length() - variance.numerator.bit_length())
    return _rounded(Fraction(math.isqrt(variance.numerator * scale * scale // variance.denominator), scale))


def _rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _key(view: ViewSpec, row: Row) -> tuple[Any, ...] | None:
    key = tuple(_us(row[name]) if isinstance(row[name], datetime) else row[name] for name in view.by)
    return None if any(_missing(part) for part in key) else key


def _us(instant: datetime | int) -> int:
    return to_us(instant) if isinstance(instant, datetime) else int(instant)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def _evaluate(node: ast.expr, row: Row) -> Any:
    if isinstance(node, ast.BoolOp):
        truths = [_true(_evaluate(part, row)) for part in node.values]
        return all(truths) if isinstance(node.op, ast.And) else any(truths)
    if isinstance(node, ast.UnaryOp):
        inner = _evaluate(node.operand, row)
        if isinstance(node.op, ast.Not):
            return not _true(inner)
        return None if _missing(inner) else -inner
    if isinstance(node, ast.Compare):
        sides = [_evaluate(side, row) for side in [node.left, *node.comparators]]
        return all(
            not _missing(a) and not _missing(b) and _COMPARISONS[type(op)](a, b)
            for op, a, b in zip(node.ops, sides, sides[1:], strict=False)
        )
    if isinstance(node, ast.BinOp):
        return _arithmetic(node.op, _evaluate(node.left, row), _evaluate(node.right, row))
    if isinstance(node, ast.List | ast.Tuple):
        return [_evaluate(element, row) for element in node.elts]
    if isinstance(node, ast.Name):
        return row[node.id]
    assert isinstance(node, ast.Constant)
    return node.value


def _true(value: Any) -> bool:
    return not _missing(value) and bool(value)


def _arithmetic(op: ast.operator, a: Any, b: Any) -> float | None:
    if _missing(a) or _missing(b):
        return None
    return _of_numbers(op, float(a), float(b))


def _of_numbers(op: ast.operator, a: float, b: float) -> float | None:
    if isinstance(op, ast.Div) and b == 0:
        return None if a == 0 else math.copysign(math.inf, a) * math.copysign(1.0, b)
    if isinstance(op, ast.Add):
        return a + b
    if isinstance(op, ast.Sub):
        return a - b
    return a * b if isinstance(op, ast.Mult) else a / b
