"""The machine: runs a program over rows, with no allocation a row and nothing compiled a model.

Rows come in blocks: the preparation row by row, then the trees one after the other over the whole block, so that a tree stays
in the cache. Sums run in the trees' order, as the libraries add them.
"""

import math

import numpy as np

from modelwright.features.kernel.compiled import Floats, Ints, compiler
from modelwright.release.compiled.program import (
    CATEGORY,
    LINKS,
    MISSING_IS_ZERO,
    MISSING_LEFT,
    OPERATIONS,
    UNKNOWN_LEFT,
    ZERO_IS_MISSING,
)

compiled = compiler(__file__)

(
    CONSTANT, COPY, FILL, IS_MISSING, ADD, SUBTRACT, MULTIPLY, DIVIDE, CLIP, PLACE, BIN, SPREAD, REQUIRE,
    EXP, EXPM1, LOG, LOG1P, SQRT, SQUARE, ABSOLUTE,
) = range(len(OPERATIONS))  # fmt: skip
IDENTITY, LOGISTIC, SOFTMAX, EXPONENTIAL, NONE, CHOICE = range(len(LINKS))
NEAR_ZERO = 1e-35
"""What LightGBM takes for zero."""


@compiled
def prepare(row: Floats, steps: Ints, constants: Floats) -> bool:
    """Run the steps over one row's registers; False where what is required is missing."""
    whole = True
    for s in range(len(steps)):
        op, target, first = steps[s, 0], steps[s, 1], steps[s, 3]
        x = row[steps[s, 2]]
        if op == COPY:
            row[target] = x
        elif op == FILL:
            row[target] = constants[first] if math.isnan(x) else x
        elif op == SUBTRACT:
            row[target] = x - constants[first]
        elif op == DIVIDE:
            row[target] = x / constants[first]
        elif op == ADD:
            row[target] = x + constants[first]
        elif op == MULTIPLY:
            row[target] = x * constants[first]
        elif op == SPREAD:
            _spread(row, target, x, constants, first)
        elif op == CONSTANT:
            row[target] = constants[first]
        elif op == IS_MISSING:
            row[target] = 1.0 if math.isnan(x) else 0.0
        elif op == CLIP:
            row[target] = x if math.isnan(x) else min(max(x, constants[first]), constants[first + 1])
        elif op == PLACE:
            row[target] = _place(x, constants, first, steps[s, 4])
        elif op == BIN:
            row[target] = _bin(x, constants, first, steps[s, 4])
        elif op == REQUIRE:
            whole &= not math.isnan(x)
        else:
            row[target] = _function(op, x)
    return whole


@compiled
def _spread(row: Floats, target: int, x: float, constants: Floats, first: int) -> None:
    width, codes = int(constants[first]), int(constants[first + 1])
    code = codes - 1 if math.isnan(x) else int(x)
    row[target : target + width] = 0.0
    entries = first + 3 + codes
    for entry in range(int(constants[first + 2 + code]), int(constants[first + 3 + code])):
        row[target + int(constants[entries + 2 * entry])] = constants[entries + 2 * entry + 1]


@compiled
def _place(x: float, constants: Floats, first: int, count: int) -> float:
    if math.isnan(x):
        return x
    for i in range(count):
        if constants[first + i] == x:
            return float(i)
    return float(count)


@compiled
def _bin(x: float, constants: Floats, first: int, count: int) -> float:
    if math.isnan(x):
        return x
    below = 0
    while below < count and constants[first + below] <= x:
        below += 1
    return float(below)


@compiled
def _function(op: int, x: float) -> float:
    if op == EXP:
        return math.exp(x)
    if op == EXPM1:
        return math.expm1(x)
    if op == LOG:
        return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)
    if op == LOG1P:
        return math.log1p(x) if x > -1 else (-math.inf if x == -1 else math.nan)
    if op == SQRT:
        return math.sqrt(x) if x >= 0 else math.nan
    if op == SQUARE:
        return x * x
    return abs(x)


