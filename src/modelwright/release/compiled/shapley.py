"""Exact contributions of the input columns to what a compiled program gives before its link: Shapley values.

The worth of a set of columns is the program's raw value for a row that has these columns of the explained row and all
others of a background row; contributions are the mean over the background. Every register of a program comes from one
input, so a text that became many columns is one player, and its contribution needs no adding up afterwards. For trees
this is the interventional form of TreeSHAP: one walk a tree and background row, that branches only where the two rows
part [1]. For linear models it is coefficient times distance from the background's mean.

Reads programs, never runs on the path of a prediction.

[1] Lundberg et al. (2020), From local explanations to global understanding with explainable AI for trees. Nature Machine
Intelligence 2, 56-67, https://doi.org/10.1038/s42256-019-0138-9
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints
from modelwright.release.compiled.kernels import CompiledHere
from modelwright.release.compiled.machine import compiled, goes_left, prepare
from modelwright.release.compiled.program import OPERATIONS, Program
from modelwright.release.compiled.texts import TextInputs
from modelwright.release.inputs import InputColumn, Rows
from modelwright.stats.predictions import Array

FROM_ONE: Final = frozenset({
    "copy", "fill", "is_missing", "add", "subtract", "multiply", "divide", "clip", "place", "bin", "exp", "expm1", "log",
    "log1p", "sqrt", "square", "absolute",
})  # fmt: skip
"""Steps whose one result comes from one source."""
NOBODY: Final = -1


class NotExact(Exception):
    """The program has a part whose contributions are not known exactly; says which."""


def owners(program: Program, columns: Sequence[InputColumn]) -> Ints:
    """[registers] the place among the inputs of the column that each register comes from; -1 for a constant.

    Raises `NotExact` for a step of several sources.
    """
    owner = np.full(program.registers, NOBODY, np.int64)
    free = [place for place, column in enumerate(columns) if column.is_free]
    given = [place for place, column in enumerate(columns) if column.kind == "number"]
    given += [place for place, column in enumerate(columns) if column.kind == "text" and not column.is_free]
    for reader in program.readers:
        given += [free[reader.place]] * reader.given
    owner[: len(given)] = given
    for operation, target, source, first, _ in program.steps.tolist():
        name = OPERATIONS[operation]
        if name == "spread":
            owner[target : target + int(program.constants[first])] = owner[source]
        elif name in FROM_ONE:
            owner[target] = owner[source]
        elif name not in ("constant", "require"):
            raise NotExact(f"a step {name!r}")
    return owner


def contributions(
    program: Program, columns: Sequence[InputColumn], row: Rows, background: Rows, target: int
) -> tuple[float, Array]:
    """The mean raw value over the background, and each input's contribution [inputs], of one row for one target.

    Before the link and its slope; what the program refuses to answer is no background. Raises `NotExact`.
    """
    owner = owners(program, columns)[program.features]
    features, _ = _features(program, columns, row)
    others, answered = _features(program, columns, background)
    others = np.ascontiguousarray(others[answered])
    if not len(others):
        raise NotExact("no background row that it answers")
    out = np.zeros(len(columns))
    if len(program.roots):
        most = len(columns) + 1
        log_factorials = np.array([math.lgamma(number + 1) for number in range(most + 1)])
        base = _of_trees(
            features[0], others, owner, program.roots, program.of_target, program.node_feature, program.node_threshold,
            program.node_left, program.node_right, program.node_kind, program.leaves, program.sets, target,
            program.targets, log_factorials, out,
        )  # fmt: skip
    elif program.coefficients.size:
        weights = program.coefficients[target]
        mean = others.mean(axis=0)
        owned = owner != NOBODY
        np.add.at(out, owner[owned], (weights * (features[0] - mean))[owned])
        base = float(weights @ mean)
    else:
        raise NotExact("neither trees nor coefficients")
    start = float(program.start[target])
    return (start + base) / program.divisor, out / program.divisor


def _features(program: Program, columns: Sequence[InputColumn], rows: Rows) -> tuple[Floats, Array]:
    """[n, features] as the model compares them, and whether each row is answered at all."""
    block = np.empty((len(rows), len(program.features)))
    answered = np.empty(len(rows), bool)
    given = np.hstack([rows.numbers, TextInputs(program, columns, CompiledHere()).of(rows)])
    registers = np.empty(program.registers)
    for place in range(len(rows)):
        registers[: given.shape[1]] = given[place]
        answered[place] = prepare(registers, program.steps, program.constants)
        block[place] = registers[program.features]
    return block.astype(np.float32).astype(np.float64) if program.single else block, answered


@compiled
def _of_trees(
    x: Floats, others: Floats, owner: Ints, roots: Ints, of_target: Ints, feature: np.ndarray, threshold: Floats,
    left: np.ndarray, right: np.ndarray, kind: np.ndarray, leaves: Floats, sets: np.ndarray, target: int, targets: int,
    log_factorials: Floats, out: Floats,
) -> float:  # fmt: skip
    """Add every column's mean contribution to `out` [columns]; the mean sum of the background's own leaves.

    A walk carries which columns it has taken from the explained row (side 1) and which from the other (side 2). A leaf
    that it reaches with u of the one and v of the other is worth (u-1)! v! / (u+v)! to each of the u, and
    -u! (v-1)! / (u+v)! to each of the v.
    """
    base = 0.0
    columns = len(out)
    side = np.zeros(columns, np.int64)
    trail = np.empty(columns, np.int64)
    held_node = np.empty(len(feature) + 1, np.int64)
    held_length = np.empty(len(feature) + 1, np.int64)
    held_column = np.empty(len(feature) + 1, np.int64)
    share = 1.0 / len(others)
    for b in range(len(others)):
        z = others[b]
        for t in range(len(roots)):
            if of_target[t] >= 0 and of_target[t] != target:
                continue
            held_node[0], held_length[0], held_column[0] = roots[t], 0, NOBODY
            held, length = 1, 0
            while held > 0:
                held -= 1
                while length > held_length[held]:
                    length -= 1
                    side[trail[length]] = 0
                if held_column[held] != NOBODY:
                    side[held_column[held]] = 2
                    trail[length] = held_column[held]
                    length += 1
                node = held_node[held]
                while node >= 0:
                    f = feature[node]
                    x_left = goes_left(x[f], threshold[node], kind[node], sets)
                    z_left = goes_left(z[f], threshold[node], kind[node], sets)
                    column = owner[f]
                    if x_left == z_left:
                        left_here = x_left
                    elif side[column] == 1:
                        left_here = x_left
                    elif side[column] == 2:
                        left_here = z_left
                    else:
                        held_node[held] = left[node] if z_left else right[node]
                        held_length[held] = length
                        held_column[held] = column
                        held += 1
                        side[column] = 1
                        trail[length] = column
                        length += 1
                        left_here = x_left
                    node = left[node] if left_here else right[node]
                leaf = -1 - node
                value = leaves[leaf] if of_target[t] >= 0 else leaves[leaf * targets + target]
                value *= share
                taken = 0
                for place in range(length):
                    taken += side[trail[place]] == 1
                left_out = length - taken
                if taken == 0:
                    base += value
                for place in range(length):
                    if side[trail[place]] == 1:
                        weight = log_factorials[taken - 1] + log_factorials[left_out] - log_factorials[length]
                        out[trail[place]] += value * math.exp(weight)
                    else:
                        weight = log_factorials[taken] + log_factorials[left_out - 1] - log_factorials[length]
                        out[trail[place]] -= value * math.exp(weight)
            while length > 0:
                length -= 1
                side[trail[length]] = 0
    return base
