"""Trees put together for the machine: nodes in one array, leaves in another, children by number."""

from typing import Any

import numpy as np


class Forest:
    """Filled tree by tree; `fields` are the members of a `Program`. `width` is how many values a leaf holds."""

    def __init__(self, width: int = 1) -> None:
        self._width = width
        self._roots: list[int] = []
        self._of_target: list[int] = []
        self._nodes: list[tuple[int, float, int]] = []
        self._children: list[list[int]] = []
        self._leaves: list[float] = []
        self._sets: list[int] = []

    def begin(self, target: int) -> None:
        """The next tree adds to that target; -1 where a leaf holds a value for each."""
        self._of_target.append(target)
        self._roots.append(0)

    def root(self, child: int) -> None:
        """What `split` or `leaf` gave for the tree's first node."""
        self._roots[-1] = child

    def leaf(self, *values: float) -> int:
        """A leaf; the number by which a parent knows it."""
        self._leaves += [float(value) for value in values]
        return -(len(self._leaves) // self._width)

    def split(self, feature: int, threshold: float, kind: int) -> int:
        """A node whose children are given with `children`; its number."""
        self._nodes.append((feature, threshold, kind))
        self._children.append([0, 0])
        return len(self._nodes) - 1

    def children(self, node: int, left: int, right: int) -> None:
        """The node's children."""
        self._children[node] = [left, right]

    def set_of(self, words: Any, known: Any = ()) -> int:
        """A set of categories as 32-bit words, and the set of those that are known; what a category node has for a
        threshold."""
        place = len(self._sets)
        self._sets += [len(words), *(int(word) for word in words), *(int(word) for word in known)]
        return place

    def fields(self) -> dict[str, Any]:
        """The arrays by their names in `Program`."""
        children = np.array(self._children, np.int32).reshape(-1, 2)
        return {
            "roots": np.array(self._roots, np.int64),
            "of_target": np.array(self._of_target, np.int64),
            "node_feature": np.array([feature for feature, _, _ in self._nodes], np.int32),
            "node_threshold": np.array([threshold for _, threshold, _ in self._nodes], np.float64),
            "node_kind": np.array([kind for _, _, kind in self._nodes], np.uint8),
            "node_left": np.ascontiguousarray(children[:, 0]),
            "node_right": np.ascontiguousarray(children[:, 1]),
            "leaves": np.array(self._leaves, np.float64),
            "sets": np.array(self._sets, np.uint32),
        }
