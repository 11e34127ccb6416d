"""`python -m modelwright.release.compiled`: compile the machine now, so that the first start need not."""

import numpy as np

from modelwright.release.compiled.program import Program
from modelwright.release.compiled.runtime import CompiledRuntime
from modelwright.release.compiled.shapley import contributions
from modelwright.release.inputs import InputColumn, Rows


def warm_up() -> None:
    """Run a program of one leaf; what that compiles is kept in the user's cache."""
    program = Program(
        registers=1, numbers=1, texts=0, targets=1, link="identity", features=np.zeros(1, np.int64), start=np.zeros(1),
        roots=np.array([-1]), of_target=np.zeros(1, np.int64), leaves=np.zeros(1),
    )  # fmt: skip
    CompiledRuntime(program.to_bytes(), ())
    contributions(program, [InputColumn(name="x", kind="number")], Rows(np.zeros((1, 1))), Rows(np.zeros((1, 1))), 0)


if __name__ == "__main__":
    warm_up()
