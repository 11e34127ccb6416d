"""The estimator itself: what it takes to serve it."""

import importlib.metadata
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

BASE: Final = frozenset({"builtins", "numpy", "modelwright"})
"""What is there wherever anything is served."""
DEEPEST: Final = 6
"""A library of its own does not hide deeper than this: a step's, its models', their modules'."""


def requirements(estimator: Any) -> dict[str, str]:
    """Import names and versions of what a pickled estimator is made of: the libraries of it, its steps and what they hold,
    and pandas."""
    names = {*_libraries(estimator, set(), DEEPEST), "pandas", "cloudpickle"} - BASE
    packages = _packages()
    return {
        name: importlib.metadata.version(packages[name][0])
        for name in sorted(names)
        if name in packages and name in sys.modules
    }


@cache
def _packages() -> Mapping[str, list[str]]:
    """What is installed, by import name: a second's work on a busy machine."""
    return importlib.metadata.packages_distributions()


def _libraries(part: Any, seen: set[int], depth: int) -> Iterator[str]:
    if id(part) in seen or depth == 0 or isinstance(part, (str, bytes, int, float, type)):
        return
    seen.add(id(part))
    if isinstance(part, dict):
        held = list(part.values())
    elif isinstance(part, (list, tuple)):
        held = list(part)
    else:
        yield from (base.__module__.partition(".")[0] for base in type(part).__mro__)
        held = list(getattr(part, "__dict__", {}).values())
    for one in held:
        yield from _libraries(one, seen, depth - 1)