@compiled
def _in_set(sets: np.ndarray, first: int, category: int) -> bool:
    return bool((sets[first + (category >> 5)] >> np.uint32(category & 31)) & np.uint32(1))


@compiled
def goes_left(x: float, threshold: float, kind: int, sets: np.ndarray) -> bool:
    if kind & CATEGORY:
        if math.isnan(x):
            return (kind & MISSING_LEFT) != 0
        category = int(x)
        first = int(threshold)
        words = int(sets[first])
        if category < 0 or category >= 32 * words:
            return (kind & UNKNOWN_LEFT) != 0
        if _in_set(sets, first + 1, category):
            return True
        return (kind & UNKNOWN_LEFT) != 0 and not _in_set(sets, first + 1 + words, category)
    if math.isnan(x):
        if not kind & MISSING_IS_ZERO:
            return (kind & MISSING_LEFT) != 0
        x = 0.0
    if kind & ZERO_IS_MISSING and -NEAR_ZERO <= x <= NEAR_ZERO:
        return (kind & MISSING_LEFT) != 0
    return x <= threshold


LEAF = np.int64(-(2**63))
RARE = np.int64((CATEGORY | ZERO_IS_MISSING) << 56)


@compiled
def lay_out(
    roots: Ints, feature: np.ndarray, threshold: Floats, left: np.ndarray, right: np.ndarray, kind: np.ndarray,
    begins: Ints, words: Ints, thresholds: Floats, waiting: Ints, parents: Ints,
) -> None:  # fmt: skip
    """The trees in the order they are walked, into `begins` [t], `words` and `thresholds` [nodes and leaves], zeros before.

    A node's left child is the next node. Its word holds, from below, 32 bits for the right child, 24 for the feature and 8
    for the kind; a leaf's is negative and holds the leaf's number. `waiting`, `parents` [nodes + 2]: to work in.
    """
    place = 0
    for t in range(len(roots)):
        begins[t] = place
        waiting[0], parents[0] = roots[t], -1
        held = 1
        while held > 0:
            held -= 1
            node, parent = waiting[held], parents[held]
            if parent >= 0:
                words[parent] |= place
            if node < 0:
                words[place] = LEAF | (-1 - node)
            else:
                words[place] = np.int64(feature[node]) << 32 | np.int64(kind[node]) << 56
                thresholds[place] = threshold[node]
                waiting[held], parents[held] = right[node], place
                waiting[held + 1], parents[held + 1] = left[node], -1
                held += 2
            place += 1


@compiled
def _begin(row: Floats, numbers: Floats, texts: Floats, i: int) -> None:
    """What a row is given, in its first registers."""
    inputs = numbers.shape[1]
    for k in range(inputs):
        row[k] = numbers[i, k]
    for k in range(texts.shape[1]):
        row[inputs + k] = texts[i, k]


@compiled
def features_of(
    rows: int, numbers: Floats, texts: Floats, out: Floats, row: Floats, steps: Ints, constants: Floats, features: Ints,
    single: int,
) -> None:  # fmt: skip
    """The preparation alone: `out` takes [rows, features]; NaN throughout where a row is to have no answer."""
    for i in range(rows):
        _begin(row, numbers, texts, i)
        whole = prepare(row, steps, constants)
        for f in range(len(features)):
            x = row[features[f]] if whole else math.nan
            out[i, f] = np.float64(np.float32(x)) if single else x


