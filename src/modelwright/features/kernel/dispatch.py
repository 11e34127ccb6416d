"""From an operation's number to its kernel: the one place both hosts go through."""

from modelwright.features.kernel.compiled import Floats, Ints, Marks, compiled
from modelwright.features.kernel.count import count
from modelwright.features.kernel.deviation import deviation
from modelwright.features.kernel.distinct import distinct
from modelwright.features.kernel.extreme import maximum, minimum
from modelwright.features.kernel.operations import OPERATIONS
from modelwright.features.kernel.position import change, first, lag, since
from modelwright.features.kernel.total import mean, total

COUNT, SUM, MEAN, MIN, MAX, STD = (OPERATIONS.index(op) for op in ("count", "sum", "mean", "min", "max", "std"))
LAG, FIRST, DISTINCT, SINCE, CHANGE = (
    OPERATIONS.index(op) for op in ("lag", "first", "count_distinct", "time_since_last", "change")
)


@compiled
def apply(
    op: int, times: Ints, values: Floats, mask: Marks, lo: Ints, hi: Ints, at: Ints, own: Floats, k: int, out: Floats
) -> None:
    """Answer the requests of one key; at least one. Signature as in the package's docstring, after the operation."""
    if op == COUNT:
        count(times, values, mask, lo, hi, at, own, k, out)
    elif op == SUM:
        total(times, values, mask, lo, hi, at, own, k, out)
    elif op == MEAN:
        mean(times, values, mask, lo, hi, at, own, k, out)
    elif op == MIN:
        minimum(times, values, mask, lo, hi, at, own, k, out)
    elif op == MAX:
        maximum(times, values, mask, lo, hi, at, own, k, out)
    elif op == STD:
        deviation(times, values, mask, lo, hi, at, own, k, out)
    elif op == LAG:
        lag(times, values, mask, lo, hi, at, own, k, out)
    elif op == FIRST:
        first(times, values, mask, lo, hi, at, own, k, out)
    elif op == DISTINCT:
        distinct(times, values, mask, lo, hi, at, own, k, out)
    elif op == SINCE:
        since(times, values, mask, lo, hi, at, own, k, out)
    else:
        change(times, values, mask, lo, hi, at, own, k, out)
