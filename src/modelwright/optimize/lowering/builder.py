"""Where a program is put together: registers, steps and constants, and what is known of each column on the way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelwright.release.compiled.program import OPERATIONS
from modelwright.stats.predictions import Array


class Unsupported(Exception):
    """What stands in the way of an exact form, in one line."""


@dataclass(frozen=True)
class Column:
    """One column at some point of the pipeline: the register it stands in, and its input's texts where it is one.

    `name` and `texts` are of an input that is still as it was given: what a transformer can be asked about.
    """

    register: int
    name: str = ""
    texts: tuple[str, ...] | None = None


class Builder:
    """Registers are given out once; steps run in the order they are added."""

    def __init__(self, registers: int) -> None:
        self.registers = registers
        self._steps: list[tuple[int, int, int, int, int]] = []
        self._constants: list[float] = []

    def new(self, count: int = 1) -> int:
        """The first of so many new registers, which stand side by side."""
        first = self.registers
        self.registers += count
        return first

    def step(self, operation: str, source: Column, *constants: float) -> Column:
        """A step with one result in a new register."""
        return Column(self._add(operation, self.new(), source.register, constants))

    def require(self, source: Column) -> None:
        """Give no answer to a row in which this is missing."""
        self._add("require", 0, source.register, [])

    def constant(self, value: float) -> Column:
        """A column that is the same in every row."""
        return Column(self._add("constant", self.new(), 0, [value]))

    def spread(self, source: Column, table: Array) -> list[Column]:
        """Columns looked up by the source's code: `table` is [codes, columns], its last row for a missing code."""
        codes, width = table.shape
        first = self.new(width)
        starts, entries = [0.0], []
        for row in table:
            places = np.flatnonzero((row != 0) | np.isnan(row))
            entries += [value for place in places for value in (float(place), float(row[place]))]
            starts.append(starts[-1] + len(places))
        self._add("spread", first, source.register, [width, codes, *starts, *entries])
        return [Column(first + place) for place in range(width)]

    def _add(self, operation: str, target: int, source: int, constants: Sequence[float]) -> int:
        place = len(self._constants)
        self._constants += [float(value) for value in constants]
        self._steps.append((OPERATIONS.index(operation), target, source, place, len(constants)))
        return target

    @property
    def steps(self) -> Array:
        """[s, 5], as `Program` describes them."""
        return np.array(self._steps, np.int64).reshape(-1, 5)

    @property
    def constants(self) -> Array:
        """The constants of all steps."""
        return np.array(self._constants, np.float64)
