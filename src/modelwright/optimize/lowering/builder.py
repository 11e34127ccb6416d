"""Where a program is put together: registers, steps and constants, and what is known of each column on the way."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from modelwright.release.compiled.program import OPERATIONS
from modelwright.release.compiled.reader import Reader
from modelwright.stats.predictions import Array


class Unsupported(Exception):
    """What stands in the way of an exact form, in one line."""


class Column(NamedTuple):
    """One column at some point of the pipeline: the register it stands in, and its input's texts where it is one.

    `name` and `texts` are of an input that is still as it was given: what a transformer can be asked about; `free` is its
    place among the free texts, where it is one that nothing has read yet. What readers make of a text has a number below
    zero, until it is known what of it is needed.
    """

    register: int
    name: str = ""
    texts: tuple[str, ...] | None = None
    free: int | None = None


@dataclass(frozen=True)
class _Read:
    """Columns below zero, from `first` down: the weights of a reader's terms, or products of them with `matrix`."""

    first: int
    reader: Reader
    matrix: Array | None

    @property
    def count(self) -> int:
        return self.reader.width if self.matrix is None else self.matrix.shape[1]


class Builder:
    """Registers are given out once; steps run in the order they are added."""

    def __init__(self, registers: int) -> None:
        self._inputs = self._registers = registers
        self._steps: list[tuple[int, int, int, int, int]] = []
        self._constants: list[float] = []
        self._reads: list[_Read] = []

    def new(self, count: int = 1) -> int:
        """The first of so many new registers, which stand side by side."""
        first = self._registers
        self._registers += count
        return first

    def step(self, operation: str, source: Column, *constants: float) -> Column:
        """A step with one result in a new register."""
        return Column(self._add(operation, self.new(), source.register, constants))

    def require(self, source: Column) -> None:
        """Give no answer to a row in which this is missing."""
        if source.register >= 0:  # a term that is not there is no missing one
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

    def read(self, reader: Reader) -> list[Column]:
        """A column for each of the reader's terms."""
        return self._below_zero(reader, None)

    def reader_of(self, columns: Sequence[Column]) -> Reader | None:
        """The reader whose terms these are, all of them in order; None where they are anything else."""
        found = next((read for read in self._reads if columns and read.first == columns[0].register), None)
        if found is None or found.matrix is not None:
            return None
        whole = np.arange(found.first, found.first - found.count, -1)
        return found.reader if np.array_equal(_registers(columns), whole) else None

    def products(self, columns: Sequence[Column], matrix: Array) -> list[list[Column]]:
        """What terms add up to, for each reader that they come from: `matrix` is [columns, r], and r columns a reader."""
        registers = _registers(columns)
        made = []
        for read in list(self._reads):
            own = (registers <= read.first) & (registers > read.first - read.count)
            if own.any() and read.matrix is None:
                whole = np.zeros((read.count, matrix.shape[1]))
                whole[read.first - registers[own]] = matrix[own]
                made.append(self._below_zero(read.reader, whole))
        return made

    def terms(self, columns: Sequence[Column]) -> Array:
        """[columns] which of them are weights of a reader's terms."""
        registers = _registers(columns)
        found = np.zeros(len(registers), bool)
        for read in self._reads:
            if read.matrix is None:
                found |= (registers <= read.first) & (registers > read.first - read.count)
        return found

    def _below_zero(self, reader: Reader, matrix: Array | None) -> list[Column]:
        first = self._reads[-1].first - self._reads[-1].count if self._reads else -1
        read = _Read(first, reader, matrix)
        self._reads.append(read)
        return [Column(first - place) for place in range(read.count)]

    def _add(self, operation: str, target: int, source: int, constants: Sequence[float]) -> int:
        place = len(self._constants)
        self._constants += [float(value) for value in constants]
        self._steps.append((OPERATIONS.index(operation), target, source, place, len(constants)))
        return target

    @property
    def constants(self) -> Array:
        """The constants of all steps."""
        return np.array(self._constants, np.float64)

    def placed(self, features: Sequence[Column]) -> "Placed":
        """The registers as the machine has them: what is needed of the readers stands behind the inputs, and all else after
        it."""
        wanted = _registers(features)
        steps = np.array(self._steps, np.int64).reshape(-1, 5)
        needed = np.unique(np.concatenate([wanted, steps[:, 2]]))
        readers: list[Reader] = []
        below: dict[int, int] = {}
        for read in self._reads:
            own = [int(register) for register in needed[::-1] if read.first - read.count < register <= read.first]
            if not own:
                continue
            if read.matrix is None:
                kept = np.array([read.first - register for register in own], np.int64)
                readers.append(dataclasses.replace(read.reader, kept=kept))
            else:
                own = [read.first - place for place in range(read.count)]
                readers.append(dataclasses.replace(read.reader, projection=read.matrix))
            below |= {register: self._inputs + len(below) + place for place, register in enumerate(own)}
        shift = len(below)

        def moved(registers: Array) -> Array:
            behind = np.where(registers >= self._inputs, registers + shift, registers)
            return np.array([below.get(register, register) for register in behind.tolist()], np.int64)

        steps[:, 1] = np.where(steps[:, 1] >= self._inputs, steps[:, 1] + shift, steps[:, 1])
        steps[:, 2] = moved(steps[:, 2])
        return Placed(self._registers + shift, moved(wanted), steps, tuple(readers))


def _registers(columns: Sequence[Column]) -> Array:
    return np.array([column.register for column in columns], np.int64)


class Placed(NamedTuple):
    """How many registers there are, those of the features [f], the steps [s, 5] and the readers, as `Program` has them."""

    registers: int
    features: Array
    steps: Array
    readers: tuple[Reader, ...]