@compiled
def run(
    rows: int, numbers: Floats, texts: Floats, out: Floats, row: Floats, block: Floats, raw: Floats, steps: Ints,
    constants: Floats, features: Ints, single: int, single_sums: int, coefficients: Floats, start: Floats, roots: Ints,
    of_target: Ints, nodes: Ints, thresholds: Floats, leaves: Floats, sets: np.ndarray, divisor: float, slope: float,
    link: int,
) -> None:  # fmt: skip
    """Answer the first rows of a block: `numbers` [BLOCK, numeric inputs], `texts` [BLOCK, text inputs] as codes; `out` takes
    [rows, outputs]. `row` [registers], `block` [BLOCK, features] and `raw` [BLOCK, targets] are to work in; the rest is the
    program, its trees as `lay_out` puts them."""
    targets = len(start)
    for i in range(rows):
        _begin(row, numbers, texts, i)
        whole = prepare(row, steps, constants)
        for f in range(len(features)):
            x = row[features[f]]
            block[i, f] = np.float64(np.float32(x)) if single else x
        for k in range(targets):
            raw[i, k] = start[k] if whole else math.nan
    for t in range(len(roots)):
        target = of_target[t]
        for i in range(rows):
            node = roots[t]
            word = nodes[node]
            while word >= 0:
                x = block[i, (word >> 32) & 0xFFFFFF]
                if word & RARE != 0 or math.isnan(x):
                    left = goes_left(x, thresholds[node], word >> 56, sets)
                    node = node + 1 if left else word & 0xFFFFFFFF
                else:
                    node = node + 1 if x <= thresholds[node] else word & 0xFFFFFFFF
                word = nodes[node]
            leaf = word & 0xFFFFFFFF
            if target >= 0:
                total = raw[i, target] + leaves[leaf]
                raw[i, target] = np.float64(np.float32(total)) if single_sums else total
            else:
                for k in range(targets):
                    raw[i, k] += leaves[leaf * targets + k]
    if len(roots) == 0:
        for i in range(rows):
            for k in range(targets):
                total = 0.0
                for f in range(len(features)):
                    total += block[i, f] * coefficients[k, f]
                raw[i, k] += total
    for i in range(rows):
        if single_sums:
            _link_single(raw[i], link, out[i])
        else:
            _link(raw[i], divisor, slope, link, out[i])


@compiled
def _link(raw: Floats, divisor: float, slope: float, link: int, out: Floats) -> None:
    if divisor != 1.0:
        for k in range(len(raw)):
            raw[k] /= divisor
    if link == LOGISTIC:
        positive = 1.0 / (1.0 + math.exp(-slope * raw[0]))
        out[0] = 1.0 - positive
        out[1] = positive
    elif link == SOFTMAX:
        largest = raw[0]
        for k in range(1, len(raw)):
            largest = max(largest, raw[k])
        total = 0.0
        for k in range(len(raw)):
            out[k] = math.exp(raw[k] - largest)
            total += out[k]
        for k in range(len(raw)):
            out[k] /= total
    elif link == EXPONENTIAL:
        out[0] = math.exp(raw[0])
    elif link == CHOICE:
        _choose(raw, out)
    else:
        for k in range(len(raw)):
            out[k] = raw[k]


@compiled
def _choose(raw: Floats, out: Floats) -> None:
    chosen = 0
    if len(raw) == 1:
        chosen = 1 if raw[0] > 0 else 0
    for k in range(1, len(raw)):
        if raw[k] > raw[chosen]:
            chosen = k
    for k in range(len(out)):
        out[k] = 1.0 if k == chosen else 0.0
    for k in range(len(raw)):
        if math.isnan(raw[k]):
            out[:] = math.nan


@compiled
def _link_single(raw: Floats, link: int, out: Floats) -> None:
    """The link in float32, operation by operation as XGBoost does it."""
    one = np.float32(1.0)
    if link == LOGISTIC:
        positive = one / (math.exp(-np.float32(raw[0])) + one)
        out[0] = one - positive
        out[1] = positive
    elif link == SOFTMAX:
        largest = np.float32(raw[0])
        for k in range(1, len(raw)):
            largest = max(largest, np.float32(raw[k]))
        total = 0.0
        for k in range(len(raw)):
            part = math.exp(np.float32(raw[k]) - largest)
            out[k] = part
            total += part
        for k in range(len(raw)):
            out[k] = np.float32(out[k]) / np.float32(total)
    elif link == EXPONENTIAL:
        out[0] = math.exp(np.float32(raw[0]))
    else:
        for k in range(len(raw)):
            out[k] = raw[k]
