"""The head of every running state: which rows are in it.

`state[LEFT] <= i < state[RIGHT]` are the rows taken in; what follows, up to `HEAD` and beyond, is the family's. A state
that is to begin anew has `RIGHT` at -1: no window is near to that.
"""

from typing import Final

from modelwright.features.kernel.compiled import Ints, compiled

LEFT: Final = 0
RIGHT: Final = 1
HEAD: Final = 8


@compiled
def far(left: int, right: int, lo: int, hi: int) -> bool:
    """Whether it costs more to go to a window row by row than to begin anew."""
    return abs(lo - left) + abs(hi - right) > hi - lo


@compiled
def restart(state: Ints) -> None:
    """Let the next window begin anew."""
    state[RIGHT] = -1
