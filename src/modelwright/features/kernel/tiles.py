"""Tiles: the states of the rows of whole steps, in place of the rows.

Where far edges stand at whole steps, rows leave a window a step at a time. So the rows of a step that no request can
fall into any more may be given up for one state an aggregate, its tile: a running state is begun from the tiles of
its window and the rows after them, and a tile that leaves is taken away as a whole. Sums, counts and tallies add and
take away exactly, so that the bits are those of the rows.

All tiles of a key stand in one array: how many there are, for each its first instant, the number of its first row and
where its arena (as in `single.py`) stands, then the arenas. They are in order of time; the last ends where the rows that
are held begin.
"""

from modelwright.features.kernel import distinct, extreme, frequent, position, quantile
from modelwright.features.kernel.compiled import Ints, compiled
from modelwright.features.kernel.deviation import SQUARES
from modelwright.features.kernel.dispatch import (
    COUNT,
    DISTINCT,
    FIRST,
    FREQUENT,
    LAG,
    MAX,
    MEAN,
    MIN,
    QUANTILE,
    RATE,
    RATIO,
    SINCE,
    STD,
    SUM,
)
from modelwright.features.kernel.state import HEAD, LEFT, RIGHT

START, FIRST_ROW, ARENA = range(3)
"""What stands in a tile's entry."""


@compiled
def first_row(tiles: Ints, edge: int, base: int) -> int:
    """The number of the first row of the tiles that begin at an instant or after it; `base` for none."""
    for j in range(tiles[0]):
        if tiles[1 + 3 * j + START] >= edge:
            return int(tiles[1 + 3 * j + FIRST_ROW])
    return base


@compiled
def _is_boundary(tiles: Ints, row: int, base: int) -> bool:
    found = row == base
    for j in range(tiles[0]):
        found |= tiles[1 + 3 * j + FIRST_ROW] == row
    return found


@compiled
def goes_on(op: int, state: Ints, tiles: Ints, lo: int, hi: int, base: int) -> bool:
    """Whether a state can be taken to a window that begins among the tiles, or has to begin anew from them."""
    left, right = state[LEFT], state[RIGHT]
    if right < base or left > lo or not _is_boundary(tiles, left, base):
        return False
    if hi < right and (op in (MIN, MAX, LAG, FIRST, SINCE, FREQUENT) or right - hi > hi - lo):
        return False
    return op != FIRST or left == lo


@compiled
def take_away(op: int, state: Ints, tiles: Ints, s: int, lo: int) -> None:
    """Let the tiles before a row leave; what is found by its row's number leaves by itself."""
    if op not in (MIN, MAX, LAG, SINCE):
        for j in range(tiles[0]):
            if state[LEFT] <= tiles[1 + 3 * j + FIRST_ROW] < lo:
                _merged(op, state, _state_of(tiles, j, s), -1, 0)
    state[LEFT] = lo


@compiled
def add(op: int, state: Ints, tiles: Ints, s: int, lo: int, base: int) -> Ints:
    """Take the tiles from a row on into an empty state; returns it, a larger one where it had to grow."""
    for j in range(tiles[0]):
        if tiles[1 + 3 * j + FIRST_ROW] >= lo:
            state = _merged(op, state, _state_of(tiles, j, s), 1, base)
    state[LEFT], state[RIGHT] = lo, base
    return state


@compiled
def _state_of(tiles: Ints, j: int, s: int) -> Ints:
    arena = tiles[tiles[1 + 3 * j + ARENA] :]
    return arena[arena[s] : arena[s + 1]]


@compiled
def packed(op: int, state: Ints) -> Ints:
    """A tile's state in as little room as it needs."""
    if op in (DISTINCT, RATIO):
        return distinct.packed(state)
    if op == FREQUENT:
        return frequent.packed(state)
    return state.copy()


@compiled
def _merged(op: int, state: Ints, tile: Ints, sign: int, base: int) -> Ints:
    """Add (`sign` 1) a tile's state or take it away (-1)."""
    if op in (COUNT, RATE):
        state[2] += sign * tile[2]
    elif op in (SUM, MEAN):
        state[2:5] += sign * tile[2:5]
        _add_cells(state[HEAD:], tile[HEAD:], sign)
    elif op == STD:
        state[2:4] += sign * tile[2:4]
        _add_cells(state[HEAD:SQUARES], tile[HEAD:SQUARES], sign)
        _add_cells(state[SQUARES:], tile[SQUARES:], sign)
    elif op in (MIN, MAX):
        return extreme.joined(state, tile, -1.0 if op == MIN else 1.0)
    elif op in (LAG, SINCE):
        position.join_last(state, tile)
    elif op == FIRST:
        position.join_first(state, tile, base)
    elif op in (DISTINCT, RATIO):
        return distinct.merged(state, tile, sign)
    elif op == FREQUENT:
        return frequent.merged(state, tile, sign)
    elif op == QUANTILE:
        return quantile.merged(state, tile, sign)
    return state


@compiled
def _add_cells(cells: Ints, others: Ints, sign: int) -> None:
    end = len(cells)
    for i in range(others[end - 2], others[end - 1] + 1):
        cells[i] += sign * others[i]
    cells[end - 2] = min(cells[end - 2], others[end - 2])
    cells[end - 1] = max(cells[end - 1], others[end - 1])
